"""`TelemetryMiddleware`: ASGI plumbing only."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any, Never, TypeVar

import anyio.to_thread

from centtrack.capture.capture import Capture
from centtrack.capture.client import ForwardedHeader, TrustedProxies
from centtrack.capture.custom import CustomEvent
from centtrack.capture.observation import Observation, RawHeaders
from centtrack.capture.route import read_route
from centtrack.consent.state import NO_CHOICE, SCOPE_KEY, Consent
from centtrack.delivery.pipeline import Pipeline
from centtrack.errors import ConfigurationError
from centtrack.policy.model import nearest
from centtrack.policy.policy import PrivacyPolicy
from centtrack.sinks.open import SinkLike, open_sinks

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

DISABLED_VARIABLE = "CENTTRACK_DISABLED"
MIN_SECRET = 32  # bytes
_MAX_LENGTH_DIGITS = 19
T = TypeVar("T")
_OPTIONS = ("policy", "sink", "secret", "trusted_proxies", "forwarded_header", "journal")


class TelemetryMiddleware:
    """Records one privacy-reduced event a request. Add it last, so that it is outermost.

    The constructor never raises: Starlette builds middleware at the first message, and would answer every request with
    500. A wrong configuration fails the lifespan startup, so that the server exits and shows it; without lifespan,
    requests pass unrecorded, with one ERROR in the log.

    Args:
        app: the ASGI application.
        policy: path of a `privacy.toml`, or a policy; default: `$CENTTRACK_POLICY`, else the profile `strict`.
        sink: a URL, a `Sink`, a function that takes a list of events, or a list of these; default: `$CENTTRACK_SINK`.
        secret: at least 32 bytes, or a list of such, newest last, that consent is signed with. Nothing is signed in
            this version; a secret that is too short is refused all the same.
        trusted_proxies: networks, `"unix"`, or a number of proxies, whose word on the client's address is taken.
        forwarded_header: the header that these proxies set: `x-forwarded-for` or `forwarded`.
        journal: the journal's file; default: one of this app, in the user's state folder.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        policy: str | os.PathLike[str] | PrivacyPolicy | None = None,
        sink: SinkLike | Iterable[SinkLike] | None = None,
        secret: str | bytes | Iterable[str | bytes] | None = None,
        trusted_proxies: Iterable[str] | int = (),
        forwarded_header: ForwardedHeader = "x-forwarded-for",
        journal: str | os.PathLike[str] | None = None,
        **unknown: Never,
    ) -> None:
        self.app = app
        self.pipeline: Pipeline | None = None
        self.problem: ConfigurationError | None = None
        self.unrecorded = 0
        if os.environ.get(DISABLED_VARIABLE) == "1":
            return
        try:
            _check_options(unknown)
            _read("secret", partial(_check_secret, secret))
            rules = _read("policy", partial(PrivacyPolicy.resolve, policy))
            proxies = _read("trusted_proxies", partial(TrustedProxies, trusted_proxies, forwarded_header))
            sinks = _read("sink", partial(open_sinks, sink))
            path = _read("journal", lambda: Path(journal).absolute() if journal else None)
            self.pipeline = Pipeline(Capture(rules, proxies), sinks, path)
        except ConfigurationError as error:
            self.problem = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
        elif kind not in {"http", "websocket"} or self.pipeline is None:
            self._pass_unrecorded(kind)
            await self.app(scope, receive, send)
        else:
            await self._record(self.pipeline, scope, receive, send)

    async def aclose(self) -> None:
        """Deliver what was recorded, within 7 seconds, and end the threads: for apps without lifespan."""
        if self.pipeline is not None:
            await anyio.to_thread.run_sync(self.pipeline.close, abandon_on_cancel=False)

    def _pass_unrecorded(self, kind: str) -> None:
        if self.problem is not None and kind in {"http", "websocket"}:
            if not self.unrecorded:
                logger.error("nothing is recorded: %s", self.problem)
            self.unrecorded += 1

    async def _record(self, pipeline: Pipeline, scope: Scope, receive: Receive, send: Send) -> None:
        request = _Request(pipeline, scope, self.app, send)
        scope[SCOPE_KEY] = request
        try:
            await self.app(scope, receive, request.send)
        except Exception:
            request.fail()
            raise
        finally:
            request.finish()

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.problem is not None:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(self.problem)})
            return
        lifespan = _Lifespan(self, receive, send)
        try:
            await self.app(scope, lifespan.receive, lifespan.send)
        except Exception:
            if lifespan.was_answered:
                raise
            await lifespan.answer()  # the app knows no lifespan; the server must still get its answers
        finally:
            with anyio.CancelScope(shield=True):
                await self.aclose()


