"""The middleware under real servers."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import msgspec
import pytest
import trio
from deltalake import DeltaTable

import server_apps
from asgi import body, sending, start
from centtrack import Event, PrivacyPolicy, TelemetryMiddleware
from centtrack.delivery.journal.counters import read_counts
from centtrack.testing import MemorySink, make_scope
from faults.judge import IdFile
from faults.table import LONG
from processes import kill_group
from servers import POLICY, WAYS, Load, Site, serve, uvicorn
from waiting import eventually

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def in_lake(site):
    """(id, path) of each row of the Delta table."""
    rows = DeltaTable(site.folder / "lake").to_pyarrow_table(columns=["event_id", "path"])
    return list(zip(*(rows[name].to_pylist() for name in ("event_id", "path")), strict=True))


def in_lines(site):
    """(id, path) of each line of the file."""
    lines = (site.folder / "events.jsonl").read_bytes().splitlines()
    events = [msgspec.json.decode(line, type=Event) for line in lines]
    return [(event.event_id, event.path) for event in events]


def states(site):
    return {worker.name: worker.state for worker in site.workers()}


def test_two_workers_under_load(site):
    with uvicorn(site, "--workers", "2") as server:
        load = Load(server, threads=4, each=375).start()
        eventually(lambda: site.accepted() > 0)
        assert site.counts().closes  # readable while they run
        load.finish()
        assert len(load.answered) == 1_500
        eventually(lambda: site.accepted() == 1_500)
        assert set(states(site).values()) == {"running"}
        assert server.stop() is not None
    site.wait_for_delivery()
    for found in (in_lake(site), in_lines(site)):
        assert sorted(path for _, path in found) == sorted(load.answered)
        assert len({event_id for event_id, _ in found}) == 1_500
    counts = site.counts()
    assert counts.closes
    assert sum(worker.offered for worker in counts.workers) == 1_500
    assert [(sink.accepted, sink.delivered, sink.dead_lettered) for sink in counts.sinks] == [(1_500, 1_500, 0)] * 2
    assert set(states(site).values()) == {"ended"}
    assert "ERROR" not in server.log()
    assert "Traceback" not in server.log()


def test_without_lifespan(site):
    """No hook of ours runs at the end then: what was accepted and not yet delivered waits for the next start."""
    with uvicorn(site, "--lifespan", "off") as server:
        load = Load(server, each=50).start().finish()
        eventually(lambda: site.accepted() == 200)
        server.stop()
    assert set(states(site).values()) == {"killed"}
    with uvicorn(site, "--lifespan", "off") as server:
        server.get("/again")
        eventually(lambda: site.accepted() == 201)
        site.wait_for_delivery()
    expected = sorted([*load.answered, "/again"])
    assert sorted(path for _, path in in_lake(site)) == sorted(path for _, path in in_lines(site)) == expected


TYPO = '[limits.default]\ntime = "second"\n\npage = "pth"\n'


def test_a_typo_in_the_policy_stops_the_start(tmp_path):
    with uvicorn(Site(tmp_path, policy=TYPO), waits=False) as server:
        assert server.process.wait(60) != 0
    assert "line 4: limits.default.page" in server.log()
    assert 'Did you mean "path"?' in server.log()
    assert "Traceback" not in server.log()


def test_a_typo_in_the_policy_without_lifespan_is_said_once_a_process(tmp_path):
    with uvicorn(Site(tmp_path, policy=TYPO), "--lifespan", "off", "--workers", "2") as server:
        load = Load(server, each=25).start().finish()
        server.stop()
    assert len(load.answered) == 100
    assert server.log().count("nothing is recorded, ") == len(load.workers)
    assert server.log().count("line 4: limits.default.page") == len(load.workers)
    assert not (tmp_path / "state").exists()


def test_kill_9_under_load(site):
    """What the journal had accepted is delivered by the next start, once; the rest is said to be a lower bound."""
    with uvicorn(site, "--workers", "2") as server:
        load = Load(server, each=10_000).start()
        eventually(lambda: site.accepted() > 500 and len(site.counts().workers) == 2)
        kill_group(server.process)
        load.finish()
    killed = site.counts()
    accepted = sum(worker.accepted for worker in killed.workers)
    assert accepted > 0
    assert eventually(lambda: set(states(site).values()) == {"killed"})
    assert killed.closes

    with uvicorn(site) as server:
        site.wait_for_delivery()
        server.get("/next")
        eventually(lambda: site.accepted() == accepted + 1)
        site.wait_for_delivery()
        server.stop()
    for found in (in_lake(site), in_lines(site)):
        assert len(found) == len({event_id for event_id, _ in found}) == accepted + 1
        assert len({path for _, path in found}) == accepted + 1
    counts = site.counts()
    assert counts.closes
    assert sorted(worker.state for worker in counts.workers) == ["ended", "killed", "killed"]
    offered = sum(worker.offered for worker in counts.workers if worker.state == "killed")
    assert accepted <= offered <= len(load.answered) + 4  # the four that were on their way


def test_a_killed_worker_among_others(site):
    """The server starts another one; the lock of the deliverer goes to one that lives."""
    with uvicorn(site, "--workers", "2") as server:
        load = Load(server, each=1_000).start()
        eventually(lambda: site.accepted() > 100)
        os.kill(int(site.counts().workers[0].name.partition("-")[0]), 9)
        load.finish()
        after = Load(server, each=25).start().finish()
        assert len(after.answered) == 100
        server.stop()
    site.wait_for_delivery()
    assert {path for _, path in in_lake(site)} >= set(after.answered)
    counts = site.counts()
    assert counts.closes
    assert [worker.state for worker in counts.workers].count("killed") == 1
    for found in (in_lake(site), in_lines(site)):
        assert len(found) == len({event_id for event_id, _ in found}) == site.accepted()


APPS = {
    "lifespan": server_apps.WITH_LIFESPAN,
    "no lifespan": server_apps.WITHOUT_LIFESPAN,
    "confirmed": server_apps.CONFIRMED,
    "starlette": server_apps.STARLETTE,
    "mounted": server_apps.MOUNTED,
    "django": server_apps.DJANGO,  # raises on lifespan
}
ALL = [(way, app) for way in WAYS for app in APPS if (way, app) != ("hypercorn, trio", "django")]  # needs asyncio
SOME = {  # each way once, and each app
    **dict.fromkeys(WAYS, "lifespan"),
    "uvicorn": "starlette",
    "uvicorn, reload": "no lifespan",
    "gunicorn, asgi workers": "django",
    "hypercorn, trio": "confirmed",
    "granian": "mounted",
}


@pytest.mark.parametrize(("way", "app"), ALL if LONG else SOME.items())
def test_all_that_was_accepted_arrives(tmp_path, way, app):
    """By the end if the app hears of it, else after the next start. The server ends by itself, and all of it."""
    site, file = Site(tmp_path, app=APPS[app]), IdFile(tmp_path / "ids")
    tells = WAYS[way].tells and app != "mounted"
    prefix = "/inner" if app == "mounted" else ""
    with serve(site, way) as server:
        if tells:  # else they begin at their first request
            eventually(lambda: len(states(site)) == WAYS[way].workers)
        server.get(prefix + "/first")
        eventually(lambda: site.accepted() == 1)  # by now engines are built: that may take longer than an end may
        load = Load(server, each=25, prefix=prefix).start().finish()
        assert len(load.answered) == 100
        if not tells:
            eventually(lambda: site.accepted() == 101)
        server.stop()
        logs = [server.log()]
    assert site.accepted() == 101
    expected = [prefix + "/first", *load.answered]
    if tells:
        assert set(states(site).values()) == {"ended"}
    else:
        with serve(site, way) as server:
            server.get(prefix + "/next")
            eventually(lambda: site.accepted() == 102)
            site.wait_for_delivery()
            server.stop()
            logs.append(server.log())
        expected = [*expected, prefix + "/next"]
    # One that ends without a word may have no time to note that its last batch was taken: that comes again, as it was.
    assert len(file.doubled_batches()) <= (0 if tells else WAYS[way].workers)
    assert sorted({taken.event_id: taken.path for taken in file.taken()}.values()) == sorted(expected)
    counts = site.counts()
    assert counts.closes
    assert [sink.pending for sink in counts.sinks] == [0]
    for log in logs:
        assert "ERROR" not in log
        assert "Traceback" not in log


# Several event loops in one process, one after the other and at the same time.

RUNNERS = {
    "asyncio": asyncio.run,
    "trio": trio.run,
    "anyio": lambda visit: anyio.run(visit, backend="trio"),
}


async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}


class Visits:
    """Visits to an app in this process, on any event loop."""

    def __init__(self, folder, **options):
        self.sink, self.journal = MemorySink(), folder / "state" / "journal.db"
        self.app = TelemetryMiddleware(
            sending(start(), body(b"hello")),
            policy=PrivacyPolicy.parse(POLICY), sink=self.sink, journal=self.journal, **options,
        )  # fmt: skip
        assert self.app.problem is None

    async def visit(self, prefix, count=10):
        for number in range(count):
            sent = []

            async def send(message, sent=sent):
                sent.append(message["type"])

            await self.app(make_scope(f"{prefix}/{number}"), receive, send)
            assert sent == ["http.response.start", "http.response.body"]

    def run(self, runner, prefix):
        async def visit():
            await self.visit(prefix)

        RUNNERS[runner](visit) if runner != "asyncio" else asyncio.run(visit())

    def check(self, expected):
        """Close, by yet another event loop; all that was visited has arrived once."""
        asyncio.run(self.app.aclose())
        paths = [event.path for event in self.sink.events]
        assert len(paths) == len(set(paths)) == expected
        counts = read_counts(self.journal)
        assert counts.closes
        assert [(worker.offered, worker.accepted) for worker in counts.workers] == [(expected, expected)]


MODES = ["relaxed", "confirmed"]


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("mode", MODES)
def test_event_loops_one_after_the_other(tmp_path, mode):
    visits = Visits(tmp_path, mode=mode)
    for number, runner in enumerate([*RUNNERS] * 2):
        visits.run(runner, f"/{number}")
    visits.check(60)


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("mode", MODES)
def test_event_loops_in_threads(tmp_path, mode):
    """All begin at once, with the first visit of the process."""
    visits, barrier = Visits(tmp_path, mode=mode), threading.Barrier(9)

    def work(number):
        barrier.wait(30)
        visits.run([*RUNNERS][number % 3], f"/{number}")

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(work, range(9)))
    visits.check(90)


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("mode", MODES)
def test_an_event_loop_in_a_thread_of_another(tmp_path, mode):
    """As apps do that call async code from a function in a thread pool."""
    visits = Visits(tmp_path, mode=mode)

    async def outer():
        await visits.visit("/outer")
        await asyncio.gather(*(asyncio.to_thread(visits.run, "asyncio", f"/{number}") for number in range(4)))
        await visits.visit("/again")

    asyncio.run(outer())
    visits.check(60)
