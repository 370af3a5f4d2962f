"""The deliverer: every event reaches the sink, whatever the sink does."""

from __future__ import annotations

import threading

import msgspec
import pytest

import journals
from centtrack.delivery.counters import read_counts
from centtrack.delivery.deliverer import Deliverer
from centtrack.delivery.journal import Journal
from centtrack.errors import Rejected, RetryLater
from centtrack.sinks.jsonl import JsonLinesSink
from centtrack.testing import MemorySink, make_event
from processes import kill_group, python
from waiting import eventually


@pytest.fixture
def journal(tmp_path):
    """An open journal, as the recorder has it."""
    one = Journal(tmp_path / "journal.db")
    one.open()
    yield one
    one.close()


@pytest.fixture
def deliver(journal):
    """Register a sink and deliver to it: `deliver(sink)`."""
    made = []

    def start(sink, **options):
        journal.register(sink.name)
        made.append(Deliverer(journal.path, sink, **options))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.drain(5)
        one.join()


def accept(journal, *events, row=100):
    """Accept events, so many a row."""
    encoded = [event if isinstance(event, bytes) else msgspec.json.encode(event) for event in events]
    for start in range(0, len(encoded), row):
        part = encoded[start : start + row]
        journals.accept(journal, *part)
    return list(events)


def counts_of(journal, name):
    return next(sink for sink in read_counts(journal.path).sinks if sink.name == name)


def ids(events):
    return sorted(event.event_id for event in events)


class Flaky(MemorySink):
    """Fails so many times, then works. Keeps what it is given twice, so that repetitions show."""

    def __init__(self, error, times=2, *, after=False):
        super().__init__()
        self.name = "flaky"
        self.errors = [error] * times
        self.writes_first = after
        self.batches = []

    def write(self, events):
        self.batches.append((events.sequence, events.repeated, len(events)))
        if self.errors and self.writes_first:
            super().write(events)
        if self.errors:
            raise self.errors.pop()
        super().write(events)


class PanicError(BaseException):
    """As deltalake's PanicException: not an Exception."""


@pytest.mark.parametrize(
    "error",
    [RetryLater("busy"), RetryLater("busy", after_s=0.1), OSError("no route"), ValueError("a bug"), PanicError("rust")],
    ids=repr,
)
@pytest.mark.parametrize("is_written", [False, True], ids=["before writing", "after writing"])
def test_a_sink_that_fails_and_works_again_gets_everything(journal, deliver, error, is_written):
    sink = Flaky(error, after=is_written)
    deliver(sink)
    events = accept(journal, *(make_event() for _ in range(250)))
    eventually(lambda: counts_of(journal, sink.name).delivered == 250)
    assert ids(sink.events) == ids(events)
    [first, *others] = sink.batches
    assert [batch[0] for batch in others[:2]] == [first[0]] * 2  # the same bounds until it is done
    assert [batch[1] for batch in sink.batches[:3]] == [False, True, True]
    assert (counts_of(journal, sink.name).error, counts_of(journal, sink.name).closes) == (None, True)


def test_trouble_is_said_once_and_shown_in_the_status(journal, deliver, caplog):
    sink = Flaky(RetryLater("the cluster is down"), times=1_000)
    deliver(sink)
    accept(journal, make_event())
    eventually(lambda: len(sink.batches) >= 3)
    assert counts_of(journal, "flaky").error == "RetryLater: the cluster is down"
    assert [record.getMessage() for record in caplog.records] == [
        "delivery to flaky fails and is tried again: RetryLater: the cluster is down"
    ]
    sink.errors.clear()
    eventually(lambda: counts_of(journal, "flaky").error is None)


def test_opening_is_tried_until_it_works(journal, deliver):
    class Sink(MemorySink):
        opened = 0

        def open(self):
            self.opened += 1
            if self.opened < 3:
                raise PanicError if self.opened == 1 else OSError

    sink = Sink()
    deliver(sink)
    accept(journal, make_event())
    assert len(sink.wait(1, 30)) == 1
    assert sink.opened == 3


class Picky(MemorySink):
    """Rejects a batch that has a bad event; keeps batches by stream and number, as the Delta table does."""

    def __init__(self):
        super().__init__()
        self.name = "picky"
        self.done = set()
        self.is_away = False

    def write(self, events):
        if (events.stream, events.sequence) in self.done:
            return
        if any(event.path == "poison" for event in events):
            raise Rejected("no poison")
        if self.is_away and len(self.events) >= 30:
            self.is_away = False
            raise RetryLater
        self.events.extend(events)
        self.done.add((events.stream, events.sequence))


def letters(journal):
    return journal.database.execute("select sink, reason, event from dead").fetchall()