class _Lifespan:
    """Starts the pipeline at startup, closes it before the server hears that shutdown is complete."""

    def __init__(self, middleware: TelemetryMiddleware, receive: Receive, send: Send) -> None:
        self.was_answered = False
        self._middleware = middleware
        self._receive = receive
        self._send = send
        self._pending: Message | None = None

    async def receive(self) -> Message:
        self._pending = await self._receive()
        if self._pending["type"] == "lifespan.startup" and self._middleware.pipeline is not None:
            self._middleware.pipeline.start()
        return self._pending

    async def send(self, message: Message) -> None:
        self.was_answered = True
        if message["type"].startswith("lifespan.shutdown"):
            await self._middleware.aclose()
        await self._send(message)

    async def answer(self) -> None:
        """Speak the protocol in place of an app that doesn't."""
        message = self._pending or await self.receive()
        while message["type"] != "lifespan.shutdown":
            await self.send({"type": "lifespan.startup.complete"})
            message = await self.receive()
        await self.send({"type": "lifespan.shutdown.complete"})


class _Request:
    """What is noted of one connection while it is served."""

    __slots__ = (
        "_app", "_bytes", "_content_type", "_custom", "_headers", "_is_gone", "_length", "_path", "_pipeline",
        "_root_path", "_scope", "_send", "_started", "_status", "_time",
    )  # fmt: skip

    def __init__(self, pipeline: Pipeline, scope: Scope, app: ASGIApp, send: Send) -> None:
        self._pipeline = pipeline
        self._scope: Scope | None = scope
        self._headers: RawHeaders = scope.get("headers", [])
        self._app = scope.get("app", app)
        self._path = scope.get("path", "")
        self._root_path = scope.get("root_path", "")
        self._send = send
        self._status: int | None = None
        self._content_type: str | None = None
        self._bytes = 0
        self._is_gone = False
        self._length: int | None = None
        self._custom: list[CustomEvent] = []
        self._time = time.time()
        self._started = time.perf_counter()

    async def send(self, message: Message) -> None:
        """Pass a message on, unchanged, and note what it tells."""
        try:
            await self._send(message)
        except BaseException:
            self._is_gone = True  # the client has left, or the server won't take it: what the app tells is not true
            raise
        try:
            self._note(message["type"], message)
        except Exception as error:  # noqa: BLE001 - not as ASGI has it; but the server took it, and so do we
            logger.debug("a message could not be read: %s", type(error).__name__)

    def _note(self, kind: str, message: Message) -> None:
        if kind == "http.response.body":
            self._bytes += len(message.get("body", b""))
            if not message.get("more_body", False):
                self.finish()
        elif kind == "http.response.start" or kind == "websocket.http.response.start":
            self._start(message)
        elif kind == "websocket.send":
            self._bytes += len(message.get("bytes") or (message.get("text") or "").encode(errors="replace"))
        elif kind == "websocket.accept":
            self._status = 101
        elif kind == "websocket.close" and self._status is None:
            self._status = 403  # closed before it was accepted: what the server answers then
        elif kind == "websocket.http.response.body":
            self._bytes += len(message.get("body", b""))
        elif kind == "http.response.pathsend":
            self._bytes = self._length or 0
            self.finish()

    def _start(self, message: Message) -> None:
        self._status = message["status"]
        for name, value in message.get("headers", ()):
            key = name.lower()
            if key == b"content-type":
                self._content_type = value.decode("latin-1")
            elif key == b"content-length" and value.isdigit() and len(value) < _MAX_LENGTH_DIGITS:
                self._length = int(value)

    @property
    def consent(self) -> Consent:
        """What the visitor allows; if that can't be read, nothing."""
        try:
            return self._pipeline.capture.consent_of(self._headers)
        except Exception as error:  # noqa: BLE001 - nothing of ours may reach the app
            logger.error("consent could not be read: %s", type(error).__name__)
            return NO_CHOICE

    def track(self, name: str, props: Mapping[str, Any]) -> None:
        """Note a custom event; it is recorded with the request. One that the policy doesn't declare is counted."""
        try:
            problem = self._pipeline.capture.check_custom(name, props)
            if problem is None and self._scope is not None:
                self._custom.append(CustomEvent(name, dict(props)))
            else:
                self._pipeline.refuse("undeclared" if problem else "too_late", problem)
        except Exception as error:  # noqa: BLE001 - nothing of ours may reach the app
            logger.error("a custom event could not be recorded: %s", type(error).__name__)

    def fail(self) -> None:
        """The app raised: if nothing was sent yet, the server answers with 500, unless the client has left."""
        if self._status is None and not self._is_gone:
            self._status = 500

    def finish(self) -> None:
        """Record the request, once: when the last byte went out, or when the app is done."""
        scope, self._scope = self._scope, None  # the scope holds this object: a cycle would keep both for long
        if scope is None:
            return
        try:
            self._pipeline.observe(self._observation(scope), self._custom)
        except Exception as error:  # noqa: BLE001 - nothing of ours may reach the app
            logger.error("a request could not be recorded: %s", type(error).__name__)
            with contextlib.suppress(Exception):
                self._pipeline.refuse("capture_failed")

    def _observation(self, scope: Scope) -> Observation:
        client = scope.get("client")
        is_http = scope["type"] == "http"
        return Observation(
            protocol=scope["type"],
            peer=(client[0] or None) if client else None,
            headers=self._headers,
            time=self._time,
            path=self._path,
            query=scope.get("query_string", b""),
            route=read_route(scope, self._path, self._root_path, self._app),
            method=scope.get("method") if is_http else None,
            status=self._status,
            content_type=self._content_type,
            response_bytes=0 if is_http and scope.get("method") == "HEAD" else self._bytes,
            duration_s=time.perf_counter() - self._started,
        )


