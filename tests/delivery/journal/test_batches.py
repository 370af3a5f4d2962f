"""Rows of the journal: bounded batches, and none that is not what was written."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from centtrack.delivery.journal.counters import read_counts
from centtrack.testing import make_event
from journals import accept, hold


@pytest.mark.parametrize(
    "change",
    [
        "update batch set events = cast('b?' as blob) where sequence = 2",
        "update batch set events = 'b' where sequence = 2",
        "update batch set checksum = checksum + 1 where sequence = 2",
    ],
)
def test_a_damaged_row_is_not_delivered(opened, path, change):
    journal = opened()
    journal.register("s")
    for event in (b"a", b"b", b"c"):
        accept(journal, event)
    with journal.transaction() as database:
        database.execute(change)
    stored = journal.next_batch("s", 10)
    assert (stored.lines, stored.total, stored.damaged) == (b"a\nc\n", 2, 1)
    journal.advance("s", stored.last, 2, lost={"damaged": stored.damaged})
    [sink] = read_counts(path).sinks
    assert (sink.delivered, sink.lost, sink.pending, sink.closes) == (2, {"damaged": 1}, 0, True)


def test_a_damaged_row_alone(opened):
    journal = opened()
    journal.register("s")
    accept(journal, b"a", b"b")
    with journal.transaction() as database:
        database.execute("update batch set checksum = 0")
    assert journal.next_batch("s", 10) == (1, False, 0, b"", 2)


def test_a_damaged_event_that_was_held_is_not_delivered(opened, path):
    journal = opened()
    journal.register("s")
    hold(journal, 3_600, {"a": b"a", "b": b"b", "c": b"c"})
    with journal.transaction() as database:
        database.execute("update held set event = cast('B' as blob) where event_id = 'b'")
    assert journal.release(3_600) == 3
    stored = journal.next_batch("s", 10)
    assert (stored.lines, stored.damaged) == (b"a\nc\n", 1)
    journal.advance("s", stored.last, 2, lost={"damaged": 1})
    assert read_counts(path).closes


def test_a_batch_is_bounded_by_bytes(opened):
    """So that a backlog of large events doesn't fill the memory. A row is never divided."""
    journal = opened()
    journal.register("s")
    for size in (9_000_000, 9_000_000, 3_000_000, 17_000_000, 1_000):
        accept(journal, b"x" * size)
    found = []
    while stored := journal.next_batch("s", 100):
        found.append(len(stored.lines) - stored.total)
        journal.advance("s", stored.last, stored.total)
    assert found == [9_000_000, 12_000_000, 17_000_000, 1_000]


def test_age_of_the_oldest_event(opened, path):
    journal = opened()
    journal.register("s")
    assert journal.oldest_age_s("s", 0.0) is None
    for seconds in (1_000, 2_000):
        time = dt.datetime.fromtimestamp(seconds, dt.UTC)
        accept(journal, msgspec.json.encode(make_event(time=time, name='"time":"')))
    assert journal.oldest_age_s("s", 1_500.0) == 500.0
    assert journal.oldest_age_s("s", 500.0) == 0.0
    journal.advance("s", journal.next_batch("s", 1).last, 1)
    assert journal.oldest_age_s("s", 2_500.0) == 500.0
    assert read_counts(path).sinks[0].oldest_s > 1e9
    journal.advance("s", journal.next_batch("s", 1).last, 1)
    accept(journal, b"no event")
    assert journal.oldest_age_s("s", 2_500.0) is None
