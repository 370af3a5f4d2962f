"""What is noted of one request while it is served: by the middleware, and by `track` in the app."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any

from centtrack.asgi import ASGIApp, Message, Scope, Send
from centtrack.capture.custom import CustomEvent
from centtrack.capture.observation import Observation, RawHeaders
from centtrack.capture.route import read_route
from centtrack.consent.state import NO_CHOICE, SCOPE_KEY, Consent
from centtrack.delivery.pipeline import Pipeline

logger = logging.getLogger(__name__)

_MAX_LENGTH_DIGITS = 19


class RecordedRequest:
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
            kind = message["type"]
            if kind == "http.response.body":
                self._bytes += len(message.get("body", b""))
                if not message.get("more_body", False):
                    self.finish()
            elif kind == "http.response.start" or kind == "websocket.http.response.start":
                self._start(message)
            else:
                self._note(kind, message)
        except Exception as error:  # noqa: BLE001 - not as ASGI has it; but the server took it, and so do we
            logger.debug("a message could not be read: %s", type(error).__name__)

    def _note(self, kind: str, message: Message) -> None:
        if kind == "websocket.send":
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
            with contextlib.suppress(Exception):
                self._pipeline.refuse("capture_failed")

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
    if isinstance(noted, RecordedRequest):
        noted.track(name, props)
