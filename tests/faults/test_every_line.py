"""Row 23 of the fault matrix: an exception at every line of ours that runs in a request, and the response is the same.

Each case serves a request again and again. First the lines of centtrack are collected that run in the event loop's
thread; then each of them raises, once at each time that it runs. What the server gets, what the app sees and what the
app raises must not change. Headers that we add may be missing then; a cookie without consent never passes.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from asgi import Recording, Wire, body, start
from centtrack import PrivacyPolicy, consent_of, track
from centtrack.calls import note_route
from centtrack.consent.state import SCOPE_KEY, Consent
from centtrack.consent.token import Choice, ConsentTokens
from centtrack.testing import make_scope
from faults.every_line import Line, fault_at, lines_of

# Lines that may raise: what hands on to the app or the server, and what has no effect. No other may.
HANDS_ON = "hands on: what it raises is the app's or the server's"
NO_EFFECT = "has no effect that could raise"
LEFT_OUT = {
    "middleware.py: TelemetryMiddleware.__call__: try:": NO_EFFECT,
    "middleware.py: TelemetryMiddleware.__call__: await serve(scope, receive, send)": HANDS_ON,
    "request.py: RecordedRequest.serve: try:": NO_EFFECT,
    "request.py: RecordedRequest.serve: await self._next(self._scope or scope, receive, self.send)": HANDS_ON,
    "request.py: RecordedRequest.serve: except Exception:": NO_EFFECT,
    "request.py: RecordedRequest.serve: raise": HANDS_ON,
    "request.py: RecordedRequest.send: try:": NO_EFFECT,
    "request.py: RecordedRequest.send: await self._send(message)": HANDS_ON,
    "request.py: ConfirmedRequest.send: try:": NO_EFFECT,
    "request.py: ConfirmedRequest.send: await super().send(message)": HANDS_ON,
    "calls.py: track: try:": NO_EFFECT,
    "calls.py: note_route: try:": NO_EFFECT,
    "consent/state.py: consent_of: try:": NO_EFFECT,
    "lifespan.py: Lifespan.receive: try:": NO_EFFECT,
    "lifespan.py: Lifespan.send: await self._send(message)": HANDS_ON,
    "lifespan.py: Lifespan.serve: try:": NO_EFFECT,
    "lifespan.py: Lifespan.serve: except Exception:": NO_EFFECT,
    "lifespan.py: Lifespan.serve: if self._was_answered:": NO_EFFECT,
}

MAX_TIMES = 3  # a line in a loop is tried this often
SECRET = b"s" * 32
TEXT = """
[limits.default]
time = "second"
page = "route"
browser = "family"
[limits.consented]
time = "second"
page = "path"
browser = "full"
visitor = "cookie"
[visitor]
days = 30
[browser]
accept_ch = ["Sec-CH-UA-Platform-Version"]
[consent]
gate = "declared"
hide = {hide}
[[cookies]]
name = "session"
category = "necessary"
[[cookies]]
name = "_ga"
category = "analytics"
[[events]]
name = "quote_ready"
[events.properties]
people = "integer"
"""
SECRET_VALUE = b"GA1.2.unconsented"
COOKIES = [
    (b"Set-Cookie", b"session=1; Path=/; HttpOnly"),
    (b"set-cookie", b"_ga=" + SECRET_VALUE + b"; Path=/"),
    (b"x-last", b"\xff"),
]
OURS = {b"accept-ch", b"cache-control", b"vary", b"x-centtrack-explain", b"set-cookie"}
COUNTING = "delivery/recording/queue.py"


class AppError(Exception):
    """What the app raises."""


class GoneError(OSError):
    """What a server raises when the client has left."""


class Case(NamedTuple):
    """A request.

    Attributes:
        messages: what the app sends.
        scope: of the request.
        incoming: what the server gives.
        asks: whether the app tracks, notes a route and asks for consent.
        raises: whether the app raises after its messages.
        leaves_at: the message at which the client has left.
        grants: whether the visitor granted analytics.
        nested: whether another middleware is around.
        options: of the middleware.
        hide: whether the policy hides cookies.
    """

    messages: tuple[dict[str, Any], ...] = ()
    scope: dict[str, Any] | None = None
    incoming: tuple[dict[str, Any], ...] = ()
    asks: bool = False
    raises: bool = False
    leaves_at: int | None = None
    grants: bool = False
    nested: bool = False
    options: tuple[tuple[str, Any], ...] = ()
    hide: bool = False


def page(**fields: Any) -> dict[str, Any]:
    """The begin of a page that sets cookies."""
    begin = start(**fields)
    return {**begin, "headers": [(b"X-First", b"1"), *begin["headers"], *COOKIES]}


def accepted() -> dict[str, Any]:
    return {"type": "websocket.accept", "headers": list(COOKIES)}


PAGE = (page(), body(b"<p>hello"))
SAID = (accepted(), {"type": "websocket.send", "text": "hello"}, {"type": "websocket.close", "code": 1000})
DENIED = (
    {"type": "websocket.http.response.start", "status": 401, "headers": list(COOKIES)},
    {"type": "websocket.http.response.body", "body": b"no"},
)
STREAM = (page(), *(body(b"x" * 10, more=True) for _ in range(4)), body())
TRAILERS = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": False}
STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}
ANSWERS = ["lifespan.startup.complete", "lifespan.shutdown.complete"]

CASES = {
    "page": Case(PAGE),
    "page, asked for consent": Case(PAGE, asks=True),
    "page, granted": Case(PAGE, grants=True),
    "page, granted and asked": Case(PAGE, grants=True, asks=True),
    "page, cookies hidden": Case(PAGE, asks=True, hide=True),
    "page, explained": Case(PAGE, options=(("debug", True),)),
    "page, two of us": Case(PAGE, asks=True, nested=True),
    "POST": Case(
        (start(201, "application/json"), body(b"{}")),
        make_scope("/quotes", method="POST"),
        ({"type": "http.request", "body": b"{}", "more_body": False},),
        asks=True,
    ),
    "HEAD": Case(PAGE, make_scope(method="HEAD")),
    "stream": Case((*STREAM, TRAILERS)),
    "pathsend": Case((page(content_length="99"), {"type": "http.response.pathsend", "path": "/srv/a"})),
    "unknown messages": Case(({"type": "http.response.early_hint", "links": []}, *PAGE, {"type": "http.future"})),
    "headers that can be read once": Case(PAGE, options=(("once", True),)),
    "websocket": Case(SAID, make_scope("/chat", kind="websocket"), asks=True),
    "websocket denied": Case(DENIED, make_scope("/chat", kind="websocket")),
    "raises at once": Case((), raises=True, asks=True),
    "raises after the start": Case((page(),), raises=True),
    "client leaves at once": Case(PAGE, leaves_at=0),
    "client leaves later": Case(PAGE, leaves_at=1),
    "unknown scope": Case(({"type": "anything"},), {"type": "telepathy"}),
}
CONFIRMED = ["page, asked for consent", "stream", "pathsend", "websocket", "websocket denied", "raises at once"]


class Outcome(NamedTuple):
    """What a server and an app saw of one request."""

    sent: list[dict[str, Any]]
    seen: list[object]
    error: BaseException | None


class Site:
    """An app behind the middleware, as a case has it."""

    def __init__(self, folder: Path, case: Case, **options: Any) -> None:
        self.case = case
        self.scope = {**(case.scope or make_scope()), "scheme": "https"}
        self.error = AppError()
        self.gone = GoneError()
        given = {**dict(case.options), **options}
        self._is_once = given.pop("once", False)
        policy = PrivacyPolicy.parse(TEXT.format(hide=str(case.hide).lower()))
        self._cookies = f"session=1; _ga={SECRET_VALUE.decode()}"
        if case.grants:
            choice = Choice({"analytics": "granted"}, policy.consent_hash, int(time.time() // 86_400))
            self._cookies += "; __Host-centtrack=" + ConsentTokens([SECRET]).sign(choice).decode()
        (folder / "inner").mkdir()
        self.recordings = [Recording(folder / "inner", self._run, policy=policy, secret=SECRET, **given)]
        if case.nested:
            around = Recording(folder, self.recordings[0].app, policy=policy, secret=SECRET, **given)
            self.recordings.append(around)
        self._seen: list[object] = []

    async def _run(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if self.case.asks:
            self._ask(scope)
        self._seen.append([pair for pair in scope.get("headers", ()) if not self._is_shown(pair)])
        for message in self.case.incoming:
            self._seen.append(await receive() is message)
        for message in self.case.messages:
            await send({**message, "headers": iter(message["headers"])} if self._turns(message) else message)
        if self.case.raises:
            raise self.error

    def _turns(self, message: dict[str, Any]) -> bool:
        return self._is_once and "headers" in message

    def _is_shown(self, pair: tuple[bytes, bytes]) -> bool:
        """Whether the app sees a cookie that it may see."""
        return pair[0] == b"cookie" and not (self.case.hide and not self.case.grants and SECRET_VALUE in pair[1])

    def _ask(self, scope: dict[str, Any]) -> None:
        self._seen.append(track(scope, "quote_ready", people=2))
        self._seen.append(track(scope, "quote_redy"))
        self._seen.append(note_route(scope, "/{page}"))
        self._seen.append(isinstance(consent_of(scope), Consent))

    def serve(self, runner: asyncio.Runner) -> Outcome:
        """Serve the case's request once."""
        scope = dict(self.scope)
        if "headers" in scope:
            given = [(b"host", b"shop.example"), (b"cookie", self._cookies.encode()), (b"x-centtrack-explain", b"1")]
            scope["headers"] = given
        sent: list[dict[str, Any]] = []
        incoming = iter(self.case.incoming)
        self._seen = []

        async def receive() -> dict[str, Any]:
            return next(incoming)

        async def send(message: dict[str, Any]) -> None:
            if self.case.leaves_at == len(sent):
                raise self.gone
            sent.append({**message, "headers": list(message["headers"])} if "headers" in message else message)

        error = None
        try:
            runner.run(self.recordings[-1].app(scope, receive, send))
        except Exception as raised:  # noqa: BLE001 - whichever it is
            error = raised
        scope.pop(SCOPE_KEY, None)
        return Outcome(sent, self._seen, error)

    def close(self) -> None:
        for recording in self.recordings:
            recording.close()


