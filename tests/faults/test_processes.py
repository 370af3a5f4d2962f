"""Rows 16 to 19: processes that are forked, reloaded, ended under load, or gone without a word."""

from __future__ import annotations

import contextlib
import http.client
import os
import time

import psutil
import pytest

import server_apps
from faults.apps import accepted, dropped, offered
from faults.judge import TESTS, IdFile
from faults.table import LONG
from faults.traffic import Traffic
from processes import run_python
from servers import WAYS, Load, Site, serve
from waiting import eventually

pytestmark = pytest.mark.timeout(1_200 if LONG else 120)


def deliver_the_rest(site, *, path="/next"):
    """The next start, with a sink that works; what it takes."""
    for obstacle in ("down", "hang"):
        (site.folder / obstacle).unlink(missing_ok=True)
    with serve(site, "uvicorn") as server:
        server.get(path)
        eventually(lambda: path in IdFile(site.folder / "ids").paths())
        site.wait_for_delivery()
        server.stop()
    return IdFile(site.folder / "ids")


# 16


def test_workers_forked_from_a_process_that_records(tmp_path, row):
    """gunicorn with --preload: the app of the parent has served a visit before it forks."""
    site, each = Site(tmp_path, app=server_apps.USED_BEFORE_THE_FORK), 2_500 if LONG else 100
    with serve(site, "gunicorn, preload") as server:
        eventually(lambda: len(site.workers()) == 5)  # four, and their parent
        load = Load(server, each=each).start().finish()
        assert len(load.answered) == 4 * each
        server.stop()
        log = server.log()
    inherited = [line.split() for line in (tmp_path / "inherited").read_text().splitlines()]
    file, counts = deliver_the_rest(site), site.counts()
    assert "Traceback" not in log
    assert len(inherited) == 4
    assert sorted(file.paths().elements()) == sorted(["/before", "/before", "/next", *load.answered])
    assert len(file.ids()) == len(load.answered) + 3
    assert counts.closes
    files = [name for _, *names in inherited for name in names]
    row(
        16, "gunicorn --preload with 4 workers; their parent had recorded before",
        answered=len(load.answered), accepted=accepted(counts), delivered=len(file.ids()), doubled=0, lost=0,
        files_inherited=len(files),
    )  # fmt: skip
    assert files == []


# Forks at any moment of the threads' work: two offer events, one commits, one delivers, one holds the journal's lock.
FORKING = """
import asyncio, os, sys, threading, time, warnings
from pathlib import Path
warnings.simplefilter("ignore", DeprecationWarning)
folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
sys.path.insert(0, sys.argv[3])
from centtrack.delivery import pipeline
from centtrack.delivery.journal.journal import Journal
from faults.apps import Host
from faults.judge import IdFile

pipeline.COMMIT_WITHIN_S = pipeline.DELIVER_WITHIN_S = 60.0  # closing takes the time it needs on a busy machine
host, over = Host(folder, IdFile(folder / "ids")), threading.Event()

def visit():
    mine = Host.__new__(Host)
    with asyncio.Runner() as runner:
        mine.__dict__.update(host.__dict__, visited=host.visited.copy(), _runner=runner)
        while not over.wait(0.005):
            mine.visit(5, f"/{threading.get_native_id()}/")

def write():
    journal = Journal(host.journal)
    journal.open()
    while not over.wait(0.005):
        with journal.transaction():
            time.sleep(0.005)
    journal.close()

failed = []
threading.excepthook = failed.append
host.visit(1, "/first/")
assert host.pipeline.flush(30)
threads = [threading.Thread(target=work) for work in (visit, visit, write)]
for thread in threads:
    thread.start()
stuck = 0
for number in range(rounds):
    child = os.fork()
    if child == 0:
        inherited, host._runner = host._runner, asyncio.Runner()  # closing that one would disturb the parent's
        host.visited.clear()
        host.visit(5, f"/child-{number}/")
        os._exit(0 if host.pipeline.flush(30) else 3)
    until = time.monotonic() + 40
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < until:
        time.sleep(0.005)
    if ended != (child, 0):
        stuck += 1
        if not ended[0]:
            os.kill(child, 9)
            os.waitpid(child, 0)
over.set()
for thread in threads:
    thread.join()
host.close()
assert not failed, failed
print(stuck)
"""


def test_fork_while_a_lock_is_held(tmp_path, row):
    """Each child records five visits, though its parent's threads were in the midst of their work."""
    rounds = 200 if LONG else 15
    stuck = int(run_python(FORKING, tmp_path, rounds, TESTS, timeout_s=1_000 if LONG else 100))
    site = Site(tmp_path, app=server_apps.WITH_LIFESPAN)
    site.wait_for_delivery()
    file, counts = IdFile(tmp_path / "ids"), site.counts()
    children = sum(count for path, count in file.paths().items() if path.startswith("/child-"))
    assert stuck == 0
    assert children == 5 * rounds
    assert len(file.ids()) == accepted(counts)
    assert counts.closes
    assert file.doubled_batches() == set()
    row(
        16, f"os.fork, {rounds} times, while threads commit, deliver and hold the journal's lock",
        children=rounds, stuck=stuck, accepted=accepted(counts), delivered=len(file.ids()), doubled=0, lost=0,
    )  # fmt: skip


# 17


def answers_as_another(server, pid):
    """Whether another process answers now. A server that ends may reset connections that it hasn't accepted."""
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        return server.get("/poll") not in {pid, ""}
    return False


