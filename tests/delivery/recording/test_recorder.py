"""The recorder: never waits, counts exactly, commits soon."""

from __future__ import annotations

import collections
import threading
import time

import apsw
import pytest

from centtrack.consent.inventory import Inventory
from centtrack.consent.registry import CookieRegistry
from centtrack.delivery import clock
from centtrack.delivery.journal.cookie_table import read_cookies
from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.journal.schema import VERSION
from centtrack.delivery.recording.queue import MAX_ENTRIES
from centtrack.delivery.recording.recorder import Recorder
from centtrack.locks import FileLock
from centtrack.testing import make_event
from processes import run_python
from waiting import eventually

DEADLINE_S = 30


@pytest.fixture
def recorder(path):
    """Start a recorder: `recorder(**options)`."""
    made = []

    def make(**options):
        made.append(Recorder(path, **options))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.close(DEADLINE_S)


def stored(path):
    """How many events the journal holds, counted row by row."""
    journal = Journal(path)
    journal.open_existing()
    try:
        rows = journal.database.execute("select events from batch").fetchall()
        return sum(len(row[0].split(b"\n")) for row in rows)
    finally:
        journal.close()


def test_what_was_offered_is_accepted(recorder, path):
    one = recorder()
    for _ in range(1_000):
        one.queue.offer(make_event())
    assert one.flush(DEADLINE_S)
    [worker] = read_counts(path).workers
    assert (worker.offered, worker.accepted, worker.dropped, worker.state) == (1_000, 1_000, {}, "running")
    assert stored(path) == 1_000


@pytest.mark.parametrize(
    ("item", "accepted", "dropped"),
    [
        (make_event(), 1, {}),
        (make_event, 1, {}),  # made in the recorder's thread
        ("excluded", 0, {"excluded": 1}),
        (lambda: "bot", 0, {"bot": 1}),
        (lambda: 1 / 0, 0, {"capture_failed": 1}),
        (make_event(path="\ud800"), 0, {"capture_failed": 1}),  # a lone surrogate is no Unicode text
    ],
    ids=["event", "work", "reason", "work without event", "failing work", "lone surrogate"],
)
def test_what_becomes_of_an_offer(recorder, path, item, accepted, dropped):
    one = recorder()
    for offered in (make_event(), item, make_event()):
        one.queue.offer(offered)
    assert one.close(DEADLINE_S)
    [worker] = read_counts(path).workers
    assert (worker.offered, worker.accepted, worker.dropped) == (3, 2 + accepted, dropped)
    assert stored(path) == 2 + accepted


def test_a_full_queue_drops_and_counts_exactly(recorder, path):
    one = recorder()
    one.queue.offer(make_event())
    assert one.flush(DEADLINE_S)
    offered = 4 * MAX_ENTRIES  # what the thread took before it was stopped, what the queue holds, and more
    with FileLock(path.with_name("journal.db.lock")):  # another process is at the journal, and stays
        for _ in range(offered):
            one.queue.offer(make_event())
    assert one.close(DEADLINE_S)
    [worker] = read_counts(path).workers
    assert set(worker.dropped) == {"queue_full"}
    assert MAX_ENTRIES <= worker.accepted < offered
    assert worker.offered == offered + 1 == worker.accepted + worker.dropped["queue_full"]
    assert stored(path) == worker.accepted


