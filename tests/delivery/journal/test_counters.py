"""The counters: whether they close, and what they say of workers and sinks."""

from __future__ import annotations

import os
import threading

import pytest

from centtrack.delivery.journal.counters import SinkCounts, WorkerCounts, read_counts
from centtrack.delivery.journal.journal import Journal
from centtrack.errors import JournalError
from journals import ACCEPTED, EXCLUDED, OFFERED, accept, hold
from processes import python, run_python


@pytest.mark.parametrize(
    ("offered", "accepted", "dropped", "in_flight"),
    [(0, 0, {}, 0), (5, 5, {}, 0), (5, 2, {"excluded": 2, "bot": 1}, 0), (5, 2, {"excluded": 2}, 1)],
)
def test_what_is_in_flight(offered, accepted, dropped, in_flight):
    assert WorkerCounts("w", "running", offered, accepted, dropped).in_flight == in_flight


@pytest.mark.parametrize(
    ("accepted", "delivered", "dead", "pending", "closes"),
    [(0, 0, 0, 0, True), (9, 5, 1, 3, True), (9, 5, 1, 2, False), (9, 9, 1, 0, False)],
)
def test_whether_a_sink_closes(accepted, delivered, dead, pending, closes):
    assert SinkCounts("s", accepted, delivered, dead, pending, None).closes is closes


def test_what_is_withheld_is_accounted_for():
    assert SinkCounts("s", 9, 4, 1, 1, None, {"consent": 2, "signal": 1}).closes
    assert not SinkCounts("s", 9, 5, 1, 1, None, {"consent": 3}).closes


def test_what_is_lost_is_accounted_for():
    assert SinkCounts("s", 9, 4, 1, 1, None, {"consent": 2}, {"damaged": 1}).closes
    assert not SinkCounts("s", 9, 4, 1, 1, None, {"consent": 2}, {"damaged": 2}).closes


def test_all_counters_of_a_journal(journal):
    journal.register("s")
    journal.begin_worker("w", os.getpid())
    accept(journal, b"a", b"b", counts={OFFERED: 4, ACCEPTED: 2, EXCLUDED: 1})
    hold(journal, 3_600, {"id": b"c"})
    counts = read_counts(journal.path)
    assert counts.workers == [WorkerCounts("w", "running", 5, 3, {"excluded": 1})]
    assert counts.sinks == [SinkCounts("s", 3, 0, 0, 3, None)]
    assert (counts.held, counts.held_until) == (1, 3_600)
    assert counts.bytes > 0
    assert counts.closes


@pytest.mark.parametrize(("counts", "closes"), [({OFFERED: 2, ACCEPTED: 2}, True), ({OFFERED: 3, ACCEPTED: 2}, False)])
def test_a_worker_that_ended_must_close(journal, counts, closes):
    journal.begin_worker("w", os.getpid())
    accept(journal, b"a", b"b", counts=counts)
    assert read_counts(journal.path).closes  # while it runs, what is in flight is not known yet
    journal.end_worker("w")
    assert read_counts(journal.path).closes is closes


def test_trouble_of_a_sink_is_shown_until_it_is_over(journal):
    journal.register("s")
    accept(journal, b"a")
    journal.note_error("s", "OSError: down")
    assert [sink.error for sink in read_counts(journal.path).sinks] == ["OSError: down"]
    journal.advance("s", journal.next_batch("s", 10).last, 1)
    assert [sink.error for sink in read_counts(journal.path).sinks] == [None]


WORKER = """
import os, sys, threading
from pathlib import Path
from centtrack.delivery.recording.recorder import Recorder
from centtrack.testing import make_event
recorder = Recorder(Path(sys.argv[1]))
recorder.start()
recorder.queue.offer(make_event())
assert recorder.flush(30)
if sys.argv[2] == "ends":
    recorder.close(30)
print(flush=True)
if sys.argv[2] == "runs":
    threading.Event().wait()
os._exit(0)
"""


def test_a_worker_that_ended_cleanly(tmp_path):
    run_python(WORKER, tmp_path / "journal.db", "ends")
    assert [worker.state for worker in read_counts(tmp_path / "journal.db").workers] == ["ended"]


def test_a_worker_that_was_killed(tmp_path):
    run_python(WORKER, tmp_path / "journal.db", "dies")
    assert [worker.state for worker in read_counts(tmp_path / "journal.db").workers] == ["killed"]


def test_a_worker_that_runs(tmp_path):
    with python(WORKER, tmp_path / "journal.db", "runs") as process:
        process.stdout.readline()
        assert [worker.state for worker in read_counts(tmp_path / "journal.db").workers] == ["running"]


def test_a_killed_worker_whose_process_id_another_got(tmp_path):
    """In a container each start has the same process id, so a process with that id proves nothing."""
    run_python(WORKER, tmp_path / "journal.db", "dies")
    journal = Journal(tmp_path / "journal.db")
    journal.open()
    with journal.transaction() as database:
        database.execute("update worker set pid = ?", (os.getpid(),))
    journal.close()
    assert [worker.state for worker in read_counts(tmp_path / "journal.db").workers] == ["killed"]


def test_reading_while_workers_write(journal):
    done = threading.Event()

    def write():
        mine = Journal(journal.path)
        mine.open()
        while not done.is_set():
            accept(mine, b"a")
        mine.close()

    journal.register("s")
    writer = threading.Thread(target=write)
    writer.start()
    seen = [read_counts(journal.path) for _ in range(50)]
    done.set()
    writer.join()
    assert all(counts.closes for counts in seen)
    offered = [sum(worker.offered for worker in counts.workers) for counts in seen]
    assert offered == sorted(offered)


def test_a_counter_of_an_unknown_name_is_no_trouble(journal):
    """A bit flipped in its name: what it counted is missing, the others are shown."""
    accept(journal, b"a", counts={OFFERED: 2, ("accepuee", ""): 1, EXCLUDED: 1})
    assert [(one.offered, one.accepted, one.dropped) for one in read_counts(journal.path).workers] == [
        (2, 0, {"excluded": 1})
    ]


def test_of_a_sink_that_was_removed_is_told_what_waited(journal):
    with journal.transaction() as database:
        database.execute(
            "insert into lost values ('gone', 'dropped', 2), ('gone', 'unseen', 5), ('other', 'dropped', 3)"
        )
    assert read_counts(journal.path).removed == {"gone": 5}


def test_there_is_none(tmp_path):
    with pytest.raises(JournalError, match="no journal at"):
        read_counts(tmp_path / "journal.db")


def test_one_that_is_damaged(journal):
    for number in range(200):
        accept(journal, b"x" * 500, worker=f"w{number}")
    journal.close()
    data = journal.path.read_bytes()
    journal.path.write_bytes(data[:4_096] + b"\xff" * (len(data) - 4_096))
    with pytest.raises(JournalError):
        read_counts(journal.path)
