"""The middleware, driven by hand as a server does, and under Starlette and FastAPI."""

from __future__ import annotations

import asyncio
import copy
import logging
import threading
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from asgi import Recording, Wire, body, sending, serve, start
from centtrack import PrivacyPolicy, TelemetryMiddleware, consent_of, track
from centtrack.capture.capture import Capture
from centtrack.testing import MemorySink, make_scope
from waiting import eventually

pytestmark = pytest.mark.usefixtures("unhurried")

OK = (start(), body(b"hello"))
SHOP = """
[limits.default]
time = "second"
page = "route"
[[events]]
name = "quote_ready"
[events.properties]
plan = ["basic", "full"]
people = "integer"
price = "number"
returning = "boolean"
"""


@pytest.fixture
def recording(tmp_path):
    """Put an app behind the middleware: `recording(app, **options)`."""
    made = []

    def make(app=None, **options):
        folder = tmp_path / f"app-{len(made)}"
        folder.mkdir()
        made.append(Recording(folder, app or sending(*OK), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


# One event a request


@pytest.mark.parametrize(
    ("scope", "messages", "expected"),
    [
        # a page
        (make_scope(), OK, {"kind": "document", "method": "GET", "status": 200, "response_bytes": 5}),
        # what an API answers
        (
            make_scope(method="POST"),
            (start(201, "application/json"), body(b"{}")),
            {"kind": "api", "method": "POST", "status": 201, "response_bytes": 2},
        ),
        # no content
        (make_scope(method="DELETE"), (start(204), body()), {"method": "DELETE", "status": 204, "response_bytes": 0}),
        # the app sends a body all the same, the server leaves it out
        (make_scope(method="HEAD"), OK, {"kind": "document", "method": "HEAD", "status": 200, "response_bytes": 0}),
        # in pieces, the last one empty
        (
            make_scope(),
            (start(), body(b"a" * 1_000, more=True), body(b"b" * 234, more=True), body()),
            {"status": 200, "response_bytes": 1_234},
        ),
        # a body message without body
        (make_scope(), (start(), {"type": "http.response.body"}), {"status": 200, "response_bytes": 0}),
        # trailers come after the last piece
        (
            make_scope(),
            (start(), body(b"abc"), {"type": "http.response.trailers", "headers": [], "more_trailers": False}),
            {"status": 200, "response_bytes": 3},
        ),
        # the server sends a file by itself
        (
            make_scope(),
            (start(content_length="4096"), {"type": "http.response.pathsend", "path": "/srv/a.html"}),
            {"status": 200, "response_bytes": 4_096},
        ),
        # hints and messages of the future before the response
        (
            make_scope(),
            ({"type": "http.response.early_hint", "links": []}, {"type": "http.response.future"}, *OK),
            {"status": 200, "response_bytes": 5},
        ),
        # the app ends without any answer
        (make_scope(), (), {"method": "GET", "status": None, "response_bytes": 0}),
        # the app ends in the middle of its answer
        (make_scope(), (start(), body(b"abc", more=True)), {"status": 200, "response_bytes": 3}),
    ],
)  # fmt: skip
def test_each_request_makes_one_event(recording, scope, messages, expected):
    recorded = recording(sending(*messages))
    recorded.serve(scope)
    event = recorded.event()
    assert {name: getattr(event, name) for name in expected} == expected
    assert event.name == "request"
    assert event.duration_ms >= 0
    assert [worker.offered for worker in recorded.counts().workers] == [1]


@pytest.mark.parametrize(
    ("messages", "status", "size"),
    [
        # accepted, two messages out, closed by the app
        (
            (
                {"type": "websocket.accept"},
                {"type": "websocket.send", "text": "қ"},
                {"type": "websocket.send", "bytes": b"abc", "text": None},
                {"type": "websocket.close", "code": 1000},
            ),
            101,
            5,
        ),
        # refused: the server answers 403
        (({"type": "websocket.close"},), 403, 0),
        # refused with a response of the app's own
        (
            (
                {"type": "websocket.http.response.start", "status": 401, "headers": []},
                {"type": "websocket.http.response.body", "body": b"sign in", "more_body": False},
            ),
            401,
            7,
        ),
    ],
    ids=["accepted", "refused", "denied"],
)
def test_each_websocket_makes_one_event(recording, messages, status, size):
    recorded = recording(sending(*messages))
    assert recorded.serve(make_scope("/chat", kind="websocket")) == list(messages)
    event = recorded.event()
    assert (event.kind, event.method, event.status, event.response_bytes) == ("websocket", None, status, size)


@pytest.mark.parametrize("kind", ["telepathy", "lifespan.v2"])
def test_other_scopes_pass(recording, kind):
    recorded = recording(sending({"type": "anything"}))
    scope = {"type": kind}
    assert recorded.serve(scope) == [{"type": "anything"}]
    assert scope == {"type": kind}
    assert recorded.events() == []


def test_the_event_is_there_when_the_last_byte_is_sent(recording):
    """Not only when the app is done: background tasks follow, and the server may cancel them."""

    async def app(_scope, _receive, send):
        await send(start())
        await send(body(b"hello"))
        await asyncio.to_thread(recorded.sink.wait, 1, 60)

    recorded = recording(app)
    recorded.serve()
    assert recorded.event().status == 200


# Nothing is changed, delayed or held back


def test_messages_pass_at_once_as_they_are(recording):
    messages = [start(206, x_any="1"), body(b"a", more=True), body(memoryview(b"b"), more=True), body(b"c")]
    before = copy.copy([dict(message) for message in messages])
    wire = Wire()

    async def app(_scope, _receive, send):
        for number, message in enumerate(messages):
            await send(message)
            assert wire.sent[number] is message

    recorded = recording(app)
    wire.serve(recorded.app)
    assert messages == before
    assert recorded.event().response_bytes == 3


def test_incoming_messages_pass_as_they_are(recording):
    incoming = [{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.disconnect"}]
    received = []

    async def app(_scope, receive, send):
        received.extend([await receive(), await receive()])
        for message in OK:
            await send(message)

    recorded = recording(app)
    recorded.serve(None, *incoming)
    assert [one is other for one, other in zip(received, incoming, strict=True)] == [True, True]


def test_context_variables_reach_the_caller(recording):
    """A middleware that runs the app in a task of its own breaks this."""
    seen = ContextVar("seen", default="unset")

    async def app(_scope, _receive, send):
        seen.set("by the app")
        for message in OK:
            await send(message)

    async def main():
        wire = Wire()
        await recorded.app(make_scope(), wire.receive, wire.send)
        return seen.get()

    recorded = recording(app)
    assert asyncio.run(main()) == "by the app"


def test_many_at_once_make_one_event_each(recording):
    async def app(scope, _receive, send):
        await send(start(int(scope["path"][1:])))
        await asyncio.sleep(0)
        await send(body(b"x", more=True))
        await asyncio.sleep(0)
        await send(body())

    async def main():
        wires = [Wire() for _ in range(200)]
        served = (
            recorded.app(make_scope(f"/{200 + number}"), wire.receive, wire.send) for number, wire in enumerate(wires)
        )
        await asyncio.gather(*served)

    recorded = recording(app)
    asyncio.run(main())
    events = recorded.events()
    assert sorted((event.status, event.path) for event in events) == [(200 + n, f"/{200 + n}") for n in range(200)]
    assert len({event.event_id for event in events}) == 200


def test_several_event_loops_in_one_process(recording):
    recorded = recording()
    threads = [threading.Thread(target=lambda: [serve(recorded.app) for _ in range(25)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(recorded.events()) == 100


# Exceptions of the app


class AppError(Exception):
    pass


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ((), 500),  # the server answers 500
        ((start(202),), 202),
        ((start(202), body(b"abc", more=True)), 202),
        (OK, 200),  # as a background task does
    ],
    ids=["before the start", "after the start", "in the middle", "after the end"],
)
@pytest.mark.parametrize("kind", [AppError, OSError, RuntimeError, ExceptionGroup])
def test_an_exception_of_the_app_goes_through(recording, kind, sent, status):
    error = kind("mine", [AppError()]) if kind is ExceptionGroup else kind("mine")

    async def app(_scope, _receive, send):
        for message in sent:
            await send(message)
        raise error

    recorded, wire = recording(app), Wire()
    with pytest.raises(kind) as caught:
        wire.serve(recorded.app)
    assert caught.value is error
    assert wire.sent == list(sent)
    assert recorded.event().status == status


@pytest.mark.parametrize(("sent", "status"), [((), None), ((start(),), 200), (OK, 200)])
def test_a_cancelled_request_is_cancelled_and_makes_one_event(recording, sent, status):
    async def app(_scope, _receive, send):
        for message in sent:
            await send(message)
        waits.set()
        await asyncio.Event().wait()

    async def main():
        nonlocal waits
        waits = asyncio.Event()
        wire = Wire()
        task = asyncio.create_task(recorded.app(make_scope(), wire.receive, wire.send))
        await waits.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    waits = None
    recorded = recording(app)
    assert asyncio.run(main())
    assert recorded.event().status == status


def test_a_client_that_left_before_there_was_a_status_has_none(recording):
    """Servers of ASGI 2.4 raise OSError from `send` then."""
    gone = OSError("client disconnected")

    async def send(_message):
        raise gone

    recorded = recording()
    with pytest.raises(OSError, match="client disconnected") as caught:
        asyncio.run(recorded.app(make_scope(), Wire().receive, send))
    assert caught.value is gone
    assert recorded.event().status is None


# Our own exceptions


def _fails(*_arguments, **_options):
    raise ZeroDivisionError("ours")


def test_a_failing_capture_is_counted_and_the_app_goes_on(recording, monkeypatch, caplog):
    monkeypatch.setattr(Capture, "capture", _fails)
    recorded = recording()
    for _ in range(3):
        assert recorded.serve() == list(OK)
    assert recorded.dropped() == {"capture_failed": 3}
    assert recorded.counts().closes
    assert "ours" not in caplog.text  # a message may quote what the visitor sent


@pytest.mark.parametrize(
    "broken",
    [
        {"headers": [("host", "text")]},
        {"headers": [(b"host",)]},
        {"headers": None},
        {"path": None},
        {"path": "/\udc80"},
        {"query_string": None},
        {"query_string": "text"},
        {"client": 5},
        {"client": ("no address", 0)},
        {"method": None},
        {"method": "G\udc80T"},
        {"root_path": None},
    ],
    ids=str,
)
def test_a_strange_scope_is_served_and_accounted_for(recording, broken):
    recorded = recording()
    assert recorded.serve({**make_scope(), **broken}) == list(OK)
    [worker] = recorded.counts().workers
    assert (worker.offered, worker.in_flight) == (1, 0)


@pytest.mark.parametrize("missing", ["headers", "path", "query_string", "client", "method", "root_path"])
def test_a_scope_without_a_key_is_served_and_accounted_for(recording, missing):
    scope = make_scope()
    del scope[missing]
    recorded = recording()
    assert recorded.serve(scope) == list(OK)
    [worker] = recorded.counts().workers
    assert (worker.offered, worker.in_flight) == (1, 0)


@pytest.mark.parametrize(
    "strange",
    [
        {"type": "http.response.start", "status": 200, "headers": None},
        {"type": "http.response.start", "status": 200, "headers": [("content-type", "text/html")]},
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9" * 5_000)]},
        {"type": "http.response.body", "body": None},  # uvicorn doesn't look at it for HEAD
        {"type": "websocket.send", "text": "\udc80"},
    ],
    ids=["headers None", "headers of text", "endless content-length", "body None", "lone surrogate"],
)
def test_a_strange_message_passes_if_the_server_takes_it(recording, strange):
    recorded = recording(sending(strange, *OK))
    kind = "websocket" if strange["type"].startswith("websocket") else "http"
    assert recorded.serve(make_scope(kind=kind)) == [strange, *OK]
    [worker] = recorded.counts().workers
    assert (worker.offered, worker.in_flight) == (1, 0)


def test_no_thread_can_be_started(recording, monkeypatch):
    """At a limit of threads, or while the interpreter exits."""
    monkeypatch.setattr(threading.Thread, "start", _fails)
    recorded = recording()
    assert recorded.serve() == list(OK)
    monkeypatch.undo()
    eventually(lambda: recorded.serve() == list(OK) and recorded.app.pipeline.is_running)
    assert len(recorded.events()) >= 1
    assert recorded.dropped()["start_failed"] >= 1


def test_helpers_of_ours_never_raise_in_the_app(recording, monkeypatch):
    async def app(scope, _receive, send):
        monkeypatch.setattr(Capture, "check_custom", _fails)
        monkeypatch.setattr(Capture, "consent_of", _fails)
        track(scope, "anything")
        allowed.append(consent_of(scope).allows("analytics"))
        for message in OK:
            await send(message)

    allowed = []
    recorded = recording(app)
    first, last = recorded.serve()
    assert (first["status"], last) == (OK[0]["status"], OK[1])
    assert dict(first["headers"]).items() >= dict(OK[0]["headers"]).items()
    assert allowed == [False]


# Lifespan

STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}
STARTED, ENDED = {"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}


async def _knows_lifespan(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send(STARTED)
        await receive()
        await send(ENDED)
    else:
        for message in OK:
            await send(message)


async def _raises_at_lifespan(scope, _receive, send):
    if scope["type"] == "lifespan":
        raise ValueError("only http")
    for message in OK:
        await send(message)


async def _raises_after_the_first_message(scope, receive, send):
    await receive()
    await _raises_at_lifespan(scope, receive, send)


@pytest.mark.parametrize("app", [_knows_lifespan, _raises_at_lifespan, _raises_after_the_first_message])
def test_lifespan_is_answered_whether_the_app_knows_it_or_not(recording, app):
    recorded = recording(app)
    assert recorded.serve({"type": "lifespan"}, STARTUP, SHUTDOWN) == [STARTED, ENDED]


def test_an_app_that_ignores_lifespan_is_answered_for(recording):
    recorded = recording(sending())
    answered = recorded.serve({"type": "lifespan"}, STARTUP, SHUTDOWN)
    assert [message["type"] for message in answered] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("answer", ["lifespan.startup.failed", "lifespan.shutdown.failed"])
def test_an_app_that_fails_its_lifespan_is_heard(recording, answer):
    failed = {"type": answer, "message": "no database"}
    recorded = recording(sending(failed))
    assert recorded.serve({"type": "lifespan"}, STARTUP) == [failed]


def test_an_exception_after_startup_goes_through(recording):
    error = AppError()

    async def app(_scope, receive, send):
        await receive()
        await send(STARTED)
        raise error

    recorded, wire = recording(app), Wire(STARTUP)
    with pytest.raises(AppError) as caught:
        wire.serve(recorded.app, {"type": "lifespan"})
    assert caught.value is error
    assert wire.sent == [STARTED]


def test_all_is_delivered_before_the_server_hears_of_the_end(recording):
    async def main():
        await recorded.app({"type": "lifespan"}, server.receive, send)

    async def send(message):
        if message == STARTED:
            for _ in range(10):
                wire = Wire()
                await recorded.app(make_scope(), wire.receive, wire.send)
        else:
            delivered.append(len(recorded.sink.events))

    delivered = []
    server, recorded = Wire(STARTUP, SHUTDOWN), recording(_knows_lifespan)
    asyncio.run(main())
    assert delivered == [10]
    assert [worker.state for worker in recorded.counts().workers] == ["ended"]


def test_a_cancelled_lifespan_delivers_all(recording):
    """As at a second SIGINT under uvicorn."""

    async def main():
        started, server = asyncio.Event(), Wire(STARTUP)

        async def send(_message):
            started.set()

        lifespan = asyncio.create_task(recorded.app({"type": "lifespan"}, server.receive, send))
        await started.wait()
        await recorded.app(make_scope(), server.receive, send)
        lifespan.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lifespan

    recorded = recording(_knows_lifespan)
    asyncio.run(main())
    assert len(recorded.sink.events) == 1


def test_without_lifespan_aclose_delivers_all(recording):
    recorded = recording()
    recorded.serve()
    asyncio.run(recorded.app.aclose())
    assert len(recorded.sink.events) == 1


def test_closing_twice_and_before_any_request_is_fine(recording):
    recorded = recording()
    recorded.close()
    recorded.serve()
    recorded.close()
    recorded.close()
    assert len(recorded.sink.events) == 1


def test_requests_after_closing_are_recorded(recording):
    recorded = recording()
    recorded.serve()
    recorded.close()
    recorded.serve()
    assert len(recorded.events()) == 2


def test_closing_under_load_loses_nothing(recording):
    recorded = recording()
    done = threading.Event()
    served = []

    def visit():
        while not done.is_set():
            serve(recorded.app)
            served.append(1)

    threads = [threading.Thread(target=visit) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        recorded.close()
    done.set()
    for thread in threads:
        thread.join()
    assert len(recorded.events()) == len(served)
    assert recorded.counts().closes


# Configuration


def _typo(tmp_path):
    (tmp_path / "privacy.toml").write_text('version = "1"\n\n[limits.default]\nip = "net42"\n')
    return tmp_path / "privacy.toml"


WRONG = [
    ({"polcy": "privacy.toml"}, ["unknown option 'polcy'", 'Did you mean "policy"?']),
    ({"sinks": "memory:"}, ["unknown option 'sinks'", 'Did you mean "sink"?']),
    ({"policy": "nowhere/privacy.toml"}, ["nowhere/privacy.toml", "centtrack init"]),
    ({"policy": _typo}, ["privacy.toml has 1 error", "line 4: limits.default.ip", "net42"]),
    ({"policy": 5}, ["policy"]),
    ({"sink": None}, ["no sink", 'sink="delta:./telemetry"', "$CENTTRACK_SINK"]),
    ({"sink": []}, ["no sink"]),
    ({"sink": "delta"}, ["names no sink", 'Did you mean "delta:…"?']),
    ({"mode": "sync"}, ["mode='sync'", "relaxed, confirmed, durable"]),
    ({"deliver": "no"}, ["deliver='no'", "True or False"]),
    ({"max_bytes": "1GB"}, ["max_bytes='1GB'", "1,000,000"]),
    ({"max_bytes": 1_000}, ["max_bytes=1000", "1,000,000"]),
    ({"min_free": -1}, ["min_free=-1", "bytes"]),
    ({"sink": "dleta:./lake"}, ["names no sink", 'Did you mean "delta:"?']),
    ({"sink": 5}, ["int is no sink"]),
    ({"sink": [5]}, ["int is no sink"]),
    ({"sink": ["memory:", "memory:"]}, ["two sinks are named memory:"]),
    ({"sink": MemorySink}, ["MemorySink", "class"]),
    ({"secret": "short"}, ["at least 32 bytes", "openssl rand -hex 32"]),
    ({"secret": ["x" * 32, b"short"]}, ["at least 32 bytes"]),
    ({"secret": 5}, ["secret"]),
    ({"trusted_proxies": ["10.0.0.0/40"]}, ["10.0.0.0/40"]),
    ({"trusted_proxies": -1}, ["trusted_proxies"]),
    ({"trusted_proxies": None}, ["trusted_proxies"]),
    ({"forwarded_header": "x-real-ip"}, ["x-real-ip"]),
    ({"journal": 5}, ["journal"]),
]


@pytest.fixture(params=WRONG, ids=lambda wrong: str(wrong[0]))
def wrong(request, tmp_path):
    """Wrong options, and words that the message must have."""
    options, words = request.param
    made = {key: value(tmp_path) if value is _typo else value for key, value in options.items()}
    return {"sink": MemorySink(), "journal": tmp_path / "journal.db", **made}, words


def test_a_wrong_configuration_fails_the_startup(wrong):
    options, words = wrong
    [message] = serve(TelemetryMiddleware(sending(*OK), **options), {"type": "lifespan"}, STARTUP)
    assert message["type"] == "lifespan.startup.failed"
    assert [word for word in words if word not in message["message"]] == []


def test_without_lifespan_requests_pass_with_one_error(wrong, caplog):
    options, words = wrong
    app = TelemetryMiddleware(sending(*OK), **options)
    for _ in range(3):
        assert serve(app) == list(OK)
    [error] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [word for word in words if word not in error.getMessage()] == []
    assert app.unrecorded == 3


@pytest.mark.parametrize("secret", [None, "x" * 32, b"x" * 32, ["x" * 32, b"y" * 64], "қ" * 16])
def test_a_long_secret_is_fine(recording, secret):
    assert recording(secret=secret).app.problem is None


def test_a_secret_is_never_shown():
    [message] = serve(TelemetryMiddleware(sending(), sink="memory:", secret="hunter2"), {"type": "lifespan"}, STARTUP)
    assert "hunter2" not in message["message"]


def test_starlette_shows_the_error_at_start():
    app = Starlette(routes=[])
    app.add_middleware(TelemetryMiddleware, sink="memroy:")
    sent = serve(app, {"type": "lifespan"}, STARTUP)
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]


def test_policy_and_sink_may_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("CENTTRACK_POLICY", str(_typo(tmp_path)))
    assert "line 4" in str(TelemetryMiddleware(sending(), sink="memory:").problem)
    (tmp_path / "privacy.toml").write_text(SHOP)
    monkeypatch.setenv("CENTTRACK_SINK", "memory:")
    assert TelemetryMiddleware(sending()).problem is None


@pytest.mark.parametrize("options", [{}, {"sink": "memroy:"}, {"polcy": 1}])
def test_disabled(tmp_path, monkeypatch, caplog, options):
    monkeypatch.setenv("CENTTRACK_DISABLED", "1")
    sink = MemorySink()
    app = TelemetryMiddleware(_knows_lifespan, **{"sink": sink, "journal": tmp_path / "journal.db", **options})
    assert serve(app, {"type": "lifespan"}, STARTUP, SHUTDOWN) == [STARTED, ENDED]
    assert serve(app) == list(OK)
    asyncio.run(app.aclose())
    assert (sink.events, caplog.records, list(tmp_path.iterdir())) == ([], [], [])


def test_nothing_is_opened_before_the_first_use(tmp_path):
    before = set(threading.enumerate())
    TelemetryMiddleware(sending(), sink=f"delta:{tmp_path}/lake", journal=tmp_path / "state" / "journal.db")
    assert set(threading.enumerate()) <= before
    assert list(tmp_path.iterdir()) == []


def test_the_first_start_in_a_fresh_folder_says_nothing_alarming(tmp_path, caplog):
    sink = MemorySink()
    app = TelemetryMiddleware(sending(*OK), sink=sink, secret="k" * 32)
    serve(app)
    sink.wait(1, 60)
    asyncio.run(app.aclose())
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_missing_secret_is_said_loudly(recording, caplog):
    recorded = recording(sending(*OK))
    recorded.serve()
    recorded.close()
    [said] = [record for record in caplog.records if "secret" in record.getMessage()]
    assert said.levelno == logging.WARNING


@pytest.mark.parametrize("secret", ["short", ",".join(["k" * 32, "short"])])
def test_a_secret_from_the_environment_is_checked_too(recording, monkeypatch, secret):
    monkeypatch.setenv("CENTTRACK_SECRET", secret)
    assert "32 bytes" in str(recording(sending(*OK)).app.problem)


# Consent


@pytest.mark.parametrize(
    ("headers", "source", "marketing"),
    [
        ([], "default", "unknown"),
        ([("Sec-GPC", "1")], "gpc", "refused"),
        ([("Sec-GPC", "0")], "default", "unknown"),
        ([("DNT", "1")], "default", "unknown"),  # the policy doesn't ask for it
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_consent_of_a_request(recording, kind, headers, source, marketing):
    seen = []

    async def app(scope, _receive, _send):
        seen.append(consent_of(scope))

    recorded = recording(app)
    recorded.serve(make_scope(headers=headers, kind=kind))
    [consent] = seen
    assert consent.source == source
    assert consent.states == {"preferences": "unknown", "analytics": "unknown", "marketing": marketing}
    assert [name for name in ("necessary", "preferences", "analytics", "marketing", "?") if consent.allows(name)] == [
        "necessary"
    ]
    event = recorded.event()
    assert (event.consent, event.consent_source) == (dict(consent.states), source)


@pytest.mark.parametrize("request_or_scope", [{}, make_scope(), object(), None])
def test_consent_where_the_middleware_is_not_installed(request_or_scope):
    assert not consent_of(request_or_scope).allows("analytics")
    assert consent_of(request_or_scope).source == "default"


# Custom events


def _tracking(*calls):
    async def app(scope, _receive, send):
        for name, props in calls:
            track(scope, name, **props)
        for message in OK:
            await send(message)

    return app


def test_a_declared_event_is_recorded_with_the_request(recording):
    props = {"plan": "full", "people": 2, "price": 9.5, "returning": True}
    recorded = recording(_tracking(("quote_ready", props), ("quote_ready", {})), policy=PrivacyPolicy.parse(SHOP))
    recorded.serve()
    events = recorded.events()
    by_props = {str(event.props): event for event in events}
    assert {shown: event.name for shown, event in by_props.items()} == {
        "None": "request",
        str(props): "quote_ready",
        "{}": "quote_ready",
    }
    assert [event.status for event in events] == [200, 200, 200]
    assert len({event.event_id for event in events}) == 3


@pytest.mark.parametrize(
    ("name", "props", "says"),
    [
        ("quote_redy", {}, 'Did you mean "quote_ready"?'),
        ("quote_ready", {"pln": "full"}, 'Did you mean "plan"?'),
        ("quote_ready", {"plan": "secret text"}, '"plan" must be one of basic, full'),
        ("quote_ready", {"plan": ["full"]}, '"plan" must be one of basic, full'),
        ("quote_ready", {"people": "2"}, '"people" must be integer'),
        ("quote_ready", {"people": 2.0}, '"people" must be integer'),
        ("quote_ready", {"people": True}, '"people" must be integer'),
        ("quote_ready", {"price": "9"}, '"price" must be number'),
        ("quote_ready", {"returning": 1}, '"returning" must be boolean'),
        ("quote_ready", {"plan": None}, '"plan" must be one of basic, full'),
    ],
)
def test_an_undeclared_event_is_counted_and_said_once(recording, caplog, name, props, says):
    recorded = recording(_tracking((name, props)), policy=PrivacyPolicy.parse(SHOP))
    recorded.serve()
    recorded.serve()
    assert [event.name for event in recorded.events()] == ["request", "request"]
    assert recorded.dropped() == {"undeclared": 2}
    [error] = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert says in error
    assert "secret text" not in error


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 10**30])
def test_a_number_that_no_sink_can_hold_is_accounted_for(recording, number):
    """JSON has no NaN: it must be dropped when offered, not turned into null and found out at delivery."""
    recorded = recording(_tracking(("quote_ready", {"price": number})), policy=PrivacyPolicy.parse(SHOP))
    recorded.serve()
    assert [event.name for event in recorded.events()] == ["request"]
    assert sum(recorded.dropped().values()) == 1
    assert [sink.dead_lettered for sink in recorded.counts().sinks] == [0]


def test_a_late_event_is_counted(recording):
    async def app(scope, _receive, send):
        for message in OK:
            await send(message)
        track(scope, "quote_ready")

    recorded = recording(app, policy=PrivacyPolicy.parse(SHOP))
    recorded.serve()
    assert [event.name for event in recorded.events()] == ["request"]
    assert recorded.dropped() == {"too_late": 1}


def test_tracking_of_a_request_that_raises(recording):
    async def app(scope, _receive, _send):
        track(scope, "quote_ready")
        raise AppError

    recorded = recording(app, policy=PrivacyPolicy.parse(SHOP))
    with pytest.raises(AppError):
        recorded.serve()
    assert sorted((event.name, event.status) for event in recorded.events()) == [("quote_ready", 500), ("request", 500)]


@pytest.mark.parametrize("request_or_scope", [{}, make_scope(), object(), None])
def test_tracking_where_the_middleware_is_not_installed(request_or_scope):
    track(request_or_scope, "anything", at="all")


# Frameworks


def _shop(recorded_by):
    async def item(request):
        track(request, "quote_ready", plan="basic")
        return PlainTextResponse(str(consent_of(request)))

    async def stream(_request):
        return StreamingResponse(iter(["a", "b", "c"]))

    async def later(_request):
        return PlainTextResponse("ok", background=BackgroundTask(recorded_by.sink.wait, 1, 60))

    async def failing(_request):
        raise AppError

    async def chat(websocket):
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    async def refuse(websocket):
        await websocket.close()

    async def deny(websocket):
        await websocket.send_denial_response(PlainTextResponse("sign in", 401))

    return Starlette(
        routes=[
            Route("/items/{item}", item),
            Route("/stream", stream),
            Route("/later", later),
            Route("/failing", failing),
            WebSocketRoute("/chat/{room}", chat),
            WebSocketRoute("/refuse", refuse),
            WebSocketRoute("/deny", deny),
        ]
    )


@pytest.fixture
def shop(recording):
    """A recording of a Starlette app, and a client of it, with lifespan."""
    recorded = recording(policy=PrivacyPolicy.parse(SHOP))
    recorded.app.app = _shop(recorded)
    with TestClient(recorded.app, raise_server_exceptions=False) as client:
        yield recorded, client


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/items/4711", ("/items/{item}", 200)),
        ("HEAD", "/items/4711", ("/items/{item}", 200)),
        ("GET", "/stream", ("/stream", 200)),
        ("GET", "/later", ("/later", 200)),  # its background task waits for the event
        ("GET", "/failing", ("/failing", 500)),
        ("GET", "/nothing/here", (None, 404)),
        ("POST", "/stream", ("/stream", 405)),
    ],
)
def test_starlette(shop, method, path, expected):
    recorded, client = shop
    assert client.request(method, path).status_code == expected[1]
    events = [event for event in recorded.events() if event.name == "request"]
    assert [(event.route, event.status, event.method, event.path) for event in events] == [(*expected, method, None)]


def test_starlette_websockets(shop):
    recorded, client = shop
    with client.websocket_connect("/chat/7") as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "hello"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/refuse"):
        pass
    with pytest.raises(WebSocketDenialResponse), client.websocket_connect("/deny"):
        pass
    found = [(event.kind, event.route, event.status) for event in recorded.events()]
    assert sorted(found) == [
        ("websocket", "/chat/{room}", 101),
        ("websocket", "/deny", 401),
        ("websocket", "/refuse", 403),
    ]


def test_fastapi(recording):
    started = []

    @asynccontextmanager
    async def lifespan(_app):
        started.append(True)
        yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/policies/{number}")
    async def show(number: int):
        return {"number": number}

    sink = MemorySink()
    recorded = recording(sink=sink)
    app.add_middleware(TelemetryMiddleware, policy=PrivacyPolicy.parse(SHOP), sink=sink, journal=recorded.journal)
    with TestClient(app) as client:
        assert client.get("/policies/7").json() == {"number": 7}
        assert client.get("/policies/seven").status_code == 422
    assert started == [True]
    assert [(event.route, event.status) for event in sink.events] == [
        ("/policies/{number}", 200),
        ("/policies/{number}", 422),
    ]


def test_several_mounted_middlewares(recording):
    """Each records what goes through it, and neither hears of lifespan: they start at their first request."""
    one, two = recording(), recording()
    app = Starlette(routes=[Mount("/one", app=one.app), Mount("/two", app=two.app)])
    with TestClient(app) as client:
        for path in ("/one/a", "/two/b", "/two/c", "/three"):
            client.get(path)
    assert [event.path for event in one.events()] == ["/one/a"]
    assert [event.path for event in two.events()] == ["/two/b", "/two/c"]


def test_one_middleware_around_another(recording):
    """Each makes its one event. A custom event goes to the nearest around the code that tracks it."""
    inner = recording(_tracking(("quote_ready", {})), policy=PrivacyPolicy.parse(SHOP))

    async def between(scope, receive, send):
        track(scope, "quote_ready", plan="basic")
        await inner.app(scope, receive, send)

    outer = recording(between, policy=PrivacyPolicy.parse(SHOP))
    assert outer.serve() == list(OK)
    assert sorted((event.name, event.props) for event in inner.events()) == [("quote_ready", {}), ("request", None)]
    assert sorted((event.name, str(event.props)) for event in outer.events()) == [
        ("quote_ready", "{'plan': 'basic'}"),
        ("request", "None"),
    ]


def test_a_sink_of_a_third_party_gets_no_event_without_consent(recording):
    """Clause 8 of the source policy."""
    recorded = recording(sending(*OK), policy=PrivacyPolicy.parse('[[sinks]]\nname = "memory:"\nparty = "third"\n'))
    recorded.serve()
    assert recorded.events() == []
    [sink] = recorded.counts().sinks
    assert (sink.accepted, sink.withheld, sink.closes) == (1, {"consent": 1}, True)


def test_a_third_party_that_is_misspelled_stops_the_start(tmp_path, caplog):
    """It would get every event, as our own sinks do."""
    policy = PrivacyPolicy.parse('[[sinks]]\nname = "memry:"\nparty = "third"\n')
    refused = TelemetryMiddleware(sending(*OK), policy=policy, sink="memory:", journal=tmp_path / "journal.db")
    assert '"memry:"' in str(refused.problem)
    assert "named memory:" in str(refused.problem)
    assert serve(refused) == list(OK)
    assert "nothing is recorded" in caplog.text


async def _collect(events):
    """Nobody would await it."""


class _Asynchronous:
    async def write(self, events):
        """Nobody would await it."""


@pytest.mark.parametrize("sink", [_collect, _Asynchronous()])
def test_an_async_sink_is_refused(tmp_path, sink):
    """It would get nothing, and every event would count as delivered."""
    refused = TelemetryMiddleware(Wire, sink=sink, journal=tmp_path / "journal.db")
    assert "is async" in str(refused.problem)


def test_options_go_by_name(tmp_path):
    refused = TelemetryMiddleware(Wire, "privacy.toml", sink="memory:", journal=tmp_path / "journal.db")
    assert "by name" in str(refused.problem)