def test_counts_of_many_threads_are_exact(recorder, path):
    one = recorder()
    threads = [threading.Thread(target=lambda: [one.queue.offer(make_event()) for _ in range(500)]) for _ in range(4)]
    threads += [threading.Thread(target=lambda: [one.queue.offer("excluded") for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert one.close(DEADLINE_S)
    [worker] = read_counts(path).workers
    assert (worker.offered, worker.accepted, worker.dropped) == (4_000, 2_000, {"excluded": 2_000})


def test_flush_says_when_it_took_too_long(recorder, path):
    one = recorder()
    assert one.flush(DEADLINE_S)
    with FileLock(path.with_name("journal.db.lock")):
        one.queue.offer(make_event())
        assert not one.flush(0.05)
    assert one.flush(DEADLINE_S)
    assert stored(path) == 1


def test_a_clean_end_is_noted(recorder, path):
    one = recorder()
    one.queue.offer(make_event())
    assert one.close(DEADLINE_S)
    assert [(worker.name, worker.state) for worker in read_counts(path).workers] == [(one.writer.worker, "ended")]


def test_an_offer_while_closing_does_not_keep_the_thread(path):
    """A request may be in the middle of recording when another thread closes."""
    late = collections.deque([make_event(), make_event()])
    closing = threading.Event()

    def offer_one_more():
        closing.wait(DEADLINE_S)
        if late:
            one.queue.offer(late.pop())

    one = Recorder(path, on_commit=offer_one_more)
    one.start()
    one.queue.offer(make_event())
    closer = threading.Thread(target=lambda: results.append(one.close(DEADLINE_S)))
    results = []
    closer.start()
    time.sleep(0.1)  # gives `close` the time to ask for its flush; without it the test passes, but tests less
    closing.set()
    closer.join(DEADLINE_S)
    assert results == [True]
    [worker] = read_counts(path).workers
    assert (worker.state, worker.offered, worker.accepted) == ("ended", 3, 3)


def test_an_offer_after_closing_is_not_lost_silently(path):
    """A request that took hold of the recorder before it closed."""
    one = Recorder(path)
    one.start()
    assert one.close(DEADLINE_S)
    assert not one.queue.offer(make_event())  # it says so, and the pipeline offers it to the next one
    [worker] = read_counts(path).workers
    assert (worker.offered, worker.state) == (0, "ended")


def test_events_wait_until_the_journal_can_be_written(tmp_path, caplog):
    folder = tmp_path / "state"
    folder.write_text("a file where the folder should be")
    one = Recorder(folder / "journal.db")
    one.start()
    one.queue.offer(make_event())
    eventually(lambda: one.writer.condition == "degraded")
    assert not one.flush(0.2)
    folder.unlink()
    assert one.close(DEADLINE_S)
    assert stored(folder / "journal.db") == 1
    assert [record.centtrack["event"] for record in caplog.records] == ["journal_unavailable", "journal_recovered"]


def test_closing_does_not_wait_for_a_journal_that_cannot_be_written(tmp_path):
    (tmp_path / "state").write_text("a file where the folder should be")
    one = Recorder(tmp_path / "state" / "journal.db")
    one.start()
    one.queue.offer(make_event())
    one.close(DEADLINE_S)
    assert one.flush(0) is False


def test_what_waits_for_the_journal_is_limited_and_counted(tmp_path):
    folder = tmp_path / "state"
    folder.write_text("a file where the folder should be")
    one = Recorder(folder / "journal.db")
    one.start()
    for _ in range(MAX_ENTRIES + 100):
        one.queue.offer(make_event())
    eventually(lambda: one.writer.condition == "degraded")
    folder.unlink()
    assert one.flush(DEADLINE_S)
    assert one.close(DEADLINE_S)
    [worker] = read_counts(folder / "journal.db").workers
    assert worker.offered == MAX_ENTRIES + 100 == worker.accepted + worker.dropped["queue_full"]
    assert stored(folder / "journal.db") == worker.accepted


def test_what_waits_is_reduced_first(tmp_path):
    """Nothing raw may wait in memory for a journal that can't be written."""
    (tmp_path / "state").write_text("a file where the folder should be")
    made = threading.Event()

    def work():
        made.set()
        return make_event()

    one = Recorder(tmp_path / "state" / "journal.db")
    one.start()
    eventually(lambda: one.writer.condition == "degraded")
    one.queue.offer(work)
    assert made.wait(DEADLINE_S)
    counts = one.queue.counts()
    assert (counts.offered, counts.entries) == (1, 1)
    one.close(DEADLINE_S)
    assert one.queue.counts().dropped == {"journal_failed": 1}


def test_an_error_of_ours_costs_events_not_the_thread(recorder, path, caplog):
    failing = [True]

    def totals():
        if failing:
            raise ValueError("visitor@example.org")
        return {}

    failing.clear()
    one = recorder(totals=totals)
    assert one.flush(DEADLINE_S)
    failing.append(True)
    one.queue.offer(make_event())
    eventually(lambda: one.queue.counts().dropped)
    failing.clear()
    one.queue.offer(make_event())
    assert one.close(DEADLINE_S)
    [worker] = read_counts(path).workers
    assert (worker.offered, worker.accepted, worker.dropped) == (2, 1, {"recorder_failed": 1})
    assert "visitor@" not in caplog.text


def test_a_journal_that_is_deleted_meanwhile_is_made_anew(recorder, path):
    """Commits into a file that nobody can open any more would be lost (reference/mechanisms.md)."""
    one = recorder()
    one.queue.offer(make_event())
    assert one.flush(DEADLINE_S)
    for file in path.parent.glob("journal*"):
        file.unlink()
    one.queue.offer(make_event())
    assert one.flush(DEADLINE_S)
    assert stored(path) == 1


def test_a_journal_of_a_newer_version_is_kept_and_said(path, caplog):
    journal = Journal(path)
    journal.open()
    journal.database.pragma("user_version", VERSION + 1)
    journal.close()
    before = path.read_bytes()
    one = Recorder(path)
    one.start()
    one.queue.offer(make_event())
    one.close(DEADLINE_S)
    assert path.read_bytes() == before
    assert [record.centtrack["event"] for record in caplog.records] == ["journal_unavailable", "journal_failed"]
    assert all("update centtrack" in record.getMessage() for record in caplog.records)


def test_events_are_held_for_the_end_of_their_bucket(recorder, path):
    one = recorder(bucket_s=3_600)
    begin = clock.now()
    for _ in range(10):
        one.queue.offer(make_event())
    assert one.flush(DEADLINE_S)
    counts = read_counts(path)
    assert counts.held == 10
    assert counts.held_until % 3_600 == 0
    assert begin < counts.held_until <= clock.now() + 3_600
    assert stored_rows(path) == 0


def stored_rows(path):
    journal = Journal(path)
    journal.open_existing()
    try:
        return journal.database.execute("select count(*) from batch").get
    finally:
        journal.close()


def test_a_failing_warm_up_does_not_stop_it(recorder, path):
    one = recorder(warm=lambda: 1 / 0)
    one.queue.offer(make_event())
    assert one.flush(DEADLINE_S)
    assert stored(path) == 1


def inventory_of(*lines, requests=0):
    inventory = Inventory(CookieRegistry(()), k=1)
    for line in lines:
        inventory.set(line, passed=True)
    for _ in range(requests):
        inventory.arrive(b"sid=theme=")
    return inventory


def test_cookies_are_written_down_with_the_events(recorder, path):
    inventory = inventory_of(b"sid=1; Path=/; Max-Age=60", requests=3)
    one = recorder(inventory=inventory)
    one.queue.offer(make_event())
    assert one.flush(DEADLINE_S)
    assert inventory.drain() == []
    rows = {row.name: (row.passed, row.arrived, row.longest_days) for row in read_cookies(path) if row.path}
    assert rows == {"sid": (1, 0, 1)}
    assert {row.name: row.arrived for row in read_cookies(path) if not row.path} == {"sid": 3, "theme": 3}


def test_cookies_are_written_down_without_events(recorder, path):
    one = recorder(inventory=inventory_of(b"sid=1"))
    assert one.flush(DEADLINE_S)
    assert [row.name for row in read_cookies(path)] == ["sid"]


def test_cookies_are_not_lost_when_a_commit_fails(recorder, path):
    inventory = inventory_of()
    one = recorder(inventory=inventory)
    one.queue.offer(make_event())
    assert one.flush(DEADLINE_S)
    for file in path.parent.glob("journal*"):
        file.unlink()  # the next commit finds no journal, and the one after it a new one
    inventory.set(b"sid=1", passed=True)
    one.queue.offer(make_event())
    assert one.flush(DEADLINE_S)
    assert [(row.name, row.passed) for row in read_cookies(path)] == [("sid", 1)]


def test_a_worker_is_noted_before_its_engines_are_warm(recorder, path):
    """Else one that is killed in its first second, under load, leaves no trace of what it was offered."""
    goes_on = threading.Event()
    one = recorder(warm=goes_on.wait)
    try:
        eventually(lambda: path.exists() and [w.name for w in read_counts(path).workers] == [one.writer.worker])
    finally:
        goes_on.set()


FORK = """
import os, sys, time, warnings
from pathlib import Path
from centtrack import PrivacyPolicy
from centtrack.capture.capture import Capture
from centtrack.capture.observation import Observation
from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.pipeline import Pipeline
from centtrack.sinks import open_sink

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 says that this process has threads
folder = Path(sys.argv[1])
pipeline = Pipeline(Capture(PrivacyPolicy.profile("cent")), [open_sink(f"jsonl:{folder}/events.jsonl")],
                    folder / "journal.db")

def record(count):
    for _ in range(count):
        pipeline.observe(Observation("http", None, [], 1.7e9, path=f"/{os.getpid()}", method="GET", status=200))

record(50)
assert pipeline.flush(60)
children = []
for _ in range(3):
    record(10)
    if (child := os.fork()) == 0:
        try:
            record(100)
            pipeline.flush(60)  # on a busy machine that takes longer than closing waits
            pipeline.close()
        finally:
            os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
record(20)
assert pipeline.flush(60)
while any(sink.pending for sink in read_counts(folder / "journal.db").sinks):
    time.sleep(0.05)
pipeline.close()
"""


FORK_WITH_COOKIES = """
import os, sys, warnings
from pathlib import Path
from centtrack import PrivacyPolicy
from centtrack.capture.capture import Capture
from centtrack.delivery.pipeline import Pipeline
from centtrack.sinks import open_sink

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 says that this process has threads
folder = Path(sys.argv[1])
pipeline = Pipeline(Capture(PrivacyPolicy.profile("cent")), [open_sink(f"jsonl:{folder}/events.jsonl")],
                    folder / "journal.db")
pipeline.start()
assert pipeline.flush(60)
inventory = pipeline.capture.inventory
inventory.set(b"parent=1", passed=True)  # seen, and not written down yet
for _ in range(9):
    inventory.arrive(b"script=")  # which isn't told before the tenth
if (child := os.fork()) == 0:
    try:
        pipeline.start()
        inventory.set(b"child=1", passed=True)
        inventory.arrive(b"script=")
        pipeline.flush(60)  # on a busy machine that takes longer than closing waits
        pipeline.close()
    finally:
        os._exit(0)
assert os.waitpid(child, 0)[1] == 0
pipeline.flush(60)
pipeline.close()
"""


def test_a_forked_child_does_not_count_its_parents_cookies(tmp_path):
    """Neither those that may be told, nor those that arrived too rarely for that."""
    run_python(FORK_WITH_COOKIES, tmp_path)
    assert {row.name: row.passed for row in read_cookies(tmp_path / "journal.db")} == {"parent": 1, "child": 1}


def test_a_forked_child_records_too(tmp_path):
    """Nothing hangs, and what the parent had queued is delivered once."""
    run_python(FORK, tmp_path)
    counts = read_counts(tmp_path / "journal.db")
    assert sorted(worker.accepted for worker in counts.workers) == [100, 100, 100, 100]
    assert {worker.state for worker in counts.workers} == {"ended"}
    assert counts.closes
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    ids = {line.split('"event_id":"')[1][:36] for line in lines}
    assert len(lines) == len(ids) == 400


def test_a_failure_after_the_commit_does_not_commit_twice(recorder, path, monkeypatch):
    one = recorder()
    assert one.flush(DEADLINE_S)
    monkeypatch.setattr("centtrack.delivery.recording.writer._MEASURE_S", 0)
    monkeypatch.setattr(Journal, "used_bytes", property(lambda _: _raise(apsw.IOError("disk I/O error"))))
    for _ in range(5):
        one.queue.offer(make_event())
    assert one.flush(DEADLINE_S)
    assert one.close(DEADLINE_S)
    monkeypatch.undo()
    [worker] = read_counts(path).workers
    assert (worker.offered, worker.accepted, stored(path)) == (5, 5, 5)


def _raise(error):
    raise error


def test_a_panic_of_an_engine_does_not_end_the_thread(recorder):
    class PanicError(BaseException):
        """As Rust's, which isn't an Exception."""

    one = recorder()
    one.queue.offer(lambda: _raise(PanicError("visitor@example.org")))
    one.queue.offer(make_event())
    assert one.flush(DEADLINE_S)
    assert one.state().is_alive
    assert (one.state().accepted, one.state().dropped) == (1, {"capture_failed": 1})


def test_while_the_journal_fails_it_is_not_tried_for_each_event(tmp_path):
    """It would take the time of the app's own thread."""
    (tmp_path / "state").write_text("a file where the folder should be")
    one = Recorder(tmp_path / "state" / "journal.db")
    one.start()
    eventually(lambda: one.writer.condition == "degraded")
    begun = time.monotonic()
    for _ in range(200):
        one.queue.offer(make_event())
        time.sleep(0.002)
    tried, seconds = len(one._encoded), time.monotonic() - begun
    assert tried <= 2 + 2 * seconds  # twice a second, on a busy machine as well
    one.close(DEADLINE_S)


NO_DESCRIPTORS = """
import os, resource, sys, time
from pathlib import Path
from centtrack.delivery.recording.recorder import Recorder
from centtrack.testing import make_event

one = Recorder(Path(sys.argv[1]), sinks=["s"])
one.start()
one.queue.offer(make_event())
assert one.flush(30)
if (child := os.fork()) == 0:  # closes the journal, which opens again when it is next used
    os._exit(0)
os.waitpid(child, 0)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
one.queue.offer(make_event())
until = time.monotonic() + 30
while one.writer.condition != "degraded" and time.monotonic() < until:
    time.sleep(0.01)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
assert one.flush(30)
assert one.close(30)
"""


def test_a_journal_that_could_not_be_opened_after_a_fork_is_tried_again(tmp_path):
    run_python("import warnings; warnings.simplefilter('ignore')\n" + NO_DESCRIPTORS, tmp_path / "journal.db")
    [worker] = read_counts(tmp_path / "journal.db").workers
    assert (worker.offered, worker.accepted, worker.state) == (2, 2, "ended")