@pytest.mark.parametrize("at", [0, 1, 49, 50, 99])
def test_one_bad_event_in_a_hundred(journal, deliver, at):
    sink = Picky()
    events = [make_event(path="poison" if number == at else "/") for number in range(100)]
    journal.register(sink.name)
    accept(journal, *events)
    deliver(sink)
    eventually(lambda: counts_of(journal, sink.name).pending == 0)
    assert ids(sink.events) == ids(events[:at] + events[at + 1 :])
    assert letters(journal) == [("picky", "rejected: no poison", msgspec.json.encode(events[at]))]
    counts = counts_of(journal, sink.name)
    assert (counts.accepted, counts.delivered, counts.dead_lettered, counts.closes) == (100, 99, 1, True)


def test_a_batch_of_bad_events_only(journal, deliver):
    sink = Picky()
    journal.register(sink.name)
    accept(journal, *(make_event(path="poison") for _ in range(7)))
    deliver(sink)
    eventually(lambda: counts_of(journal, sink.name).dead_lettered == 7)
    accept(journal, make_event())
    eventually(lambda: len(sink.events) == 1)


def test_a_sink_that_leaves_while_a_batch_is_halved(journal, deliver):
    """The halves that were taken are not taken again, the others are not left out."""
    sink = Picky()
    sink.is_away = True
    events = [make_event(path="poison" if number == 10 else "/") for number in range(100)]
    journal.register(sink.name)
    accept(journal, *events)
    deliver(sink)
    eventually(lambda: counts_of(journal, sink.name).pending == 0)
    assert not sink.is_away
    assert ids(sink.events) == ids(event for event in events if event.path == "/")
    assert counts_of(journal, sink.name).dead_lettered == 1


def marketing_is_private(event):
    """As the rule for a third party's sink: a reason, or None."""
    return {"/consent": "consent", "/signal": "signal"}.get(event.path)


def test_what_is_withheld_is_counted_by_reason_and_never_written(journal, deliver):
    first, third = MemorySink(), Picky()
    paths = ["/", "/consent", "/", "/signal", "/consent", "/"]
    events = [make_event(path=path, time_precision="second") for path in paths]
    journal.register(third.name)
    deliver(first)
    accept(journal, *events, row=2)
    deliver(third, withhold=marketing_is_private)
    eventually(lambda: counts_of(journal, "picky").pending == 0)
    assert ids(third.events) == ids(event for event in events if event.path == "/")
    assert len(first.wait(6)) == 6
    counts = counts_of(journal, "picky")
    assert (counts.accepted, counts.delivered, counts.withheld) == (6, 3, {"consent": 2, "signal": 1})
    assert counts.closes
    assert counts_of(journal, first.name).withheld == {}


def test_a_batch_of_which_all_is_withheld_is_not_written(journal, deliver):
    sink = Flaky(OSError("nothing should come"))
    deliver(sink, withhold=lambda _event: "consent")
    accept(journal, *(make_event() for _ in range(5)), b"not json")
    eventually(lambda: counts_of(journal, "flaky").pending == 0)
    counts = counts_of(journal, "flaky")
    assert (counts.delivered, counts.withheld, counts.dead_lettered, sink.batches) == (0, {"consent": 5}, 1, [])
    assert counts.closes


@pytest.mark.parametrize("is_written", [False, True], ids=["before writing", "after writing"])
def test_a_repeated_batch_has_the_same_events_and_is_counted_once(journal, deliver, is_written):
    sink = Flaky(RetryLater("busy"), after=is_written)
    journal.register(sink.name)
    paths = ["/", "/consent"] * 20
    accept(journal, *(make_event(path=path) for path in paths))
    deliver(sink, withhold=marketing_is_private)
    eventually(lambda: counts_of(journal, "flaky").pending == 0)
    assert {size for _, _, size in sink.batches} == {20}
    assert len({sequence for sequence, _, _ in sink.batches}) == 1
    counts = counts_of(journal, "flaky")
    assert (counts.delivered, counts.withheld, len(sink.events), counts.closes) == (20, {"consent": 20}, 20, True)


def test_a_bad_event_among_withheld_ones(journal, deliver):
    sink = Picky()
    paths = ["/consent", "/", "poison", "/signal", "/"]
    journal.register(sink.name)
    accept(journal, *(make_event(path=path) for path in paths))
    deliver(sink, withhold=marketing_is_private)
    eventually(lambda: counts_of(journal, "picky").pending == 0)
    counts = counts_of(journal, "picky")
    assert (counts.delivered, counts.dead_lettered, sum(counts.withheld.values()), counts.closes) == (2, 1, 2, True)


@pytest.mark.parametrize("unreadable", [b"not json", b"{}", b'{"event_id": 1}', b"\xff\xfe"], ids=repr)
def test_what_cannot_be_read_is_a_dead_letter(journal, deliver, unreadable):
    sink = MemorySink()
    deliver(sink)
    good = accept(journal, make_event(), make_event())
    eventually(lambda: len(sink.events) == 2)
    accept(journal, msgspec.json.encode(make_event()), unreadable, msgspec.json.encode(make_event()))
    eventually(lambda: counts_of(journal, sink.name).dead_lettered == 1)
    assert len(sink.wait(4)) == 4
    [(_, reason, event)] = letters(journal)
    assert reason.startswith("unreadable: ")
    assert event == unreadable
    assert ids(good)[0] in ids(sink.events)
    assert counts_of(journal, sink.name).closes


