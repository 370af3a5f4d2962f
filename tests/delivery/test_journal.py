"""The journal: what was committed is there, for each sink, once."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
import tempfile
from pathlib import Path

import apsw
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from centtrack.delivery.counters import read_counts
from centtrack.delivery.journal import Journal
from centtrack.delivery.records import Encoded
from centtrack.delivery.schema import VERSION
from centtrack.errors import JournalError
from journals import ACCEPTED, EXCLUDED, OFFERED, accept, append_batches, hold


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
def opened(path):
    """Open the journal, as a process does: `opened()`."""
    made = []

    def make():
        made.append(Journal(path))
        made[-1].open()
        return made[-1]

    yield make
    for journal in made:
        journal.close()


def batch(journal, sink, most=100):
    """What a sink gets next, as (events, repeated)."""
    found = journal.next_batch(sink, most)
    return found and (found.lines.splitlines(), found.repeated)


def pass_on(journal, sink):
    """Deliver all that waits for a sink."""
    delivered = []
    while found := journal.next_batch(sink, 100):
        events = found.lines.splitlines()
        journal.advance(sink, found.last, len(events))
        delivered += events
    return delivered


def rows(journal):
    return journal.database.execute("select count(*) from batch").get


# Its file


def test_its_folder_and_files_are_the_owners_only(tmp_path):
    before = os.umask(0)
    try:
        journal = Journal(tmp_path / "state" / "journal.db")
        journal.open()
        accept(journal, b"a")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "state").iterdir()}
        journal.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert modes == {"journal.db": 0o600, "journal.db-wal": 0o600, "journal.db-shm": 0o600, "journal.lock": 0o600}


def test_it_is_not_opened_through_a_symbolic_link(tmp_path, path):
    path.symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(OSError, match="symbolic"):
        Journal(path).open()
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_newer_version_is_refused_and_kept(opened, path):
    journal = opened()
    accept(journal, b"precious")
    journal.database.pragma("user_version", VERSION + 1)
    journal.close()
    before = path.read_bytes()
    for open_it in (Journal(path).open, Journal(path).open_existing, lambda: read_counts(path)):
        with pytest.raises(JournalError, match="update centtrack, or name another file with journal="):
            open_it()
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"my notes\n" * 1_000, b"SQLite format 3\0" + b"x" * 5_000])
def test_a_file_that_is_no_database_is_refused_and_kept(path, content):
    path.write_bytes(content)
    for open_it in (Journal(path).open, Journal(path).open_existing):
        with pytest.raises(JournalError, match="not a journal"):
            open_it()
    assert path.read_bytes() == content


@pytest.mark.parametrize("version", [0, VERSION])
def test_a_database_of_another_program_is_refused_and_kept(path, version):
    with sqlite3.connect(path) as database:
        database.execute("create table customer (name text)")
        database.execute(f"pragma user_version = {version}")
    database.close()
    before = path.read_bytes()
    for open_it in (Journal(path).open, Journal(path).open_existing, lambda: read_counts(path)):
        with pytest.raises(JournalError, match="not a journal"):
            open_it()
    assert path.read_bytes() == before


def test_one_that_is_not_there_is_not_made_by_reading(path):
    with pytest.raises(JournalError, match="no journal"):
        Journal(path).open_existing()
    assert list(path.parent.iterdir()) == []


def test_it_says_that_it_is_not_open(path):
    with pytest.raises(JournalError, match="not open"):
        Journal(path).has_pending("s")


def test_its_id_stays(opened):
    first, second = opened(), opened()
    assert first.id == second.id != ""


def test_several_processes_create_it_and_append_at_once(opened, path):
    processes, batches = 4, 200
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        pool.starmap(append_batches, [(path, f"w{number}", batches) for number in range(processes)])
        pool.close()
        pool.join()
    counts = read_counts(path)
    assert {worker.name: worker.accepted for worker in counts.workers} == {f"w{n}": batches for n in range(processes)}
    journal = opened()
    found = [row[0].decode() for row in journal.database.execute("select events from batch order by sequence")]
    expected = [f"w{worker}/{number}" for worker in range(processes) for number in range(batches)]
    assert sorted(found) == sorted(expected)
    for worker in range(processes):  # each one's in its order
        assert [one for one in found if one.startswith(f"w{worker}/")] == [f"w{worker}/{n}" for n in range(batches)]


def test_a_failed_transaction_leaves_nothing(opened):
    journal = opened()
    with pytest.raises(apsw.Error):
        journal.append(Encoded(2, b"a", [(None, "id", b"b")]), worker="w", counts={ACCEPTED: 2})
    assert rows(journal) == 0
    accept(journal, b"c")
    assert rows(journal) == 1


# Cursors


def test_each_sink_gets_everything_in_order(opened):
    journal = opened()
    for sink in ("one", "two"):
        journal.register(sink)
    accept(journal, b"a", b"b")
    accept(journal, b"c")
    assert pass_on(journal, "one") == [b"a", b"b", b"c"]
    assert batch(journal, "one") is None
    accept(journal, b"d")
    assert pass_on(journal, "two") == [b"a", b"b", b"c", b"d"]
    assert pass_on(journal, "one") == [b"d"]


def test_a_new_sink_starts_now(opened, path):
    journal = opened()
    journal.register("old")
    accept(journal, b"before")
    journal.register("new")
    accept(journal, b"after")
    assert pass_on(journal, "new") == [b"after"]
    assert pass_on(journal, "old") == [b"before", b"after"]
    assert {sink.name: (sink.accepted, sink.delivered, sink.closes) for sink in read_counts(path).sinks} == {
        "old": (2, 2, True),
        "new": (1, 1, True),
    }


def test_registering_again_changes_nothing(opened):
    journal = opened()
    journal.register("s")
    accept(journal, b"a")
    journal.register("s")
    assert pass_on(journal, "s") == [b"a"]


def test_rows_go_when_all_sinks_have_passed_them(opened):
    journal = opened()
    for sink in ("one", "two"):
        journal.register(sink)
    for event in (b"a", b"b", b"c"):
        accept(journal, event)
    pass_on(journal, "one")
    assert rows(journal) == 3
    first = journal.next_batch("two", 1)
    journal.advance("two", first.last, 1)
    assert rows(journal) == 2
    pass_on(journal, "two")
    assert rows(journal) == 0


def test_sequences_are_never_used_again(opened):
    """A sink tells a repeated batch by its number, so an emptied journal must not begin anew."""
    journal = opened()
    journal.register("s")
    accept(journal, b"a")
    first = journal.next_batch("s", 10)
    journal.advance("s", first.last, 1)
    journal.tidy()
    journal.close()
    journal = opened()
    accept(journal, b"b")
    assert journal.next_batch("s", 10).last > first.last


@pytest.mark.parametrize(
    ("sizes", "most", "expected"),
    [
        ([3, 3, 3], 100, [9]),
        ([3, 3, 3], 3, [3, 3, 3]),
        ([3, 3, 3], 4, [6, 3]),  # a row is never divided
        ([10, 1], 2, [10, 1]),  # nor refused for its size
        ([1, 1, 1, 1, 1], 2, [2, 2, 1]),
    ],
)
def test_size_of_a_batch(opened, sizes, most, expected):
    journal = opened()
    journal.register("s")
    for size in sizes:
        accept(journal, *[b"x"] * size)
    found = []
    while stored := journal.next_batch("s", most):
        found.append(len(stored.lines.splitlines()))
        journal.advance("s", stored.last, found[-1])
    assert found == expected


def test_a_repeated_batch_has_the_same_bounds(opened):
    """A crash between writing and moving the cursor: what came since must not slip into the repetition."""
    journal = opened()
    journal.register("s")
    accept(journal, b"a")
    accept(journal, b"b")
    first = journal.next_batch("s", 100)
    journal.close()
    journal = opened()
    accept(journal, b"c")
    again = journal.next_batch("s", 1)
    assert (first.repeated, again.repeated) == (False, True)
    assert (again.last, again.lines) == (first.last, first.lines) == (first.last, b"a\nb\n")
    journal.advance("s", again.last, 2)
    assert batch(journal, "s") == ([b"c"], False)


def test_dead_letters_are_kept_and_counted(opened, path):
    journal = opened()
    journal.register("s")
    accept(journal, b"good", b"bad")
    last = journal.next_batch("s", 10).last
    journal.advance("s", last, 1, [("rejected: too bad", b"bad")])
    assert journal.database.execute("select sink, reason, event from dead").fetchall() == [
        ("s", "rejected: too bad", b"bad")
    ]
    [sink] = read_counts(path).sinks
    assert (sink.accepted, sink.delivered, sink.dead_lettered, sink.pending, sink.closes) == (2, 1, 1, 0, True)


# Buckets of time


def test_held_events_wait_for_the_end_of_their_bucket(opened):
    journal = opened()
    journal.register("s")
    hold(journal, 3_600, {"b": b"b", "a": b"a"})
    hold(journal, 7_200, {"0": b"0"})
    assert journal.release(3_599) == 0
    assert batch(journal, "s") is None
    assert journal.release(3_600) == 2
    assert journal.release(3_600) == 0
    assert pass_on(journal, "s") == [b"a", b"b"]
    assert journal.release(9_999) == 1
    assert pass_on(journal, "s") == [b"0"]


def test_released_events_come_in_the_order_of_their_random_ids(opened):
    """Whoever recorded them, and when: their order must not say what their times don't."""
    journal = opened()
    journal.register("s")
    ids = [f"{number * 7_919 % 3_000:04}" for number in range(3_000)]
    for start in range(0, len(ids), 50):
        hold(journal, 3_600, {event_id: event_id.encode() for event_id in ids[start : start + 50]})
    while journal.release(3_600):
        pass
    assert pass_on(journal, "s") == [event_id.encode() for event_id in sorted(ids)]