def judge(case: Case, site: Site, outcome: Outcome) -> list[str]:
    """What is wrong with an outcome."""
    wrong = []
    expected = site.error if case.raises else site.gone if case.leaves_at is not None else None
    if outcome.error is not expected:
        wrong.append(f"raised {outcome.error!r}")
    messages = case.messages[: case.leaves_at]
    if list(map(bare, outcome.sent)) != list(map(bare, messages)):
        wrong.append(f"sent {outcome.sent!r}")
    told = [True] * len(case.incoming)
    rest = [(b"host", b"shop.example"), (b"x-centtrack-explain", b"1")] if "headers" in site.scope else []
    if outcome.seen != [*([None, None, None, True] if case.asks else []), rest, *told]:
        wrong.append(f"the app saw {outcome.seen!r}")
    for message, theirs in zip(outcome.sent, messages, strict=False):
        wrong += judge_cookies(case, cookies(message), cookies(theirs))
    return wrong


def bare(message: dict[str, Any]) -> dict[str, Any]:
    """A message without headers that may be added, and without cookies."""
    headers = [pair for pair in message.get("headers", ()) if pair[0].lower() not in OURS]
    return {**message, "headers": headers}


def cookies(message: dict[str, Any]) -> list[bytes]:
    return [value for name, value in message.get("headers", ()) if name.lower() == b"set-cookie"]


