"""Row 5: the journal's file is truncated, or bits flip in it, while the app runs or is stopped."""

from __future__ import annotations

import contextlib
import os
import secrets

import apsw
import pytest

from centtrack.errors import JournalError
from faults.apps import Host, accepted
from faults.judge import TESTS, CountingSink
from faults.table import LONG
from processes import run_python
from waiting import eventually

ROUNDS = 8 if LONG else 1
BEFORE, AFTER = 4_000 if LONG else 1_500, 300
SEED_VARIABLE = "CENTTRACK_FAULTS_SEED"

# In a process of its own: to close a file would take the locks on it from this one.
DAMAGE = """
import os, random, sys
path, how, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
size = os.path.getsize(path)
chance = random.Random(seed)
if how == "emptied":
    os.truncate(path, 0)
elif how == "cut":
    os.truncate(path, chance.randrange(1, size))
else:
    last = {"flipped": size, "header": 100}[how]
    with open(path, "r+b") as file:
        for _ in range(chance.randint(1, 20)):
            place = chance.randrange(last - 4)
            place += 4 * (place >= 60)  # not the tables' version: one that is newer is row 28's
            file.seek(place)
            [byte] = file.read(1)
            file.seek(place)
            file.write(bytes([byte ^ 1 << chance.randrange(8)]))
"""
HOW = {
    "emptied": "truncated to nothing",
    "cut": "truncated anywhere",
    "header": "with 1 to 20 flipped bits in its header",
    "flipped": "with 1 to 20 flipped bits",
}
RUNNING, STOPPED_BEFORE = True, False
CASES = [
    ("emptied", "", RUNNING),
    ("cut", "", STOPPED_BEFORE),
    ("header", "", STOPPED_BEFORE),
    ("flipped", "", RUNNING),
    ("flipped", "-wal", STOPPED_BEFORE),
]
if LONG:
    kinds = [("emptied", ""), ("cut", ""), ("header", ""), ("flipped", ""), ("cut", "-wal"), ("flipped", "-wal")]
    CASES = [(*kind, is_running) for kind in kinds for is_running in (RUNNING, STOPPED_BEFORE)]


class Tap(CountingSink):
    """A sink that is down until it is opened."""

    def __init__(self):
        super().__init__(self._check)
        self.is_open = False

    def _check(self, _batch):
        if not self.is_open:
            raise ConnectionError


def counts_of(host):
    """The counters; None as long as the journal can't be read."""
    with contextlib.suppress(JournalError, OSError, apsw.Error):
        return host.counts()
    return None


def is_noticed(host):
    """Whether the damaged journal is out of the way, or did no harm to what waits."""
    counts = counts_of(host)
    return counts and counts.sinks and (counts.set_aside or all(sink.pending == 0 for sink in counts.sinks))


def is_delivered(host, sink):
    return sum(path.startswith("/after/") for path in list(sink.paths)) == AFTER


# Records, and ends without a word.
STOPPED = """
import os, sys
from pathlib import Path
folder, events, suffix = Path(sys.argv[1]), int(sys.argv[3]), sys.argv[4]
sys.path.insert(0, sys.argv[2])
from faults.apps import Host
from faults.test_damage import Tap, empty_log

host = Host(folder, Tap())
host.visit_all(events, at_once=200)
if not suffix:
    empty_log(host)
os._exit(0)
"""


def empty_log(host):
    """Bring all that is committed to the database itself."""
    connection = apsw.Connection(str(host.journal))
    connection.set_busy_timeout(10_000)
    connection.pragma("user_version")  # a connection that has read nothing knows of no log
    assert connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE) == (0, 0)
    connection.close()


def begin(folder, sink, suffix, *, is_running):
    """A host whose journal holds many events in the file that will be damaged; it isn't started yet, if stopped."""
    host = Host(folder, sink)
    if is_running:
        host.visit_all(BEFORE, at_once=200)
        if not suffix:
            empty_log(host)
    else:
        run_python(STOPPED, folder, TESTS, BEFORE, suffix)
        host.visited.update(f"/{number}" for number in range(BEFORE))
    return host


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize(("how", "suffix", "is_running"), CASES)
def test_damaged_journal(tmp_path, found, how, suffix, is_running, number):
    seed = int(os.environ.get(SEED_VARIABLE) or secrets.randbits(32))
    print(f"\n{SEED_VARIABLE}={seed}")  # noqa: T201 - to do it again
    sink = Tap()
    host = begin(tmp_path, sink, suffix, is_running=is_running)
    run_python(DAMAGE, host.journal.with_name(host.journal.name + suffix), how, seed)
    host.visit(100, "/during/")
    sink.is_open = True
    eventually(lambda: is_noticed(host), within_s=60)
    host.visit_all(AFTER, "/after/")
    eventually(lambda: is_delivered(host, sink), within_s=60)
    host.close()

    counts = host.counts()
    assert set(sink.paths) <= set(host.visited)  # nothing that was never written
    assert sink.verdict.doubled == 0
    found.setdefault((how, suffix, is_running), []).append((counts, host.visited.total(), sink.verdict.distinct))
    assert counts.closes


@pytest.fixture(scope="module")
def found(row):
    """(how, file, whether it ran) → (counts, visits, delivered) of each round; reported at the end."""
    rounds = {}
    yield rounds
    for (how, suffix, is_running), results in sorted(rounds.items()):
        sinks = [sink for counts, _, _ in results for sink in counts.sinks]
        row(
            5,
            f"{'log' if suffix else 'database'} {HOW[how]} while {'running' if is_running else 'stopped'}",
            rounds=len(results),
            set_aside=sum(len(counts.set_aside) for counts, _, _ in results),
            answered=sum(visits for _, visits, _ in results),
            accepted=sum(accepted(counts) for counts, _, _ in results),
            delivered=sum(delivered for _, _, delivered in results),
            lost_corrupt=sum(sink.lost.get("corrupt", 0) for sink in sinks),
            lost_damaged=sum(sink.lost.get("damaged", 0) for sink in sinks),
            counters_close=f"{sum(counts.closes for counts, _, _ in results)} times",
        )