def test_a_sink_that_is_new_while_events_are_held_gets_them(opened, path):
    journal = opened()
    hold(journal, 3_600, {"a": b"a"})
    journal.register("s")
    [sink] = read_counts(path).sinks
    assert (sink.accepted, sink.pending, sink.closes) == (1, 1, True)
    journal.release(3_600)
    assert pass_on(journal, "s") == [b"a"]
    assert read_counts(path).closes


# Nothing stays behind


@pytest.mark.parametrize("count", [1, 10, 2_000])
@pytest.mark.parametrize("is_held", [False, True])
def test_delivered_events_are_gone_from_the_disk(opened, path, count, is_held):
    journal = opened()
    journal.register("s")
    for number in range(count):
        secret = f"visitor-of-{number:05}".encode() * 5
        if is_held:
            hold(journal, 3_600, {str(number): secret})
        else:
            accept(journal, secret)
    journal.release(3_600)
    while journal.release(3_600):
        pass
    assert len(pass_on(journal, "s")) == count
    journal.tidy()
    left = [file.name for file in path.parent.iterdir() if b"visitor-of-" in file.read_bytes()]
    assert left == []
    journal.close()
    assert [file.name for file in path.parent.iterdir() if b"visitor-of-" in file.read_bytes()] == []


def test_tidying_keeps_what_is_not_delivered(opened, path):
    journal = opened()
    for sink in ("one", "two"):
        journal.register(sink)
    accept(journal, b"a")
    hold(journal, 3_600, {"b": b"b"})
    pass_on(journal, "one")
    journal.tidy()
    pass_on(journal, "two")
    journal.tidy()
    assert journal.release(3_600) == 1
    assert (pass_on(journal, "one"), pass_on(journal, "two")) == ([b"b"], [b"b"])
    assert read_counts(path).closes