def judge_cookies(case: Case, passed: list[bytes], theirs: list[bytes]) -> list[str]:
    """The necessary one always passes, the other never without consent; ours may be missing."""
    own = [line for line in passed if line in theirs]
    if theirs and theirs[0] not in own:
        return ["a necessary cookie is missing"]
    if not case.grants and any(SECRET_VALUE in line for line in passed):
        return ["a cookie without consent passed"]
    others = [line for line in passed if line not in theirs and not line.startswith((b"__Host-centtrack", b"_ga=;"))]
    return [f"cookies that nobody set: {others}"] if others else []


class Swept(NamedTuple):
    """What a sweep found.

    Attributes:
        lines: those that were tried.
        faults: how many were injected.
        broken: lines that change the response, and how.
        uncounted: faults while something is counted, each of which may leave the counts apart by one.
    """

    lines: frozenset[str]
    faults: int
    broken: dict[str, list[str]]
    uncounted: int


def sweep(site: Site, runner: asyncio.Runner) -> Swept:
    """An exception at every line, at each time that it runs."""
    case, faults, broken, uncounted = site.case, 0, {}, 0
    assert judge(case, site, site.serve(runner)) == []  # and what is done once only is done
    lines: Counter[Line] = lines_of(lambda: site.serve(runner))
    for line, times in lines.items():
        for nth in range(1, min(times, MAX_TIMES) + 1):
            with fault_at(line, nth) as raised:
                outcome = site.serve(runner)
            faults += len(raised)
            uncounted += len(raised) * (line.file == COUNTING)
            if wrong := judge(case, site, outcome):
                broken[str(line)] = wrong
    return Swept(frozenset(map(str, lines)), faults, broken, uncounted)


