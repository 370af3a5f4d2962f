"""Rows 12, 14 and 30, with a real PostgreSQL."""

from __future__ import annotations

import msgspec
import psycopg
import pytest

from asgi import Recording, body, sending, start
from centtrack import PrivacyPolicy, track
from centtrack.delivery.sending import backoff
from centtrack.delivery.sending import carrier as delivery
from centtrack.sinks import open_sink
from centtrack.sinks.base import name_of
from centtrack.testing import make_event, make_scope
from databases import own_postgresql_server
from faults.feed import Feed, make_events
from faults.postgres import LosingProxy, count_rows
from faults.table import LONG
from faults.traffic import Traffic
from servers import Site, uvicorn
from waiting import eventually

EVENTS = 20_000 if LONG else 2_000
RESTARTS = 20 if LONG else 2


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL that may be restarted."""
    with own_postgresql_server() as started:
        yield started


@pytest.fixture
def url(server):
    """A database with an empty table."""
    with psycopg.connect(server.url) as connection:
        connection.execute("drop table if exists event")
    sink = open_sink(server.url)
    sink.open()
    sink.close()
    return server.url


@pytest.fixture
def feed(tmp_path, monkeypatch):
    monkeypatch.setattr(backoff, "LONGEST_S", 0.1)  # jitter would take most of the test's time
    with Feed(tmp_path) as started:
        yield started


# 12


def test_a_commit_whose_reply_is_lost_is_repeated_and_changes_nothing(feed, server, url, row, monkeypatch):
    monkeypatch.setattr(delivery, "MAX_BATCH", 500)
    losses = EVENTS // 1_000
    with LosingProxy(server.port, losses) as proxy:
        sink = open_sink(url.replace(f":{server.port}/", f":{proxy.port}/"))
        feed.deliver(sink)
        feed.accept(make_events(EVENTS))
        counts = feed.settled(name_of(sink))
    assert proxy.lost == losses
    assert counts.retries == losses
    assert (counts.delivered, count_rows(url)) == (EVENTS, EVENTS)
    row(
        12, "PostgreSQL: a proxy cuts the connection after COMMIT has gone through",
        accepted=EVENTS, replies_lost=proxy.lost, batches_sent_again=counts.retries, found=count_rows(url), doubled=0,
        lost=0,
    )  # fmt: skip


# 14


def line_of(**columns):
    return msgspec.json.encode(make_event(**columns))


POISONS = {
    "NUL": lambda: line_of(path="/a\x00b"),
    "a lone surrogate": lambda: line_of(path="/a").replace(b'"/a"', b'"/a\\ud83d"'),
    "NaN": lambda: line_of(status=200).replace(b'"status":200', b'"status":NaN'),
    "a number beyond 64 bits": lambda: line_of(response_bytes=2**63),
    "a text of 1 MB": lambda: line_of(path="/" + "x" * 1_000_000),
}
HELD = {"a text of 1 MB"}  # no poison to PostgreSQL


@pytest.mark.parametrize("poison", POISONS)
def test_one_bad_event_in_a_thousand_in_the_journal_holds_up_no_other(feed, url, row, poison):
    thousands = 20 if LONG else 1
    dead = 0 if poison in HELD else thousands
    sink = open_sink(url)
    feed.deliver(sink)
    for _ in range(thousands):
        good = make_events(999)
        feed.accept([*good[:437], POISONS[poison](), *good[437:]])
    counts = feed.settled(name_of(sink))
    delivered = 1_000 * thousands - dead
    assert (counts.delivered, counts.dead_lettered, count_rows(url)) == (delivered, dead, delivered)
    row(
        14, f"{poison}, in the journal", accepted=counts.accepted, delivered=counts.delivered,
        dead_lettered=counts.dead_lettered, found=count_rows(url), lost=0,
    )  # fmt: skip


DECLARED = """
[limits.default]
page = "path"
time = "second"
[[events]]
name = "quote_made"
properties = { product = ["motor"], ratio = "number" }
"""
AT_THE_DOOR = {
    "NUL": {"path": "/a\x00b", "query_string": b"a=%00"},
    "a lone surrogate": {"path": "/a\ud83d"},
    "NaN": {"path": "/nan"},
    "a text of 1 MB": {"path": "/" + "x" * 1_000_000},
}


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("poison", AT_THE_DOOR)
def test_at_the_door_it_is_cleaned_and_delivered(tmp_path, url, row, poison):
    async def app(scope, _receive, send):
        if poison == "NaN" and scope["path"] == "/nan":
            track(scope, "quote_made", product="motor", ratio=float("nan"))
        await sending(start(), body())(scope, _receive, send)

    recording = Recording(tmp_path, app, policy=PrivacyPolicy.parse(DECLARED), sink=url)
    for number in range(1_000):
        parts = AT_THE_DOOR[poison] if number == 437 else {"path": f"/{number}"}
        assert recording.serve({**make_scope(), **parts}) == [start(), body()]
    counts = recording.counts()
    [delivered] = counts.sinks
    [worker] = counts.workers
    assert counts.closes
    assert (delivered.accepted, delivered.delivered, delivered.dead_lettered) == (worker.accepted, worker.accepted, 0)
    assert count_rows(url) == worker.accepted >= 1_000
    row(
        14, f"{poison}, in a request", offered=worker.offered, accepted=worker.accepted,
        dropped=sum(worker.dropped.values()), delivered=delivered.delivered, found=count_rows(url), dead_lettered=0,
    )  # fmt: skip


# 30

APP = """
import os
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from centtrack import TelemetryMiddleware
from centtrack.sinks import open_sink

async def page(request):
    return PlainTextResponse(str(os.getpid()))

app = Starlette(routes=[Route("/{number}", page)])
sink = open_sink(os.environ["EVENTS_URL"])
sink.linger_s = 0.0  # it always writes: no restart falls between two batches
app.add_middleware(TelemetryMiddleware, policy="privacy.toml", sink=sink, journal="state/journal.db")
"""


def paths_of(url):
    with psycopg.connect(url) as connection:
        return [path for (path,) in connection.execute("select path from event").fetchall()]


def test_it_restarts_under_load(tmp_path, server, url, row, monkeypatch):
    monkeypatch.setenv("EVENTS_URL", url)
    site = Site(tmp_path, app=APP)
    with uvicorn(site, "--workers", "2") as running:
        with Traffic(running.port) as traffic:
            for number in range(RESTARTS):
                found = count_rows(url)
                eventually(lambda found=found: count_rows(url) > found)
                server.stop("fast" if number % 2 else "immediate")
                accepted = site.accepted()
                eventually(lambda accepted=accepted: site.accepted() > accepted + 100)
                server.start()
        eventually(lambda: site.accepted() == len(traffic.answered))
        site.wait_for_delivery()
        running.stop()
    counts, paths = site.counts(), paths_of(url)
    [sink] = counts.sinks
    assert counts.closes
    assert sorted(paths) == sorted(traffic.answered)
    assert (sink.accepted, sink.delivered, sink.dead_lettered) == (len(paths), len(paths), 0)
    row(
        30, "by turns as an administrator restarts it, and as after a crash", restarts=RESTARTS,
        requests=len(traffic.answered), accepted=sink.accepted, found=len(paths), retries=sink.retries, lost=0,
        doubled=0,
    )  # fmt: skip
