"""Row 29, with a real cluster."""

from __future__ import annotations

import contextlib

import pytest

from faults.kafka import consume
from faults.table import LONG
from faults.traffic import Traffic
from kafka_cluster import PARTITIONS, kafka_cluster
from servers import Site, uvicorn
from waiting import eventually

pytestmark = pytest.mark.timeout(3_600 if LONG else 300)  # six virtual machines start, one after another
KILLS = 9 if LONG else 2
WHILE_ONE_IS_GONE = 5_000 if LONG else 500  # events
THREADS = 2 if LONG else 1  # for each of the hosts; brokers start while all goes on

APP = """
import os
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from centtrack import TelemetryMiddleware

async def page(request):
    return PlainTextResponse(str(os.getpid()))

app = Starlette(routes=[Route("/{number}", page)])
app.add_middleware(TelemetryMiddleware, policy="privacy.toml", journal="state/journal.db")
"""


@pytest.fixture
def cluster():
    """A cluster with a topic of three copies, of which two must have what is acknowledged."""
    with kafka_cluster() as started:
        started.make_topic("events")
        yield started


@pytest.fixture
def sites(tmp_path):
    """Two hosts, each with a journal of its own."""
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    return [Site(folder, app=APP) for folder in folders]


def accepted(sites):
    return sum(site.accepted() for site in sites)


def lose_leader(cluster, partition, sites):
    """Kill a broker that is needed, and start it again after a while of load without it."""
    cluster.wait_until_whole("events")  # the one before it is back: two must be there
    broker = eventually(lambda: max(cluster.leader("events", partition), 0))
    cluster.kill(broker)
    before = accepted(sites)
    eventually(lambda: cluster.leader("events", partition) not in {broker, -1}, 60)
    eventually(lambda: accepted(sites) > before + WHILE_ONE_IS_GONE, 60)
    cluster.start(broker)


def test_a_broker_dies_under_load(cluster, sites, row, monkeypatch):
    monkeypatch.setenv("CENTTRACK_SINK", f"kafka://{cluster.servers}/events")
    with contextlib.ExitStack() as running:
        servers = [running.enter_context(uvicorn(site, "--workers", "2")) for site in sites]
        with contextlib.ExitStack() as loaded:
            traffic = [
                loaded.enter_context(Traffic(server.port, threads=THREADS, prefix=f"/{site.folder.name}"))
                for server, site in zip(servers, sites, strict=True)
            ]
            for number in range(KILLS):
                lose_leader(cluster, number % PARTITIONS, sites)
        answered = sorted(path for visits in traffic for path in visits.answered)
        eventually(lambda: accepted(sites) == len(answered))
        for site, server in zip(sites, servers, strict=True):
            site.wait_for_delivery()
            server.stop()
    cluster.wait_until_whole("events")
    sinks = [sink for site in sites for sink in site.counts().sinks]
    found = consume(cluster.servers, "events")
    assert all(site.counts().closes for site in sites)
    assert all(sink.accepted == sink.delivered for sink in sinks)
    assert len(found.paths) == sum(sink.accepted for sink in sinks)
    assert sorted(found.paths.values()) == answered
    row(
        29, "three brokers, three copies of each event: one is killed -9 at a time, and comes back", kills=KILLS,
        requests=len(answered), accepted=sum(sink.accepted for sink in sinks), found=len(found.paths),
        retries=sum(sink.retries for sink in sinks), sent_again_for_consumers_to_drop=found.doubled, lost=0,
    )  # fmt: skip