@cache
def swept(name: str, mode: str = "relaxed") -> Swept:
    """The sweep of a case, once for all tests."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        site = Site(Path(folder), CASES[name], mode=mode)
        try:
            found = sweep(site, runner)
            assert judge(site.case, site, site.serve(runner)) == []
        finally:
            site.close()
        for recording in site.recordings:
            for worker in recording.counts().workers if recording.journal.exists() else ():
                assert abs(worker.in_flight) <= found.uncounted
    return found


@pytest.fixture
def loud():
    """A handler of the app's that fails, so that whatever says something of a fault raises again."""

    class Failing(logging.Handler):
        def handle(self, _record: logging.LogRecord) -> bool:
            raise ZeroDivisionError("a handler")

    failing, log = Failing(), logging.getLogger("centtrack")
    log.addHandler(failing)
    yield
    log.removeHandler(failing)


@pytest.mark.parametrize("name", CASES)
def test_an_exception_at_any_line_changes_no_response(name):
    assert {line: wrong for line, wrong in swept(name).broken.items() if line not in LEFT_OUT} == {}


@pytest.mark.parametrize("name", CONFIRMED)
def test_nor_when_the_response_waits_for_the_commit(name):
    found = swept(name, "confirmed")
    assert {line: wrong for line, wrong in found.broken.items() if line not in LEFT_OUT} == {}


@pytest.mark.parametrize("name", ["page, asked for consent", "page, cookies hidden", "websocket", "raises at once"])
def test_nor_when_it_cannot_be_logged(tmp_path, name, loud):
    with asyncio.Runner() as runner:
        site = Site(tmp_path, CASES[name])
        found = sweep(site, runner)
        site.close()
    assert {line: wrong for line, wrong in found.broken.items() if line not in LEFT_OUT} == {}


