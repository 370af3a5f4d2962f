"""The middleware under real servers."""

from __future__ import annotations

import contextlib
import http.client
import os
import time

import msgspec
import pytest
from deltalake import DeltaTable

from centtrack import Event
from processes import kill_group
from servers import Load, Site, uvicorn
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


def is_answered_by_another(server, pid):
    """Whether another process answers now. A server that ends may reset connections that it hasn't accepted."""
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        return server.get("/poll") != pid
    return False


def states(site):
    return sorted({worker.state for worker in site.counts().workers})


def test_two_workers_under_load(site):
    with uvicorn(site, "--workers", "2") as server:
        load = Load(server, threads=4, each=375).start()
        eventually(lambda: site.accepted() > 0)
        assert site.counts().closes  # readable while they run
        load.finish()
        assert len(load.answered) == 1_500
        eventually(lambda: site.accepted() == 1_500)
        assert states(site) == ["running"]
        assert server.stop() is not None
    site.wait_for_delivery()
    for found in (in_lake(site), in_lines(site)):
        assert sorted(path for _, path in found) == sorted(load.answered)
        assert len({event_id for event_id, _ in found}) == 1_500
    counts = site.counts()
    assert counts.closes
    assert sum(worker.offered for worker in counts.workers) == 1_500
    assert [(sink.accepted, sink.delivered, sink.dead_lettered) for sink in counts.sinks] == [(1_500, 1_500, 0)] * 2
    assert states(site) == ["ended"]
    assert "ERROR" not in server.log()
    assert "Traceback" not in server.log()


def test_without_lifespan(site):
    """No hook of ours runs at the end then: what was accepted and not yet delivered waits for the next start."""
    with uvicorn(site, "--lifespan", "off") as server:
        load = Load(server, each=50).start().finish()
        eventually(lambda: site.accepted() == 200)
        server.stop()
    assert states(site) == ["killed"]
    with uvicorn(site, "--lifespan", "off") as server:
        server.get("/again")
        eventually(lambda: site.accepted() == 201)
        site.wait_for_delivery()
    expected = sorted([*load.answered, "/again"])
    assert sorted(path for _, path in in_lake(site)) == sorted(path for _, path in in_lines(site)) == expected


def test_reloading_loses_nothing(site):
    with uvicorn(site, "--reload") as server:
        for number in range(3):
            pid = server.get(f"/before-{number}")
            module = site.folder / "app.py"
            module.write_text(module.read_text() + f"# {number}\n")
            os.utime(module, (time.time() + number + 5,) * 2)  # also where times have whole seconds
            eventually(lambda pid=pid: is_answered_by_another(server, pid))
            server.get(f"/after-{number}")
        server.stop()
    counts = site.counts()
    assert counts.closes
    assert states(site) == ["ended"]
    site_paths = [path for _, path in in_lake(site)]
    assert sorted(path for path in site_paths if path != "/poll") == sorted(
        f"/{when}-{number}" for when in ("before", "after") for number in range(3)
    )
    assert sorted(in_lines(site)) == sorted(in_lake(site))
    assert sum(worker.offered for worker in counts.workers) == len(site_paths)


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
    assert eventually(lambda: states(site) == ["killed"])
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