def touch(module, number):
    module.write_text(module.read_text() + f"# {number}\n")
    os.utime(module, (time.time() + number + 5,) * 2)  # also where times have whole seconds


def test_reload(tmp_path, row):
    """Under load. What is answered is delivered, and nothing piles up: processes, threads, descriptors, files."""
    rounds = 50 if LONG else 3
    site, uses = Site(tmp_path, app=server_apps.STARLETTE), []
    with serve(site, "uvicorn, reload") as server, Traffic(server.port, threads=2, prefix="/thread/") as traffic:
        for number in range(rounds):
            pid = server.get("/poll")
            wanted = len(traffic.answered) + 50
            eventually(lambda wanted=wanted: len(traffic.answered) > wanted)
            parent = psutil.Process(server.process.pid)
            uses.append((len(parent.children(recursive=True)), parent.num_threads(), parent.num_fds()))
            touch(site.folder / "app.py", number)
            eventually(lambda pid=pid: answers_as_another(server, pid))
    counts, file = site.counts(), IdFile(tmp_path / "ids")
    assert not traffic.refused
    assert set(traffic.answered) <= file.paths().keys()
    assert len(file.ids()) == file.ids().total() == accepted(counts) == offered(counts)
    assert counts.closes
    assert {worker.state for worker in counts.workers} == {"ended"}
    assert len(set(uses)) == 1
    left = {path.name for path in (tmp_path / "state").iterdir()}
    assert len(left) == 4  # the journal and its reserve, its lock and the sink's
    row(
        17, f"uvicorn --reload, {rounds} times under load",
        answered=len(traffic.answered), accepted=accepted(counts), delivered=len(file.ids()), doubled=0, lost=0,
        files_left=len(left), processes=uses[-1][0] + 1,
    )  # fmt: skip


# 18


ENDED = [(way, obstacle) for way in WAYS if WAYS[way].grace for obstacle in ("", "hang")]


@pytest.mark.parametrize(
    ("way", "obstacle"), ENDED if LONG else [("uvicorn", ""), ("gunicorn, uvicorn workers", "hang"), ("granian", "")]
)
def test_sigterm_under_load(tmp_path, row, way, obstacle):
    """With a second of grace, and with a sink that works or doesn't answer."""
    site = Site(tmp_path, app=server_apps.WITH_LIFESPAN)
    took, answered = [], []
    for number in range(3 if LONG else 1):
        if obstacle:
            (tmp_path / obstacle).touch()
        options = WAYS[way].grace.split()
        with serve(site, way, *options) as server, Traffic(server.port, prefix=f"/{number}/") as traffic:
            eventually(lambda traffic=traffic: len(traffic.answered) > 500)
            began = time.monotonic()
            server.stop(within_s=15)  # 1 s for requests, 2 s to commit, 5 s to deliver, and a busy machine
            took.append(time.monotonic() - began)
        answered += traffic.answered
        assert not traffic.refused
    left = [sink.pending for sink in site.counts().sinks]
    states = {worker.state for worker in site.counts().workers}
    file, counts = deliver_the_rest(site), site.counts()
    assert obstacle or left == [0]
    assert len(file.ids()) == accepted(counts)
    assert counts.closes
    assert len(file.doubled_batches()) <= len(took)
    if states == {"ended"}:
        assert set(answered) <= file.paths().keys()
    row(
        18, f"{way}, SIGTERM under load" + (", while the sink hangs" if obstacle else ""),
        rounds=len(took), answered=len(answered), accepted=accepted(counts), left_in_the_journal=sum(left),
        delivered=len(file.ids()), doubled=file.ids().total() - len(file.ids()), lost=0, longest_s=round(max(took), 1),
    )  # fmt: skip


# 19


OS_EXIT = (
    f"import os, sys\nos.chdir(sys.argv[1])\n{server_apps.WITHOUT_LIFESPAN}"
    + """
from centtrack.testing import make_scope

async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}

async def send(message):
    pass

async def visit():
    for number in range(200):
        await app(make_scope(f"/{number}"), receive, send)

asyncio.run(visit())
assert app.pipeline.flush(30)
os._exit(0)
"""
)


@pytest.mark.parametrize("how", ["os._exit", "lifespan off", "mounted"] if LONG else ["os._exit"])
def test_an_end_that_nobody_hears_of(tmp_path, row, how):
    """The sink is down until then, so that all waits for the next start."""
    app = server_apps.MOUNTED if how == "mounted" else server_apps.WITHOUT_LIFESPAN
    site = Site(tmp_path, app=app)
    prefix = "/inner" if how == "mounted" else ""
    (tmp_path / "down").touch()
    if how == "os._exit":
        run_python(OS_EXIT, tmp_path)
    else:
        with serve(site, "uvicorn, no lifespan" if how == "lifespan off" else "uvicorn") as server:
            assert len(Load(server, each=50, prefix=prefix).start().finish().answered) == 200
            eventually(lambda: site.accepted() == 200)
            server.stop()
    assert [sink.pending for sink in site.counts().sinks] == [200]
    assert {worker.state for worker in site.counts().workers} == {"killed"}
    file, counts = deliver_the_rest(site, path=prefix + "/next"), site.counts()
    assert file.paths() == dict.fromkeys([f"{prefix}/{number}" for number in range(200)] + [f"{prefix}/next"], 1)
    assert len(file.ids()) == accepted(counts) == 201
    assert counts.closes
    assert dropped(counts) == {}
    row(19, how, accepted=201, left_in_the_journal=200, delivered_by_the_next_start=len(file.ids()), doubled=0, lost=0)