def test_tidying_shrinks_the_file(opened, path):
    journal = opened()
    journal.register("s")
    for _ in range(100):
        accept(journal, b"x" * 10_000)
    pass_on(journal, "s")
    journal.tidy()
    assert path.stat().st_size < 200_000


# Workers


def test_old_workers_are_folded_and_their_sums_kept(opened, path):
    """Reloading makes a new worker each time; the list must not grow for ever."""
    journal = opened()
    for number in range(100):
        worker = f"w{number}"
        journal.begin_worker(worker, 1)
        accept(journal, worker=worker, counts={OFFERED: 5, ACCEPTED: 3, EXCLUDED: 2})
        journal.end_worker(worker)
    workers = read_counts(path).workers
    assert len(workers) < 50
    assert sum(worker.offered for worker in workers) == 500
    assert sum(worker.accepted for worker in workers) == 300
    assert sum(worker.dropped["excluded"] for worker in workers) == 200
    assert read_counts(path).workers[-1].name == "w99" or "w99" in {worker.name for worker in workers}


def test_workers_that_run_are_never_folded(opened, path):
    journal = opened()
    journal.begin_worker("long", 1)
    for number in range(100):
        journal.begin_worker(f"w{number}", 1)
        journal.end_worker(f"w{number}")
    assert "long" in {worker.name for worker in read_counts(path).workers}