@pytest.mark.usefixtures("unhurried")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of a half-made object that goes
def test_the_first_request_starts_what_it_needs_or_does_without(tmp_path, monkeypatch):
    """What runs only once in a process: each fault gets a middleware of its own."""
    monkeypatch.setattr("centtrack.delivery.pipeline._START_AGAIN_S", 0.0)  # else only a second later
    with asyncio.Runner() as runner:
        site = fresh(tmp_path)
        lines = lines_of(lambda: site.serve(runner))
        again = lines_of(lambda: site.serve(runner))
        site.close()
        faults = 0
        for line in lines.keys() - again.keys():
            site = fresh(tmp_path)
            with fault_at(line, 1) as raised:
                outcome = site.serve(runner)
            faults += len(raised)  # what other requests of this process did already isn't done again
            assert judge(site.case, site, outcome) == [], line
            assert judge(site.case, site, site.serve(runner)) == [], line
            assert site.recordings[0].app.pipeline.flush(60), line
            site.close()
            assert len(site.recordings[0].sink.events) >= 1, line
    assert faults > 20


def fresh(folder: Path) -> Site:
    """A page behind a middleware that hasn't begun."""
    return Site(Path(tempfile.mkdtemp(dir=folder)), CASES["page"])


async def knows_lifespan(_scope, receive, send):
    for answer in ANSWERS:
        await receive()
        await send({"type": answer})


async def knows_no_lifespan(_scope, _receive, _send):
    raise AppError


class Lifespan:
    """The lifespan of an app behind a middleware that hasn't begun."""

    def __init__(self, folder: Path, app: Any, runner: asyncio.Runner) -> None:
        self._recording = Recording(Path(tempfile.mkdtemp(dir=folder)), app)
        self._wire = Wire(STARTUP, SHUTDOWN)
        self._runner = runner

    def serve(self) -> list[str] | Exception:
        """What the server hears, or gets raised."""
        try:
            self._runner.run(self._recording.app({"type": "lifespan"}, self._wire.receive, self._wire.send))
        except Exception as error:  # noqa: BLE001 - whichever it is
            return error
        return [message["type"] for message in self._wire.sent]

    def close(self) -> None:
        self._recording.close()


def break_lifespan(folder: Path, app: Any) -> dict[str, object]:
    """What becomes of the lifespan when a line of ours raises: line → what the server gets."""
    heard: dict[str, object] = {}
    with asyncio.Runner() as runner:
        first = Lifespan(folder, app, runner)
        lines = lines_of(first.serve)
        first.close()
        for line in lines:
            lifespan = Lifespan(folder, app, runner)
            with fault_at(line, 1):
                heard[str(line)] = lifespan.serve()
            lifespan.close()
    return heard


@cache
def heard_of(app: Any) -> dict[str, object]:
    """The same, once for all tests, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return break_lifespan(Path(folder), app)


def broken_lifespan() -> dict[str, object]:
    """Lines that change the lifespan of an app that knows one, or raise in that of an app that knows none."""
    broken = {line: what for line, what in heard_of(knows_lifespan).items() if what != ANSWERS}
    raised = {
        line: what for line, what in heard_of(knows_no_lifespan).items() if not isinstance(what, (list, AppError))
    }
    return broken | raised


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_app_starts_and_ends_whatever_raises():
    """One that knows no lifespan is answered for, or not answered, which servers take as well."""
    assert {line: what for line, what in broken_lifespan().items() if line not in LEFT_OUT} == {}
    heard = [what for what in heard_of(knows_no_lifespan).values() if isinstance(what, list)]
    assert [what for what in heard if what != ANSWERS[: len(what)]] == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_line_is_left_out_without_need(row):
    found = [swept(name) for name in CASES] + [swept(name, "confirmed") for name in CONFIRMED]
    broken = {line for one in found for line in one.broken} | broken_lifespan().keys()
    assert sorted(LEFT_OUT.keys() - broken) == []
    row(
        23,
        f"an exception at each line, in {len(found)} kinds of requests",
        lines=len({line for one in found for line in one.lines}),
        faults=sum(one.faults for one in found),
        responses_changed=len(broken - LEFT_OUT.keys()),
        lines_left_out=len(LEFT_OUT),
    )
