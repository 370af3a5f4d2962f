"""The queue: bounded by entries and bytes, and exact."""

from __future__ import annotations

import threading

import pytest

from centtrack.capture.observation import Observation
from centtrack.delivery.recording.queue import EventQueue, weigh
from centtrack.testing import make_event

EVENT = make_event()


@pytest.mark.parametrize(
    ("sizes", "kept", "dropped"),
    [
        ([10, 10, 10, 10], 3, 1),  # entries
        ([60, 40, 1], 2, 1),  # bytes
        ([60, 60, 40], 2, 1),  # a smaller one may still fit
        ([101, 100], 1, 1),  # alone too large
        ([], 0, 0),
    ],
)
def test_what_does_not_fit_is_dropped(sizes, kept, dropped):
    queue = EventQueue(max_entries=3, max_bytes=100)
    assert all(queue.offer(EVENT, size) for size in sizes)
    counts = queue.counts()
    assert (counts.offered, counts.entries, sum(counts.dropped.values())) == (len(sizes), kept, dropped)
    assert set(counts.dropped) <= {"queue_full"}


def test_what_was_taken_counts_until_it_is_settled():
    queue = EventQueue(max_entries=2, max_bytes=100)
    queue.offer(EVENT, 50)
    queue.offer(EVENT, 50)
    assert len(queue.take().entries) == 2
    queue.offer(EVENT, 1)
    assert queue.counts().dropped == {"queue_full": 1}
    queue.settle(1, 50)
    queue.offer(EVENT, 50)
    counts = queue.counts()
    assert (counts.entries, counts.size, counts.dropped) == (2, 100, {"queue_full": 1})


def test_dropping_what_was_taken_leaves_what_is_new():
    queue = EventQueue()
    queue.offer(EVENT, 5)
    queue.take()
    queue.offer(EVENT, 7)
    queue.drop_taken("recorder_failed")
    counts = queue.counts()
    assert (counts.offered, counts.entries, counts.size, counts.dropped) == (2, 1, 7, {"recorder_failed": 1})


def test_a_closed_queue_takes_nothing_and_counts_nothing():
    queue = EventQueue()
    queue.offer(EVENT)
    assert not queue.close_if_empty()
    queue.take()
    assert queue.close_if_empty()
    assert not queue.offer(EVENT)
    assert not queue.offer("excluded")
    assert (queue.counts().offered, queue.counts().dropped) == (1, {})


def test_who_waits_is_told_with_what_was_offered_before():
    queue = EventQueue()
    told = threading.Event()
    queue.offer(EVENT)
    queue.when_settled(told.set)
    assert not queue.close_if_empty()
    taken = queue.take()
    assert len(taken.entries) == 1
    for tell in taken.waiting:
        tell()
    assert told.is_set()
    assert queue.close_if_empty()


@pytest.mark.parametrize(
    ("seen", "at_least"),
    [
        (Observation("http", None, [], 0.0), 0),
        (Observation("http", None, [(b"x", b"y" * 60_000)], 0.0), 60_000),
        (Observation("http", None, [(b"x", b"y")] * 1_000, 0.0), 2_000),
        (Observation("http", None, [], 0.0, path="/" * 60_000), 60_000),
        (Observation("http", None, [], 0.0, query=b"q" * 60_000), 60_000),
        (Observation("http", None, [], 0.0, passed_cookies=[b"c" * 60_000]), 60_000),
        (Observation("http", None, [("x", "y" * 1_000)], 0.0), 60_000),  # text, not bytes: assumed to be large
        (Observation("http", None, iter([(b"x", b"y")]), 0.0), 60_000),
        (Observation("http", None, [], 0.0, path=None), 60_000),
    ],
)
def test_what_an_observation_weighs(seen, at_least):
    assert at_least <= weigh(seen) < at_least + 8_000


def test_weighing_reads_nothing_that_can_be_read_only_once():
    headers = iter([(b"x", b"y")])
    weigh(Observation("http", None, headers, 0.0))
    assert list(headers) == [(b"x", b"y")]


def test_an_offer_from_within_the_thread_at_the_queue_does_not_hang():
    """The garbage collector may end a request at any moment, in any thread, and the request is offered then."""
    queue = EventQueue()
    with queue._lock:
        assert queue.offer(EVENT)
    assert queue.counts().entries == 1
