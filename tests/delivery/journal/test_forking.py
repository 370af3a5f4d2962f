"""A process that forks while its threads use the journal: nobody waits for locks that nobody holds."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.journal.forking import Forkable
from centtrack.delivery.journal.journal_file import JournalGoneError
from centtrack.locks import FileLock
from journals import accept
from processes import run_python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

CHILDREN = 30
FORK = """
import os, sys, threading, warnings
from pathlib import Path
from centtrack.delivery.journal.journal import Journal
sys.path.append(sys.argv[3])
from journals import accept
warnings.simplefilter("ignore")  # Python warns of forking with threads
path = Path(sys.argv[1])
stop, written = threading.Event(), []
def write(name):
    journal = Journal(path)
    journal.open()
    journal.register("s")
    count = 0
    while not stop.is_set():
        accept(journal, b"a", worker=name)
        count += 1
        stored = journal.next_batch("s", 10) if name == "one" else None
        if stored:
            journal.advance("s", stored.last, stored.total)
    journal.close()
    written.append(count)
threads = [threading.Thread(target=write, args=(name,)) for name in ("one", "two")]
for thread in threads:
    thread.start()
for number in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        journal = Journal(path)
        journal.open()
        accept(journal, b"b", worker="child")
        journal.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
print(sum(written))
"""


def test_children_that_open_it_anew(tmp_path):
    path = tmp_path / "journal.db"
    written = int(run_python(FORK, path, CHILDREN, Path(__file__).parents[2]))
    counts = read_counts(path)
    accepted = {worker.name: worker.accepted for worker in counts.workers}
    assert accepted["child"] == CHILDREN
    assert accepted["one"] + accepted["two"] == written
    assert counts.closes


def fork():
    """Fork, and end the child; what it would say of the journals in it."""
    child = os.fork()
    if not child:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_after_a_fork_it_goes_on(journal):
    journal.register("s")
    accept(journal, b"a")
    fork()
    accept(journal, b"b")
    fork()
    assert journal.next_batch("s", 10).lines == b"a\nb\n"
    fork()
    assert journal.used_bytes > 0


def test_one_that_was_removed_at_the_time_is_gone(journal):
    journal.suspend()
    journal.path.unlink()
    with pytest.raises(JournalGoneError):
        accept(journal, b"a")


def test_one_that_could_not_open_again_does_at_its_next_use(journal):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    fork()
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            accept(journal, b"a")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    accept(journal, b"b")
    assert [worker.accepted for worker in read_counts(journal.path).workers] == [1]


def test_a_fork_waits_for_no_lock_of_another_process(journal):
    with FileLock(journal.lock.path):  # as another process holds it: a lock of its own
        fork()
    accept(journal, b"a")
    assert [worker.accepted for worker in read_counts(journal.path).workers] == [1]


class Busy:
    """Taken as `using` of something that is in use for longer than a fork waits; notes how long it would have."""

    def __init__(self, waited):
        self._waited = waited

    def acquire(self, *, timeout):
        self._waited.append(timeout)
        time.sleep(timeout)
        return False


def test_a_fork_waits_a_second_for_all_of_them_together():
    waited, several = [], [Forkable() for _ in range(5)]
    for one in several:
        one.using = Busy(waited)
    fork()
    assert len(waited) == 5
    assert 0 < sum(waited) <= 1


def test_one_that_is_closed_stays_closed(journal):
    journal.close()
    fork()
    assert list(journal.path.parent.glob("*-shm")) == []
