"""The journal against a model in memory: any order of events, crashes, rejections, damage, and what officers do.

`CENTTRACK_FAULTS=long` runs thousands of steps.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.journal.dead_letters import drop_dead, list_dead, retry_dead
from centtrack.delivery.journal.housekeeping import MAX_UNSEEN_S
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.journal.quota import JournalFullError
from centtrack.delivery.records import Limits
from journals import OFFERED, accept, hold
from processes import python

pytestmark = pytest.mark.timeout(1_800)  # of the long form
LONG = os.environ.get("CENTTRACK_FAULTS") == "long"
SINKS = ("one", "two", "three")
LIMITS = Limits(max_bytes=200_000, min_free=0)
CRASH = """
import os, signal, sys
from pathlib import Path
sys.path.append(sys.argv[2])
from centtrack.delivery.journal.journal import Journal
from journals import accept
journal = Journal(Path(sys.argv[1]))
journal.open()
accept(journal, *[event.encode() for event in sys.argv[3:]])
with journal.transaction() as database:
    database.execute("insert into batch (count, events) values (1, cast('never committed' as blob))")
    os.kill(os.getpid(), signal.SIGKILL)
"""


class Model:
    """What a sink should have: each event is in one of these places."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []  # released, in order
        self.done = 0  # delivered
        self.dead: list[bytes] = []
        self.withheld = 0
        self.lost: Counter[str] = Counter()


