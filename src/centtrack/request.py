"""A request while it is served: what passes between app and server, and what is noted of it.

Nothing of ours may change what the server gets: only lines that hand on to the app or the server, and lines without
effect, stand outside of a guard here. What a guard itself does is guarded again where more than a log line is at stake.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence

import msgspec

from centtrack.asgi import ASGIApp, Message, RawHeaders, Receive, Scope, Send
from centtrack.asked import AskedRequest, read_peer
from centtrack.blind import edit_blindly, listed
from centtrack.capture.observation import Observation
from centtrack.capture.route import read_route
from centtrack.consent.gate import CookieGate, Gated
from centtrack.consent.state import SCOPE_KEY
from centtrack.delivery.pipeline import Pipeline
from centtrack.logs import describe, report
from centtrack.response import ResponseEditor

logger = logging.getLogger(__name__)

_MAX_LENGTH_DIGITS = 19
_ENDING = frozenset(
    {
        "http.response.body",
        "http.response.pathsend",
        "http.response.trailers",
        "http.response.zerocopysend",
        "websocket.close",
        "websocket.http.response.body",
    }
)


class RecordedRequest(AskedRequest):
    """One connection, between the server and the app."""

    __slots__ = (
        "_app", "_bytes", "_content_type", "_editor", "_is_gone", "_length", "_minted_id", "_next", "_passed",
        "_removed", "_send", "_status",
    )  # fmt: skip

    def __init__(self, pipeline: Pipeline, scope: Scope, app: ASGIApp, send: Send, editor: ResponseEditor) -> None:
        super().__init__(pipeline, scope)
        self._editor = editor if self._outer is None else None  # inside another of these: the outer one edits
        self._next = app
        self._app = app if "router" in scope else scope.get("app", app)  # below a mount, only what is below is walked
        self._send = send
        self._minted_id: str | None = None
        self._status: int | None = None
        self._content_type: str | None = None
        self._bytes = 0
        self._is_gone = False
        self._length: int | None = None
        self._passed: Sequence[bytes] = ()
        self._removed: Sequence[bytes] = ()

    def enter(self, scope: Scope) -> None:
        """Put this object into the scope that the app gets, and, if the policy says so, hide cookies from the app."""
        if self._editor is not None and self._editor.gate.hides:
            self._scope = scope = {**scope, "headers": self._visible(self._editor.gate)}
        scope[SCOPE_KEY] = self

    def _visible(self, gate: CookieGate) -> RawHeaders:
        try:
            return gate.visible(self.headers, self.given.__contains__)
        except Exception as error:  # noqa: BLE001 - what can't be judged has no consent
            self.say_once(f"cookies could not be hidden one by one: {type(error).__name__}")
            self.note("gate_failed")
            return gate.visible_blindly(self.headers)

    async def serve(self, scope: Scope, receive: Receive, _send: Send) -> None:
        """Run the app, once entered. What it raises goes through; the request is recorded in any case."""
        try:
            await self._next(self._scope or scope, receive, self.send)
        except Exception:
            try:
                await self._fail()
            except Exception as error:  # noqa: BLE001 - what the app raised must go through
                _complain(error)
            raise
        finally:
            try:
                self.finish()
            except Exception as error:  # noqa: BLE001 - nothing of ours may reach the server
                _complain(error)

    async def send(self, message: Message) -> None:
        """Pass a message on, unchanged but for what the editor does, and note what it tells."""
        try:
            self._is_gone = True  # until the server has taken it: else what the app tells is not true
            if self._editor is not None and (message.get("headers") or self.depends_on_consent):
                message = listed(message)
                message = self._editor.edit(message, self)
        except Exception as error:  # noqa: BLE001 - nothing of ours may reach the app
            message = self._edited_blindly(message, error)
        await self._send(message)
        try:
            self._is_gone = False
            self._note(message)
        except Exception as error:  # noqa: BLE001 - not as ASGI has it; but the server took it, and so do we
            _complain(error, logging.DEBUG)

    def _edited_blindly(self, message: Message, error: Exception) -> Message:
        """The message if it could not be edited: of the app's cookies, only the necessary ones."""
        with contextlib.suppress(Exception):  # headers that aren't any: the server says what is wrong with them
            if self._editor is not None:
                message = edit_blindly(self._editor.gate, message)
        with contextlib.suppress(Exception):
            _complain(error)
            self.note("gate_failed")
        return message

    def note_cookies(self, gated: Gated) -> None:
        """Note which of the app's cookies the gate let pass."""
        self._passed = [*self._passed, *gated.passed] if self._passed else gated.passed
        self._removed = [*self._removed, *gated.removed] if self._removed else gated.removed

    def note_minted(self, visitor_id: str) -> None:
        """Note the id in the visitor cookie that the response sets."""
        self._minted_id = visitor_id

    def observe(self, message: Message) -> Observation:
        """What is known when the response begins: neither its size nor how long it takes."""
        self._start(message)
        seen = self._observation(self._scope or {})
        return msgspec.structs.replace(seen, response_bytes=None, duration_s=None)

    def _note(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            self._bytes += len(message.get("body", b""))
            if not message.get("more_body", False):
                self.finish()
        elif kind == "http.response.start" or kind == "websocket.http.response.start":
            self._start(message)
        elif kind == "http.response.pathsend":
            self._bytes = self._length or 0
            self.finish()
        else:
            self._note_websocket(kind, message)

    def _note_websocket(self, kind: str, message: Message) -> None:
        if kind == "websocket.send":
            self._bytes += len(message.get("bytes") or (message.get("text") or "").encode(errors="replace"))
        elif kind == "websocket.accept":
            self._status = 101
        elif kind == "websocket.close" and self._status is None:
            self._status = 403  # closed before it was accepted: what the server answers then
        elif kind == "websocket.http.response.body":
            self._bytes += len(message.get("body", b""))

    def _start(self, message: Message) -> None:
        self._status = message["status"]
        for name, value in message.get("headers", ()):
            key = name.lower()
            if key == b"content-type":
                self._content_type = value.decode("latin-1")
            elif key == b"content-length" and value.isdigit() and len(value) < _MAX_LENGTH_DIGITS:
                self._length = int(value)

    async def _fail(self) -> None:
        """The app raised: if nothing was sent yet, the server answers with 500, unless the client has left."""
        if self._status is None and not self._is_gone:
            self._status = 500

    def finish(self) -> None:
        """Record the request, once: when the last byte went out, or when the app is done."""
        scope, self._scope = self._scope, None  # the scope holds this object: a cycle would keep both for long
        if scope is None:
            return
        try:
            if self._is_kept_out:
                self._pipeline.refuse("excluded")
            else:
                self._pipeline.observe(self._observation(scope), self._custom)
        except Exception as error:  # noqa: BLE001 - nothing of ours may reach the app
            _complain(error)
            with contextlib.suppress(Exception):
                for _ in (self, *self._custom):
                    self._pipeline.refuse("capture_failed")

    def _observation(self, scope: Scope) -> Observation:
        is_http = scope["type"] == "http"
        return Observation(
            protocol=scope["type"],
            peer=read_peer(scope.get("client")),
            headers=self.headers,
            time=self._time,
            path=self.path,
            query=scope.get("query_string", b""),
            route=read_route(scope, self.path, self._root_path, self._app, self._route),
            method=scope.get("method") if is_http else None,
            status=self._status,
            content_type=self._content_type,
            response_bytes=0 if is_http and scope.get("method") == "HEAD" else self._bytes,
            duration_s=time.perf_counter() - self._started,
            minted_id=self._minted_id,
            passed_cookies=self._passed,
            removed_cookies=self._removed,
        )


class ConfirmedRequest(RecordedRequest):
    """One whose response ends when its events are in the journal, or 50 ms later."""

    __slots__ = ()

    async def send(self, message: Message) -> None:
        """Pass a message on; the last one once the events are in the journal."""
        try:
            if self._scope is not None and _is_last(message):
                self._note(message)
                await self._confirm()
        except Exception as error:  # noqa: BLE001 - nothing of ours may reach the app
            _complain(error)
        await super().send(message)

    async def _fail(self) -> None:
        """The server's answer, if there will be one, waits as well."""
        await super()._fail()
        await self._confirm()

    async def _confirm(self) -> None:
        self.finish()
        await self._pipeline.confirmed()


def _is_last(message: Message) -> bool:
    """Whether it ends the response, or whether only trailers come after it."""
    return message["type"] in _ENDING and not (message.get("more_body") or message.get("more_trailers"))


def _complain(error: Exception, level: int = logging.ERROR) -> None:
    report(logger, level, "request_failed", "a request could not be handled as it should: %s", describe(error))
