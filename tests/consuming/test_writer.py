"""Batches to a sink that keeps the last offset: halved around what is bad, taken up after failures, overtaken."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.consuming.entries import Entry
from centtrack.consuming.work import Work
from centtrack.consuming.writer import Writer
from centtrack.errors import Rejected, RetryLater
from centtrack.sinks.base import OverlapError
from centtrack.testing import make_event

STREAM = "kafka/cluster/events/0"


class LakeInMemory:
    """Takes batches as the Delta table does: by stream and number.

    Args:
        plan: what becomes of each call: `ok`, `fail`, `lost` (it is written, and the answer lost), or a number: another
            writer of the stream was faster, and wrote so many of the batch's events.
    """

    name = "lake in memory"

    def __init__(self, plan=()):
        self.plan = list(plan)
        self.paths = []
        self.done = -1

    def last_sequence(self, stream):
        return None if self.done < 0 else self.done

    def write(self, batch):
        step = self.plan.pop(0) if self.plan else "ok"
        if step == "fail":
            raise RetryLater
        if isinstance(step, int) and self.done < batch.first:
            self.take_some(batch, step)
        self.take(batch)
        if step == "lost":
            raise RetryLater

    def take_some(self, batch, total):
        """Another writer's batch: the first of the same events, up to one of them."""
        taken = []
        for event in batch:
            if event.path == "/bad" or len(taken) == total:
                break
            taken.append(event)
        if taken:
            self.paths += [event.path for event in taken]
            self.done = int(taken[-1].path.removeprefix("/"))

    def take(self, batch):
        assert batch.stream == STREAM
        if self.done >= batch.sequence:
            return
        if self.done >= batch.first:
            raise OverlapError(self.done)
        if any(event.path == "/bad" for event in batch):
            raise Rejected("bad")
        self.paths += [event.path for event in batch]
        self.done = batch.sequence


class Graves:
    """Dead letters in a list."""

    def __init__(self, plan=()):
        self.plan = list(plan)
        self.entries = []

    def bury(self, entries, stream):
        if self.plan and self.plan.pop(0) == "fail":
            raise RetryLater
        self.entries += entries

    def close(self):
        pass


def entry(offset, kind):
    if kind == "good":
        return Entry(offset, line(f"/{offset}"))
    if kind == "bad":
        return Entry(offset, line("/bad"))
    if kind == "unreadable":
        return Entry(offset, b'{"event_id": 1}')
    if kind == "broken":
        return Entry(offset, b"", None, "unreadable: the message has no value")
    return Entry(offset, b"")  # a probe


def line(path):
    return msgspec.json.encode(make_event(path=path, time_precision="second"))


def deliver(kinds, plan=(), graves=()):
    """Have messages delivered, as often as it takes. Returns the sink, the dead letters, and what was counted."""
    sink, dead = LakeInMemory(plan), Graves(graves)
    writer = Writer(sink, None, dead, lambda: None)
    work = Work(STREAM, [entry(offset, kind) for offset, kind in enumerate(kinds)], repeated=False)
    try:
        while not work.is_done:
            try:
                writer.write(work)
            except RetryLater:
                work.repeated = True
    finally:
        writer.end()
    return sink, dead, work.tally


KINDS = st.lists(st.sampled_from(["good", "good", "good", "bad", "unreadable", "broken", "probe"]), min_size=1)
PLANS = st.lists(st.sampled_from(["ok", "fail", "lost", 0, 1, 3]), max_size=6)


@given(KINDS, PLANS)
def test_every_good_event_arrives_once_and_in_order(kinds, plan):
    sink, dead, _ = deliver(kinds, plan)
    assert sink.paths == [f"/{offset}" for offset, kind in enumerate(kinds) if kind == "good"]
    bad = [offset for offset, kind in enumerate(kinds) if kind in {"bad", "unreadable", "broken"}]
    assert sorted({entry.offset for entry in dead.entries}) == bad


@given(KINDS)
def test_counts(kinds):
    _, dead, tally = deliver(kinds)
    assert tally.delivered == kinds.count("good")
    assert tally.dead_lettered == len(dead.entries)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("bad", "rejected: bad"), ("unreadable", "unreadable: "), ("broken", "unreadable: the message has no value")],
)
def test_a_dead_letter_is_as_it_came_and_says_why(kind, reason):
    _, dead, _ = deliver(["good", kind, "good"])
    [letter] = dead.entries
    assert (letter.offset, letter.problem.startswith(reason)) == (1, True)
    assert kind == "bad" or letter.line == entry(1, kind).line  # the id of a bad one is another each time


def test_nothing_behind_a_dead_letter_is_written_before_it_is_there():
    """Else a sink that knows its offset would never be asked for it again."""
    sink, dead, _ = deliver(["unreadable", "good"], graves=["fail", "fail"])
    assert ([entry.offset for entry in dead.entries], sink.paths) == ([0], ["/1"])