class JournalMachine(RuleBasedStateMachine):
    """Sinks that come and go. The judge keeps what each was given last, to know a repetition."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "journal.db"
        self.journal = self._open()
        self.made = 0
        self.accepted = 0
        self.held: dict[int, list[bytes]] = {}
        self.now = 0
        self.sinks: dict[str, Model] = {}
        self.written: dict[str, tuple[int, list[bytes]]] = {}  # and not yet noted as delivered
        for sink in SINKS[:2]:
            self.register(sink)
        self.append(3)

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            self.folder.cleanup()

    def _open(self) -> Journal:
        journal = Journal(self.path, limits=LIMITS)
        journal.open()
        return journal

    def _make(self, count: int) -> list[bytes]:
        self.made += count
        return [f"{number:06}".encode() for number in range(self.made - count, self.made)]

    def _accepted(self, events: list[bytes]) -> None:
        self.accepted += len(events)
        for model in self.sinks.values():
            model.waiting += events

    # What recorders do

    @rule(count=st.integers(1, 5))
    def append(self, count: int) -> None:
        events = self._make(count)
        accept(self.journal, *events)
        self._accepted(events)

    @rule()
    def append_too_much(self) -> None:
        with contextlib.suppress(JournalFullError):
            accept(self.journal, b"x" * LIMITS.max_bytes)
            raise AssertionError("it was to be refused")
        accept(self.journal, counts={OFFERED: 1, ("dropped", "journal_full"): 1})

    @rule(count=st.integers(1, 5))
    def hold(self, count: int) -> None:
        events = self._make(count)
        hold(self.journal, self.now + 10, {event.decode(): event for event in events})
        self.held.setdefault(self.now + 10, []).extend(events)
        self.accepted += count

    @rule(passes=st.integers(1, 20))
    def release(self, passes: int) -> None:
        self.now += passes
        while self.journal.release(self.now):
            pass
        due = sorted(event for at in [at for at in self.held if at <= self.now] for event in self.held.pop(at))
        for model in self.sinks.values():
            model.waiting += due

    # What deliverers do

    @rule(sink=st.sampled_from(SINKS))
    def register(self, sink: str) -> None:
        self.journal.register(sink)
        self.sinks.setdefault(sink, Model())

    def _write(self, sink: str, most: int):
        """A batch, and its events; a repeated one must be the same."""
        stored = self.journal.next_batch(sink, most)
        if stored is None:
            assert self.sinks[sink].waiting == []
            return None, []
        events = stored.lines.splitlines()
        assert stored.repeated == (sink in self.written)
        assert self.written.setdefault(sink, (stored.last, events)) == (stored.last, events)
        assert events == self.sinks[sink].waiting[: len(events)]
        return stored, events

    @precondition(lambda self: self.sinks)
    @rule(data=st.data(), most=st.integers(1, 10), dead=st.integers(0, 2), withheld=st.integers(0, 2))
    def deliver(self, data, most: int, dead: int, withheld: int) -> None:
        sink = data.draw(st.sampled_from(sorted(self.sinks)))
        stored, events = self._write(sink, most)
        if stored is None:
            return
        rejected, kept = events[:dead], events[dead : dead + withheld]
        delivered = len(events) - len(rejected) - len(kept)
        letters = [("rejected: no", event) for event in rejected]
        self.journal.advance(sink, stored.last, delivered, letters, {"consent": len(kept)})
        del self.written[sink]
        model = self.sinks[sink]
        del model.waiting[: len(events)]
        model.done += delivered
        model.dead += rejected
        model.withheld += len(kept)

    @precondition(lambda self: self.sinks)
    @rule(data=st.data(), most=st.integers(1, 10))
    def retry_later(self, data, most: int) -> None:
        sink = data.draw(st.sampled_from(sorted(self.sinks)))
        self._write(sink, most)
        self.journal.note_error(sink, "OSError: down")

    @precondition(lambda self: self.sinks)
    @rule(data=st.data(), most=st.integers(1, 10))
    def write_and_crash(self, data, most: int) -> None:
        self._write(data.draw(st.sampled_from(sorted(self.sinks))), most)
        self.crash()

    @rule()
    def crash(self) -> None:
        self.journal.database.close()  # without the lock, and without a word
        self.journal = self._open()

    @rule()
    def tidy(self) -> None:
        self.journal.tidy()

    @precondition(lambda self: self.sinks)
    @rule(data=st.data())
    def housekeep(self, data) -> None:
        self.journal.housekeep(data.draw(st.sampled_from(sorted(self.sinks))), 30)

    @precondition(lambda self: len(self.sinks) > 1)
    @rule(data=st.data())
    def sink_is_gone(self, data) -> None:
        """It wasn't seen for a week; its dead letters are dropped with it here, so that the model may forget them."""
        gone, kept = data.draw(st.permutations(sorted(self.sinks)))[:2]
        drop_dead(self.path, None, gone)
        with self.journal.transaction() as database:
            database.execute("update sink set unseen_s = ? where name = ?", (MAX_UNSEEN_S, gone))
        self.journal.housekeep(kept, 30)
        del self.sinks[gone]
        self.written.pop(gone, None)

    # What officers do

    @precondition(lambda self: any(model.dead for model in self.sinks.values()))
    @rule(data=st.data(), retry=st.booleans())
    def see_to_dead_letters(self, data, retry: bool) -> None:
        letter = data.draw(st.sampled_from(list_dead(self.path)))
        model = self.sinks[letter.sink]
        event = model.dead.pop([one.id for one in list_dead(self.path, letter.sink)].index(letter.id))
        if retry:
            assert retry_dead(self.path, [letter.id]) == 1
            model.waiting.append(event)
        else:
            assert drop_dead(self.path, [letter.id]) == 1
            model.lost["dropped"] += 1

    # Damage

    @precondition(lambda self: any(model.waiting for model in self.sinks.values()))
    @rule()
    def set_aside(self) -> None:
        """All that waits is lost, and counted; letters and counters go on."""
        self.journal.set_aside(apsw.CorruptError("as if"))
        held = sum(map(len, self.held.values()))
        for model in self.sinks.values():
            model.lost["corrupt"] += len(model.waiting) + held
            model.waiting = []
        self.held = {}
        self.written = {}
        self.journal.open()
        for path in self.path.parent.glob("*.corrupt-*"):
            path.unlink()

    @invariant()
    def all_is_where_the_model_says(self) -> None:
        if not hasattr(self, "path"):
            return
        counts = read_counts(self.path)
        assert counts.closes, counts
        held = sum(map(len, self.held.values()))
        assert (counts.held, sum(worker.accepted for worker in counts.workers)) == (held, self.accepted)
        assert {
            sink.name: (sink.delivered, sink.withheld.get("consent", 0), sink.dead_lettered, sink.pending, sink.lost)
            for sink in counts.sinks
        } == {
            name: (
                one.done,
                one.withheld,
                len(one.dead),
                len(one.waiting) + held,
                {k: n for k, n in one.lost.items() if n},
            )
            for name, one in self.sinks.items()
        }


class KilledMachine(JournalMachine):
    """The same, with a process for each commit, that is killed within its next one: fewer steps."""

    @rule(count=st.integers(1, 3))
    def append(self, count: int) -> None:
        events = self._make(count)
        with python(CRASH, self.path, Path(__file__).parent.parent, *[event.decode() for event in events]) as process:
            process.communicate(timeout=60)
        assert process.returncode == -9
        self._accepted(events)


CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much]
JournalMachine.TestCase.settings = settings(
    max_examples=200 if LONG else 15,
    stateful_step_count=60 if LONG else 30,
    deadline=None,
    suppress_health_check=CHECKS,
)
KilledMachine.TestCase.settings = settings(
    max_examples=15 if LONG else 2, stateful_step_count=30 if LONG else 12, deadline=None, suppress_health_check=CHECKS
)
TestJournalAgainstModel = JournalMachine.TestCase
TestKilledProcessesAgainstModel = KilledMachine.TestCase
