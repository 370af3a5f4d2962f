"""Rows 31 and 32: app hosts on addresses of their own, a cluster of three brokers, two consumers, one lake."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from faults.client import Load, load
from faults.table import LONG
from kafka_cluster import KafkaCluster, kafka_cluster
from processes import kill_group
from servers import Site, uvicorn
from topics import Lake, Topic, read_all
from waiting import eventually

pytestmark = pytest.mark.timeout(3_600 if LONG else 300)  # five virtual machines start, and eight processes
HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
REQUESTS = 200_001 if LONG else 9_000
PER_SECOND = None if LONG else 200.0  # a host; in the short form it is the faults that take the time
KILLS = 6 if LONG else 1  # of consumers
WITHIN_S = 1_200 if LONG else 60

APP = """
import os
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from centtrack import TelemetryMiddleware

async def page(request):
    return PlainTextResponse(str(os.getpid()))

app = Starlette(routes=[Route("/{number}", page)])
app.add_middleware(
    TelemetryMiddleware, policy="privacy.toml", sink=os.environ["EVENTS_URL"], journal="state/journal.db"
)
"""


class Consumers:
    """Processes of `centtrack deliver --from`, of one group.

    Args:
        url: of the topic.
        lake: what they feed.
        folder: where the policy is; their logs go there.
    """

    def __init__(self, url: str, lake: Lake, folder: Path) -> None:
        self._command = [
            sys.executable, "-m", "centtrack", "deliver", "--from", url, "--sink", lake.url, "--policy", "privacy.toml"
        ]  # fmt: skip
        self._folder = folder
        self._running: list[subprocess.Popen[str]] = []
        self._begun = 0

    def begin(self) -> None:
        """One more."""
        self._begun += 1
        with (self._folder / f"consumer-{self._begun}.log").open("w") as log:
            self._running.append(
                subprocess.Popen(
                    self._command, cwd=self._folder, stdout=log, stderr=log, text=True, start_new_session=True
                )
            )

    def kill(self) -> None:
        """SIGKILL to the one that runs longest."""
        kill_group(self._running.pop(0))

    def end(self) -> list[int]:
        """SIGTERM to all; their exit codes."""
        for process in self._running:
            process.terminate()
        return [process.wait(30) for process in self._running]

    def have_ended(self) -> bool:
        """Whether one has, unasked."""
        return any(process.poll() is not None for process in self._running)

    def log(self) -> str:
        """What they said."""
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("consumer-*.log")))

    def close(self) -> None:
        for process in self._running:
            kill_group(process)


class Visits:
    """Visits to one host, in a thread, each to a path of its own.

    Args:
        host: its address.
        port: where it listens.
        total: how many.
    """

    def __init__(self, host: str, port: int, total: int) -> None:
        self._result: Load | None = None
        request = "GET /{} HTTP/1.1\r\nHost: shop.example\r\n\r\n"
        self._requests = [request.format(number).encode() for number in range(total)]
        self._thread = threading.Thread(target=self._run, args=(host, port), daemon=True)
        self._thread.start()

    def _run(self, host: str, port: int) -> None:
        self._result = asyncio.run(load(port, self._requests, host=host, connections=4, per_second=PER_SECOND))

    def finish(self) -> Load:
        """Wait for the last answer."""
        self._thread.join(WITHIN_S)
        assert self._result is not None
        return self._result


class Outcome(NamedTuple):
    """What stands in the topic and in the lake.

    Attributes:
        topic: event's id → how often it is in the topic.
        lake: event's id → how often it is in the lake.
    """

    topic: Counter[str]
    lake: Counter[str]


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    """A cluster whose brokers may be killed."""
    with kafka_cluster() as started:
        yield started


@pytest.fixture
def topic(cluster: KafkaCluster) -> Topic:
    return Topic(cluster, partitions=6)


@pytest.fixture
def sites(tmp_path, topic, monkeypatch):
    """Three hosts, each with a journal of its own."""
    monkeypatch.setenv("EVENTS_URL", topic.url)
    folders = [tmp_path / host for host in HOSTS]
    for folder in folders:
        folder.mkdir()
    return [Site(folder, app=APP) for folder in folders]


@pytest.fixture
def consumers(tmp_path, topic):
    """Two consumers."""
    folder = tmp_path / "consumers"
    folder.mkdir()
    Site(folder)  # for its policy
    started = Consumers(topic.url, Lake(tmp_path / "lake"), folder)
    started.begin()
    started.begin()
    yield started
    started.close()


def accepted(sites):
    return sum(site.accepted() for site in sites)


def lose_broker(cluster, topic, sites):
    """Kill the broker that leads a partition, and start it again after a while of load without it."""
    broker = eventually(lambda: max(cluster.leader(topic.name, 0), 0))
    cluster.kill(broker)
    before = accepted(sites)
    eventually(lambda: cluster.leader(topic.name, 0) not in {broker, -1}, 60)
    eventually(lambda: accepted(sites) >= min(before + REQUESTS // 10, REQUESTS), WITHIN_S)
    cluster.start(broker)


def lose_consumer(consumers, lake, sites):
    """Kill one after something new has come into the lake, and start another."""
    before = lake.ids().total()
    eventually(lambda: lake.ids().total() > min(before, accepted(sites) - 1) or consumers.have_ended(), 60)
    assert not consumers.have_ended(), consumers.log()
    consumers.kill()
    consumers.begin()


def read(topic, lake):
    ids = Counter(
        msgspec.json.decode(message.value())["event_id"] for message in read_all(topic.cluster.servers, topic.name)
    )
    eventually(lambda: lake.ids().keys() >= ids.keys(), WITHIN_S)
    return Outcome(ids, lake.ids())


def test_a_broker_and_consumers_die_under_load(cluster, topic, sites, consumers, tmp_path, row):
    lake = Lake(tmp_path / "lake")
    with contextlib.ExitStack() as running:
        servers = [running.enter_context(uvicorn(site, host=host)) for site, host in zip(sites, HOSTS, strict=True)]
        visits = [
            Visits(host, server.port, REQUESTS // len(HOSTS)) for server, host in zip(servers, HOSTS, strict=True)
        ]
        eventually(lambda: accepted(sites) > REQUESTS // 10, WITHIN_S)
        lose_broker(cluster, topic, sites)
        for _ in range(KILLS):
            lose_consumer(consumers, lake, sites)
        answered = [visit.finish() for visit in visits]
        for site, server in zip(sites, servers, strict=True):
            eventually(lambda site=site: all(sink.pending == 0 for sink in site.counts().sinks), WITHIN_S)
            server.stop()
    total = sum(load.answered for load in answered)
    found = read(topic, lake)
    codes = consumers.end()
    assert sum(load.failed for load in answered) == 0
    assert all(site.counts().closes for site in sites)
    assert accepted(sites) == total == len(found.topic)
    assert found.lake == dict.fromkeys(found.topic, 1), consumers.log()
    assert codes == [0, 0], consumers.log()
    assert not topic.letters()
    row(
        32, "three app hosts, each with its journal; three brokers, one of them is killed -9 and comes back",
        requests=total, accepted=accepted(sites), unique_ids_in_the_topic=len(found.topic),
        sent_again_for_consumers_to_drop=found.topic.total() - len(found.topic), lost=total - len(found.topic),
    )  # fmt: skip
    row(
        31, "two consumers of six partitions, into one Delta Lake: one is killed -9 at a time, and another begins",
        kills=KILLS, accepted=accepted(sites), found=len(found.lake), lost=len(found.topic - found.lake),
        doubled=found.lake.total() - len(found.lake),
    )  # fmt: skip