def test_a_hanging_sink_delays_no_other(journal, deliver):
    class Hanging(MemorySink):
        def __init__(self):
            super().__init__()
            self.name = "hanging"
            self.goes_on = threading.Event()

        def write(self, events):
            self.goes_on.wait(60)
            super().write(events)

    slow, quick = Hanging(), MemorySink()
    deliver(slow)
    deliver(quick)
    accept(journal, *(make_event() for _ in range(1_000)))
    assert len(quick.wait(1_000, 30)) == 1_000
    assert slow.events == []
    assert counts_of(journal, "hanging").pending == 1_000
    slow.goes_on.set()
    assert len(slow.wait(1_000, 30)) == 1_000


def test_order_of_coarse_times_says_nothing(journal, deliver):
    """Within a batch events go in the order of their random ids, unless the policy allows their second."""
    coarse = [make_event(time_precision="hour") for _ in range(200)]
    sink = MemorySink()
    journal.register(sink.name)
    accept(journal, *coarse, row=10)
    deliver(sink)
    assert [event.event_id for event in sink.wait(200, 30)] == ids(coarse)


def test_order_is_kept_where_times_tell_it_anyway(journal, deliver):
    fine = [make_event(time_precision="second") for _ in range(200)]
    sink = MemorySink()
    journal.register(sink.name)
    accept(journal, *fine, row=10)
    deliver(sink)
    assert sink.wait(200, 30) == fine


def test_draining_delivers_what_is_there_and_ends(journal, deliver):
    sink = MemorySink()
    sink.linger_s = 3_600  # it would like to gather for an hour
    journal.register(sink.name)
    events = accept(journal, *(make_event() for _ in range(25_000)), row=1_000)
    one = deliver(sink)
    one.drain(60)
    assert one.join()
    assert ids(sink.events) == ids(events)


def test_draining_ends_at_the_deadline(journal, deliver):
    one = deliver(Flaky(OSError("down"), times=1_000_000))
    accept(journal, make_event())
    one.drain(0.5)
    one.join()
    eventually(lambda: not any(thread.name == "centtrack-deliver-flaky" for thread in threading.enumerate()))
    assert counts_of(journal, "flaky").pending == 1


def test_events_are_gone_from_the_disk_when_all_is_delivered(journal, deliver):
    sink = MemorySink()
    deliver(sink)
    accept(journal, *(make_event(path="/visitor/4711") for _ in range(2_000)))
    sink.wait(2_000, 30)
    files = [journal.path, journal.path.with_name("journal.db-wal")]
    eventually(lambda: not any(b"/visitor/4711" in file.read_bytes() for file in files))


def test_one_of_two_delivers(journal, deliver):
    """Two workers of a host, each with a deliverer of the same name."""
    one, two = MemorySink(), MemorySink()
    deliver(one)
    deliver(two)
    for number in range(1, 6):
        accept(journal, make_event(), make_event())
        eventually(lambda due=2 * number: counts_of(journal, "memory:").delivered == due)
    assert sorted([len(one.events), len(two.events)]) == [0, 10]


def test_the_other_takes_over_when_one_ends(journal, deliver):
    one, two = MemorySink(), MemorySink()
    first = deliver(one)
    accept(journal, make_event())
    one.wait(1, 30)
    deliver(two)
    first.drain(5)
    assert first.join()
    accept(journal, make_event())
    assert len(two.wait(1, 30)) == 1


DELIVERER = """
import sys, threading
from pathlib import Path
from centtrack.delivery.deliverer import Deliverer
from centtrack.sinks import open_sink
Deliverer(Path(sys.argv[1]), open_sink(sys.argv[2])).start()
print("started", flush=True)
threading.Event().wait()
"""


def test_another_process_takes_over_when_the_deliverer_is_killed(tmp_path, journal, deliver):
    file = tmp_path / "events.jsonl"
    sink = JsonLinesSink(f"jsonl:{file}")
    journal.register(sink.name)
    events = accept(journal, *(make_event() for _ in range(500)))

    def written():
        return [msgspec.json.decode(line)["event_id"] for line in file.read_bytes().split(b"\n") if line]

    with python(DELIVERER, journal.path, sink.name) as process:
        eventually(lambda: file.exists() and len(written()) == 500)
        deliver(sink)
        for _ in range(10):
            events += accept(journal, *(make_event() for _ in range(100)))
        kill_group(process)
    events += accept(journal, *(make_event() for _ in range(100)))
    eventually(lambda: counts_of(journal, sink.name).pending == 0)
    assert sorted(written()) == ids(events)
    assert counts_of(journal, sink.name).delivered == len(events)