# Any order of events, against a model in memory


class JournalModel(RuleBasedStateMachine):
    """Two sinks that come at any time, crashes at any point: each gets every event once it is there, once and in order.

    A sink keeps batches by their last row, as those do that recognise a repeated one.
    """

    SINKS = ("one", "two")

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "journal.db"
        self.journal = Journal(self.path)
        self.journal.open()
        self.count = 0
        self.held = {}
        self.expected = {}
        self.delivered = {}
        self.done = {}
        self.now = 0

    def teardown(self):
        if hasattr(self, "journal"):
            self.journal.close()
            self.folder.cleanup()

    def _new_events(self, count):
        self.count += count
        return [f"{number:06}".encode() for number in range(self.count - count, self.count)]

    @rule(count=st.integers(1, 5))
    def append(self, count):
        events = self._new_events(count)
        accept(self.journal, *events)
        for expected in self.expected.values():
            expected.extend(events)

    @rule(count=st.integers(1, 5))
    def hold(self, count):
        release_at = self.now + 10
        events = self._new_events(count)
        hold(self.journal, release_at, {event.decode(): event for event in events})
        self.held.setdefault(release_at, []).extend(events)

    @rule(passes=st.integers(1, 20))
    def release(self, passes):
        self.now += passes
        while self.journal.release(self.now):
            pass
        due = sorted(event for at in [at for at in self.held if at <= self.now] for event in self.held.pop(at))
        for expected in self.expected.values():
            expected.extend(due)

    @rule(sink=st.sampled_from(SINKS))
    def register(self, sink):
        self.journal.register(sink)
        if sink not in self.expected:
            self.expected[sink], self.delivered[sink], self.done[sink] = [], [], 0

    def _write(self, sink, most):
        found = self.journal.next_batch(sink, most)
        if found and found.last > self.done[sink]:
            self.delivered[sink] += found.lines.splitlines()
            self.done[sink] = found.last
        return found

    @precondition(lambda self: self.expected)
    @rule(data=st.data(), most=st.integers(1, 10))
    def deliver(self, data, most):
        sink = data.draw(st.sampled_from(sorted(self.expected)))
        if found := self._write(sink, most):
            self.journal.advance(sink, found.last, len(found.lines.splitlines()))

    @precondition(lambda self: self.expected)
    @rule(data=st.data(), most=st.integers(1, 10))
    def write_and_crash(self, data, most):
        self._write(data.draw(st.sampled_from(sorted(self.expected))), most)
        self.crash()

    @rule()
    def crash(self):
        self.journal.database.close()  # without the lock, and without a word
        self.journal = Journal(self.path)
        self.journal.open()

    @rule()
    def tidy(self):
        self.journal.tidy()

    @invariant()
    def delivered_is_a_beginning_of_expected(self):
        for sink, delivered in getattr(self, "delivered", {}).items():
            assert delivered == self.expected[sink][: len(delivered)]

    @invariant()
    def all_is_counted(self):
        if hasattr(self, "path"):
            counts = read_counts(self.path)
            assert counts.closes, counts
            assert counts.held == sum(map(len, self.held.values()))


JournalModel.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestJournalAgainstModel = JournalModel.TestCase
