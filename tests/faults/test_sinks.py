"""Rows 10, 12, 13: what sinks do to us. More of row 12 is in test_postgresql.py and test_clickhouse.py."""

from __future__ import annotations

import threading
import time
from collections import Counter
from itertools import pairwise

import msgspec
import pytest
from deltalake import DeltaTable

from centtrack.delivery.sending import backoff
from centtrack.delivery.sending import carrier as delivery
from centtrack.sinks.delta import DeltaSink
from centtrack.sinks.jsonl import JsonLinesSink
from centtrack.testing import make_event
from faults.feed import Feed, make_events
from faults.judge import CountingSink, JudgeSink
from faults.table import LONG
from waiting import eventually

EVENTS = 50_000 if LONG else 2_000


@pytest.fixture
def feed(tmp_path):
    with Feed(tmp_path) as started:
        yield started


@pytest.fixture
def quick(monkeypatch):
    """Retries come soon: jitter would take most of the test's time."""
    monkeypatch.setattr(backoff, "LONGEST_S", 0.1)


# 10


def test_a_sink_that_never_answers_is_given_up_and_delays_no_other(feed, judge, row):
    judge.behave("hang")
    hanging, other = JudgeSink(judge.port, timeout_s=0.5), CountingSink()
    [deliverer, _] = feed.deliver(hanging, other)
    feed.accept(make_events(EVENTS))
    eventually(lambda: other.verdict.distinct == EVENTS)
    eventually(lambda: feed.counts("judge").retries >= 3)
    waited = feed.counts("judge")
    assert (waited.pending, waited.delivered, waited.dead_lettered) == (EVENTS, 0, 0)
    assert eventually(lambda: deliverer.state().problem)
    hanging.timeout_s = 30.0  # a judge that is only slow isn't given up
    judge.behave("take")
    counts = feed.settled("judge")
    assert (counts.delivered, judge.verdict().distinct, judge.verdict().doubled) == (EVENTS, EVENTS, 0)
    assert other.verdict.doubled == 0
    row(
        10, "a server takes the request and never answers",
        accepted=EVENTS, delivered_to_the_other_meanwhile=EVENTS, timeouts=waited.retries,
        delivered_afterwards=judge.verdict().distinct, doubled=0, lost=0,
    )  # fmt: skip


class Deaf(CountingSink):
    """Hangs, whatever is done to it, until somebody lets it go."""

    timeout_s = 0.1

    def __init__(self) -> None:
        super().__init__(name="deaf")
        self.begun = 0
        self.may_go = threading.Event()

    def write(self, batch):
        self.begun += 1
        if not self.may_go.is_set():
            self.may_go.wait(110)
            raise OSError("given up")
        super().write(batch)


def test_attempts_that_never_end_are_few(feed, row):
    deaf, other = Deaf(), CountingSink()
    before = threading.active_count()
    feed.deliver(deaf, other)
    feed.accept(make_events(EVENTS))
    eventually(lambda: deaf.begun >= 4)
    feed.accept(make_events(EVENTS))
    eventually(lambda: other.verdict.distinct == 2 * EVENTS)
    begun, threads = deaf.begun, threading.active_count() - before
    deaf.timeout_s = 30.0  # from now on it isn't given up for being slow
    deaf.may_go.set()
    counts = feed.settled("deaf")
    assert begun <= 5
    assert (counts.delivered, deaf.verdict.distinct, deaf.verdict.doubled) == (2 * EVENTS, 2 * EVENTS, 0)
    row(
        10, "a sink ignores that it is closed",
        accepted=2 * EVENTS, attempts_while_it_hung=begun, threads=threads, delivered_afterwards=deaf.verdict.distinct,
        doubled=0, lost=0,
    )  # fmt: skip


# 12


class LosesReplies:
    """A sink whose every so many-th answer is lost, after it has done its work.

    Args:
        sink: the one that does the work.
        every: which answers.
    """

    def __init__(self, sink, every):
        self.name, self.linger_s, self.timeout_s = sink.name, 0.0, None
        self.open, self.close = getattr(sink, "open", lambda: None), getattr(sink, "close", lambda: None)
        self.lost = 0
        self._sink, self._every, self._calls = sink, every, 0

    def write(self, batch):
        self._calls += 1
        self._sink.write(batch)
        if self._calls % self._every == 0:
            self.lost += 1
            raise ConnectionResetError("the reply is lost")


def delta_ids(folder):
    return DeltaTable(folder / "lake").to_pyarrow_table(columns=["event_id"])["event_id"].to_pylist()