def track(request: Any, name: str, /, **props: str | float | bool) -> None:
    """Record a custom event with a request.

    It has all columns of the request's own event, and is recorded when the response is done. A name or property that
    the policy doesn't declare in `[[events]]` is counted as dropped, with one ERROR a name in the log.

    Args:
        request: a request or WebSocket of Starlette or FastAPI, or an ASGI scope.
        name: name of the event.
        **props: its properties.
    """
    scope = request if isinstance(request, Mapping) else getattr(request, "scope", {})
    noted = scope.get(SCOPE_KEY)
    if isinstance(noted, _Request):
        noted.track(name, props)


def _read(option: str, read: Callable[[], T]) -> T:
    """What an option means; whatever is wrong with it, as a configuration error."""
    try:
        return read()
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(f"{option}= can't be used: {type(error).__name__}: {error}") from error


def _check_options(unknown: Iterable[str]) -> None:
    for name in unknown:
        raise ConfigurationError(f"unknown option {name!r}; there are {', '.join(_OPTIONS)}.{nearest(name, _OPTIONS)}")


def _check_secret(secret: str | bytes | Iterable[str | bytes] | None) -> None:
    secrets = [] if secret is None else [secret] if isinstance(secret, (str, bytes)) else list(secret)
    for one in secrets:
        if len(one.encode() if isinstance(one, str) else one) < MIN_SECRET:
            raise ConfigurationError(f"a secret has at least {MIN_SECRET} bytes: `openssl rand -hex 32` makes one")
