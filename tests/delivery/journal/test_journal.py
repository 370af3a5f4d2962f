"""The journal: what was committed is there, for each sink, once."""

from __future__ import annotations

import os

import apsw
import pytest

from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.records import Encoded
from centtrack.errors import JournalError
from journals import ACCEPTED, EXCLUDED, OFFERED, accept, hold


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


def test_retries_are_counted(opened, path):
    journal = opened()
    journal.register("s")
    for error in ("OSError: down", "OSError: down", None):
        journal.note_error("s", error)
    assert [(sink.retries, sink.error) for sink in read_counts(path).sinks] == [(2, None)]


def test_a_sink_that_has_no_place_is_told_so(opened):
    with pytest.raises(JournalError, match="registered again"):
        opened().next_batch("s", 1)


def test_moving_twice_counts_once(opened, path):
    """Two deliverers that both believe that the sink is theirs."""
    journal, other = opened(), opened()
    journal.register("s")
    accept(journal, b"a", b"b")
    last = journal.next_batch("s", 10).last
    for one in (journal, other):
        one.advance("s", last, 1, [("rejected", b"b")])
    [sink] = read_counts(path).sinks
    assert (sink.delivered, sink.dead_lettered, sink.closes) == (1, 1, True)


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


def test_old_workers_that_were_killed_are_folded_too(opened, path):
    """Of these `offered` stays a lower bound."""
    journal = opened()
    with journal.transaction() as database:
        database.executemany("insert into worker values (?, 1, 'long ago', 0)", [(f"w{n}",) for n in range(100)])
    for number in range(100):
        accept(journal, worker=f"w{number}", counts={OFFERED: 2, ACCEPTED: 1})
    journal.begin_worker("me", os.getpid())
    workers = {worker.name: worker for worker in read_counts(path).workers}
    assert len(workers) == 32 + 2
    assert (workers["earlier, killed"].state, workers["earlier, killed"].offered) == ("killed", 2 * 68)
    assert workers["me"].state == "running"


def test_workers_that_run_are_never_folded(opened, path):
    journal = opened()
    journal.begin_worker("long", 1)
    for number in range(100):
        journal.begin_worker(f"w{number}", 1)
        journal.end_worker(f"w{number}")
    assert "long" in {worker.name for worker in read_counts(path).workers}
