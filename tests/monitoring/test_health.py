"""Health: one word and sentences, of the process that answers."""

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from centtrack import PrivacyPolicy, TelemetryMiddleware
from centtrack.delivery.recording.queue import MAX_BYTES, MAX_ENTRIES
from centtrack.delivery.state import PipelineState, SinkState
from centtrack.errors import RetryLater
from centtrack.monitoring import Health, health_of
from centtrack.monitoring.health import judge
from waiting import eventually

AT_ONCE = PrivacyPolicy.parse('[limits.default]\ntime = "second"')


def state(*sinks, journal="open", **more):
    return PipelineState(journal=journal, sinks=sinks, **more)


@pytest.mark.parametrize(
    ("found", "status", "problems"),
    [
        (state(), "ok", []),
        (state(SinkState("a", "delivering"), SinkState("b", "standby"), SinkState("c", "starting")), "ok", []),
        (state(journal="closed"), "ok", []),  # before the first request
        (state(queued=MAX_ENTRIES // 2), "ok", []),
        (state(queued=MAX_ENTRIES * 3 // 4), "degraded", ["the queue in memory is filled to 75%"]),
        (state(queued_bytes=MAX_BYTES * 3 // 4), "degraded", ["the queue in memory is filled to 75%"]),
        (state(queued=MAX_ENTRIES), "degraded", ["the queue in memory is full, new events are dropped"]),
        (
            state(journal="degraded", problem="OSError: Read-only file system"),
            "degraded",
            ["the journal can't be written, events wait in memory: OSError: Read-only file system"],
        ),
        (state(is_alive=False), "failing", ["the recorder's thread has ended, nothing is recorded"]),
        (
            state(journal="full", problem="no more than 1,000,000 bytes"),
            "degraded",
            ["the journal is at its limit, new events are dropped: no more than 1,000,000 bytes"],
        ),
        (
            state(journal="degraded", queued=MAX_ENTRIES),
            "failing",
            [
                "the journal can't be written, events wait in memory",
                "the queue in memory is full, new events are dropped",
            ],
        ),
        (
            state(
                SinkState("a", "retrying", "RetryLater: busy"), SinkState("b", "paused", "no such table"),
                SinkState("c", "hanging"), SinkState("{d}", "ended", "SystemExit"),
            ),
            "degraded",
            [
                "a can't be delivered to, it is tried again: RetryLater: busy",
                "b waits until its configuration is mended: no such table",
                "c doesn't answer",
                "delivery to {d} has ended in this process: SystemExit",
            ],
        ),
    ],
)  # fmt: skip
def test_judge(found, status, problems):
    assert judge(found).as_dict() == {"status": status, "problems": problems}


def health(request):
    return JSONResponse(health_of(request).as_dict())


def test_of_a_request(tmp_path):
    """While a sink refuses, the app says so; when it takes events again, no more."""
    is_down = True

    def sink(events):
        if is_down:
            raise RetryLater("busy")

    app = Starlette(routes=[Route("/health", health)])
    app.add_middleware(TelemetryMiddleware, sink=sink, policy=AT_ONCE, journal=tmp_path / "journal.db")
    with TestClient(app) as client:
        eventually(lambda: client.get("/health").json()["status"] == "degraded")
        [problem] = client.get("/health").json()["problems"]
        assert ("sink" in problem, "busy" in problem) == (True, True)
        is_down = False
        eventually(lambda: client.get("/health").json() == {"status": "ok", "problems": []})


@pytest.mark.parametrize("options", [None, {"sink": "nowhere:"}], ids=["no middleware", "misconfigured"])
def test_without_recording(options):
    app = Starlette(routes=[Route("/health", health)])
    if options:
        app.add_middleware(TelemetryMiddleware, **options)
    found = TestClient(app).get("/health").json()  # without lifespan, which would refuse to start
    assert found["status"] == "failing"
    assert "nothing is recorded" in found["problems"][0]


def test_of_anything_else():
    assert health_of(object()).status == "failing"
    assert health_of({"type": "http"}) == Health("failing", health_of({}).problems)
