"""Rows 12 and 14, with ClickHouse's engine behind a small server."""

from __future__ import annotations

import msgspec
import pytest

from centtrack.delivery.sending import backoff
from centtrack.delivery.sending import carrier as delivery
from centtrack.sinks import open_sink
from centtrack.testing import make_event
from clickhouse import run_statement, url_of
from faults.clickhouse_proxy import LosingHttpProxy
from faults.feed import Feed, make_events
from faults.table import LONG

EVENTS = 20_000 if LONG else 2_000


@pytest.fixture
def feed(tmp_path, monkeypatch):
    monkeypatch.setattr(backoff, "LONGEST_S", 0.1)  # jitter would take most of the test's time
    with Feed(tmp_path) as started:
        yield started


def sink_of(url):
    sink = open_sink(url)
    sink.linger_s = 0.0
    return sink


def count_ids(url):
    """Rows, as they were inserted, and different ids among them."""
    [row] = run_statement(url, "select count() as rows, uniqExact(event_id) as ids from event format JSONEachRow")
    return row["rows"], row["ids"]


# 12


def test_an_insert_whose_answer_is_lost_is_repeated_and_changes_nothing(feed, clickhouse_url, row, monkeypatch):
    monkeypatch.setattr(delivery, "MAX_BATCH", 500)
    losses = EVENTS // 1_000
    with LosingHttpProxy(port_of(clickhouse_url), losses) as proxy:
        sink = sink_of(url_of(clickhouse_url, port=proxy.port))
        feed.deliver(sink)
        feed.accept(make_events(EVENTS))
        counts = feed.settled(sink.name)
    assert proxy.lost == losses
    assert counts.retries >= losses
    assert counts.delivered == EVENTS
    assert count_ids(clickhouse_url) == (EVENTS, EVENTS)
    row(
        12, "ClickHouse (chdb behind a small server): a proxy cuts the connection after the insert has gone through",
        accepted=EVENTS, replies_lost=proxy.lost, found=EVENTS, doubled=0, lost=0,
    )  # fmt: skip


def port_of(url):
    return int(url.rpartition(":")[2].partition("/")[0])


# 14

LINE = msgspec.json.encode(make_event(path="/a", status=200))
POISONS = {
    "a lone surrogate": LINE.replace(b'"/a"', b'"/a\\ud83d"'),
    "NaN": LINE.replace(b":200", b":NaN"),
}


@pytest.mark.parametrize("poison", POISONS)
def test_one_bad_event_in_a_thousand_in_the_journal_holds_up_no_other(feed, clickhouse_url, row, poison):
    good = make_events(999)
    sink = sink_of(clickhouse_url)
    feed.deliver(sink)
    feed.accept([*good[:437], POISONS[poison], *good[437:]])
    counts = feed.settled(sink.name)
    assert (counts.delivered, counts.dead_lettered) == (999, 1)
    assert count_ids(clickhouse_url) == (999, 999)
    row(
        14, f"{poison}, in the journal, for ClickHouse", accepted=counts.accepted, delivered=counts.delivered,
        dead_lettered=counts.dead_lettered, found=999, lost=0,
    )  # fmt: skip