def jsonl_ids(folder):
    return [msgspec.json.decode(line)["event_id"] for line in (folder / "events.jsonl").read_bytes().splitlines()]


@pytest.mark.parametrize(
    ("make", "read"),
    [
        (lambda folder: DeltaSink(f"delta:{folder / 'lake'}"), delta_ids),
        (lambda folder: JsonLinesSink(f"jsonl:{folder / 'events.jsonl'}"), jsonl_ids),
    ],
    ids=["delta", "jsonl"],
)
def test_a_batch_whose_reply_is_lost_is_sent_again_and_changes_nothing(
    feed, quick, row, tmp_path, make, read, monkeypatch, request
):
    monkeypatch.setattr(delivery, "MAX_BATCH", 500)  # many batches
    sink = LosesReplies(make(tmp_path), every=2)
    feed.deliver(sink)
    sent = feed.accept(make_events(EVENTS))
    counts = feed.settled(sink.name)
    found = Counter(read(tmp_path))
    assert sink.lost >= 2
    assert (counts.delivered, counts.dead_lettered) == (counts.accepted, 0)
    assert found.keys() <= set(sent)
    assert len(found) == counts.delivered
    assert set(found.values()) == {1}
    row(
        12, f"{request.node.callspec.id}: after each second write the reply is lost",
        accepted=counts.accepted, replies_lost=sink.lost, found=len(found), doubled=found.total() - len(found), lost=0,
    )  # fmt: skip


# 13


class Timed(JudgeSink):
    """Notes when each attempt begins."""

    def __init__(self, port):
        super().__init__(port)
        self.begun = []

    def write(self, batch):
        self.begun.append(time.monotonic())
        super().write(batch)


def test_429_is_retried_no_sooner_than_it_says(feed, judge, quick, row):
    times, after_s = (20, 1.0) if LONG else (3, 0.5)
    judge.behave("429", times=times, text=str(after_s))
    sink = Timed(judge.port)
    feed.deliver(sink)
    feed.accept(make_events(EVENTS))
    counts, verdict = feed.settled("judge"), judge.verdict()
    gaps = [later - earlier for earlier, later in pairwise(sink.begun[: times + 1])]
    assert len(gaps) == times
    assert min(gaps) >= after_s
    assert (counts.delivered, verdict.distinct, verdict.doubled) == (EVENTS, EVENTS, 0)
    row(
        13, "429 with Retry-After",
        answers=times, tried_too_soon=0, accepted=EVENTS, delivered=verdict.distinct, dead_lettered=0, lost=0,
    )  # fmt: skip


def test_401_pauses_until_somebody_mends_it(feed, judge, quick, row, caplog, monkeypatch):
    monkeypatch.setattr(delivery, "PAUSE_S", 0.2)
    judge.behave("401")
    [deliverer] = feed.deliver(JudgeSink(judge.port))
    feed.accept(make_events(EVENTS))
    eventually(lambda: judge.attempts() >= 3)
    assert deliverer.state().condition == "paused"
    counts = feed.counts("judge")
    assert (counts.pending, counts.dead_lettered) == (EVENTS, 0)
    said = [record for record in caplog.records if record.levelname in {"ERROR", "WARNING"}]
    attempts = judge.attempts()
    judge.behave("take")
    feed.settled("judge")
    verdict = judge.verdict()
    assert len(said) == 1
    assert (verdict.distinct, verdict.doubled) == (EVENTS, 0)
    row(
        13, "401", attempts_while_paused=attempts, lines_in_the_log=len(said), accepted=EVENTS,
        delivered_afterwards=verdict.distinct, dead_lettered=0, lost=0,
    )  # fmt: skip


def test_400_is_bisected(feed, judge, quick, row):
    bad = EVENTS // 500
    events = [make_event(path="/bad" if number % 500 == 7 else f"/{number}") for number in range(EVENTS)]
    judge.behave("400", text='"/bad"')
    feed.deliver(JudgeSink(judge.port))
    feed.accept(events)
    counts, verdict = feed.settled("judge"), judge.verdict()
    assert (counts.delivered, counts.dead_lettered) == (EVENTS - bad, bad)
    assert judge.ids().keys() == {event.event_id for event in events if event.path != "/bad"}
    row(
        13, "400 for a batch that has a bad event in it", accepted=EVENTS, delivered=verdict.distinct,
        dead_lettered=counts.dead_lettered, attempts=judge.attempts(), doubled=verdict.doubled, lost=0,
    )  # fmt: skip
    assert verdict.doubled == 0
