"""What is noted of one request while it is served, and what the consent routes ask of it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from centtrack.asgi import ASGIApp, Message, RawHeaders, Scope, Send
from centtrack.capture.custom import CustomEvent
from centtrack.capture.headers import read_headers
from centtrack.capture.observation import Observation
from centtrack.capture.route import NotedRoute, read_route
from centtrack.consent.gate import CookieGate, Gated
from centtrack.consent.state import NO_CHOICE, SCOPE_KEY, Consent
from centtrack.consent.token import ConsentTokens
from centtrack.delivery.pipeline import Pipeline
from centtrack.errors import UndeclaredEventError
from centtrack.policy.policy import PrivacyPolicy
from centtrack.response import ResponseEditor

logger = logging.getLogger(__name__)

_MAX_LENGTH_DIGITS = 19


class RecordedRequest:
    """What is noted of one connection while it is served.

    Attributes:
        headers: of the request, as the server gave them.
        path: of the request.
        depends_on_consent: whether the app has asked what the visitor allows.
    """

    __slots__ = (
        "_app", "_bytes", "_consent", "_content_type", "_custom", "_editor", "_is_gone", "_is_kept_out",
        "_length", "_minted_id", "_outer", "_passed", "_pipeline", "_removed", "_root_path", "_route", "_scope",
        "_send", "_started", "_status", "_time", "depends_on_consent", "headers", "path", "scheme",
    )  # fmt: skip

    def __init__(self, pipeline: Pipeline, scope: Scope, app: ASGIApp, send: Send, editor: ResponseEditor) -> None:
        self._pipeline = pipeline
        outer = scope.get(SCOPE_KEY)
        self._outer = outer if isinstance(outer, RecordedRequest) else None
        self._editor = editor if self._outer is None else None  # inside another of these: the outer one edits
        self._minted_id: str | None = None
        self._scope: Scope | None = scope
        self.headers: RawHeaders = scope.get("headers", [])
        self._app = app if "router" in scope else scope.get("app", app)  # below a mount, only what is below is walked
        self.path: str = scope.get("path", "")
        self.scheme: str = scope.get("scheme", "http")
        self._root_path = scope.get("root_path", "")
        self._route: NotedRoute | None = None
        self._send = send
        self._consent: Consent | None = None
        self.depends_on_consent = False
        self._is_kept_out = False
        self._status: int | None = None
        self._content_type: str | None = None
        self._bytes = 0
        self._is_gone = False
        self._length: int | None = None
        self._passed: Sequence[bytes] = ()
        self._removed: Sequence[bytes] = ()
        self._custom: list[CustomEvent] = []
        self._time = time.time()
        self._started = time.perf_counter()

    def enter(self, scope: Scope) -> Scope:
        """The scope as the app gets it: with this object in it, and, if the policy says so, with fewer cookies."""
        if self._editor is not None and self._editor.gate.hides:
            self._scope = scope = {**scope, "headers": self._visible(self._editor.gate)}
        scope[SCOPE_KEY] = self
        return scope

    def _visible(self, gate: CookieGate) -> RawHeaders:
        try:
            return gate.visible(self.headers, self.given.__contains__)
        except Exception as error:  # noqa: BLE001 - what can't be judged has no consent
            self.say_once(f"cookies could not be hidden one by one: {type(error).__name__}")
            self.note("gate_failed")
            return gate.visible_blindly(self.headers)

    async def send(self, message: Message) -> None:
        """Pass a message on, unchanged but for what the editor does, and note what it tells."""
        if self._editor is not None and (message.get("headers") or self.depends_on_consent):
            message = self._editor.edit(message, self)
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

    def header(self, name: bytes) -> bytes:
        """A header of the request, by its name in small letters; empty if there is none."""
        return read_headers(self.headers).get(name, b"")

    @property
    def given(self) -> frozenset[str]:
        """The categories that the visitor granted, and `necessary`."""
        if self._consent is None:
            self._consent = self._read_consent()
        return self._consent.given

    def say_once(self, problem: str) -> None:
        """Log an error, the first time that it is this one."""
        self._pipeline.say_once(problem)

    def note(self, what: str) -> None:
        """Count something that went wrong; `centtrack status` shows it as noted."""
        self._pipeline.capture.note(what)

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

    def _read_consent(self) -> Consent:
        """What the visitor allows; if that can't be read, nothing."""
        try:
            return self._pipeline.capture.consent_of(self.headers)
        except Exception as error:  # noqa: BLE001 - nothing of ours may reach the app
            logger.error("consent could not be read: %s", type(error).__name__)
            return NO_CHOICE

    # What the app and the consent routes ask; see `centtrack.consent.visit.Visit`.

    @property
    def consent(self) -> Consent:
        """What the visitor allows. From here on the response depends on it, and no cache may give it to another."""
        self.depends_on_consent = True
        if self._outer is not None:
            self._outer.depends_on_consent = True
        if self._consent is None:
            self._consent = self._read_consent()
        return self._consent

    @property
    def policy(self) -> PrivacyPolicy:
        """The policy in force."""
        return self._pipeline.capture.policy

    @property
    def tokens(self) -> ConsentTokens | None:
        """Signs and reads choices; None without a secret."""
        return self._pipeline.capture.consent.tokens

    @property
    def secrets(self) -> Sequence[bytes]:
        """The keys that cookies are signed with, oldest to newest."""
        return self._pipeline.capture.secrets

    @property
    def client(self) -> str | None:
        """The address that is believed to be the visitor's, for counting in memory."""
        proxies = self._pipeline.capture.proxies
        peer = _peer((self._scope or {}).get("client"))
        address = proxies.resolve(peer, proxies.read_chain(read_headers(self.headers))).address
        return str(address) if address else None

    def keep_out(self) -> None:
        """Record no event of this request."""
        self._is_kept_out = True
        if self._outer is not None:
            self._outer.keep_out()

    def track(self, name: str, props: Mapping[str, Any]) -> None:
        """Note a custom event; it is recorded with the request. One that the policy doesn't declare is counted.

        Raises:
            UndeclaredEventError: in development, instead of only counting it.
        """
        problem = None
        try:
            problem = self._pipeline.capture.check_custom(name, props)
            if problem is None and self._scope is None:
                self._pipeline.refuse("too_late")
                problem = f'custom event "{name}" came when the response was done: track it before'
            elif problem is None:
                self._custom.append(CustomEvent(name, dict(props)))
            else:
                self._pipeline.refuse("undeclared", problem)
        except Exception as error:  # noqa: BLE001 - nothing of ours may reach the app
            logger.error("a custom event could not be recorded: %s", type(error).__name__)
            with contextlib.suppress(Exception):
                self._pipeline.refuse("capture_failed")
        if problem is not None and self._pipeline.debug:
            raise UndeclaredEventError(problem)

    def note_route(self, scope: Mapping[str, Any], template: str, *, matches_path: bool) -> None:
        """Note the route's template, for frameworks that leave none in the scope; see the function."""
        is_whole = matches_path and scope.get("path") == self.path
        self._route = NotedRoute(template, self._root_path if is_whole else scope.get("root_path", ""))

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
            if self._is_kept_out:
                self._pipeline.refuse("excluded")
            else:
                self._pipeline.observe(self._observation(scope), self._custom)
        except Exception as error:  # noqa: BLE001 - nothing of ours may reach the app
            logger.error("a request could not be recorded: %s", type(error).__name__)
            with contextlib.suppress(Exception):
                for _ in (self, *self._custom):
                    self._pipeline.refuse("capture_failed")

    def _observation(self, scope: Scope) -> Observation:
        is_http = scope["type"] == "http"
        return Observation(
            protocol=scope["type"],
            peer=_peer(scope.get("client")),
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


def _peer(client: object) -> str | None:
    """Who connected: an address and a port in ASGI; None over a Unix socket, whatever the server has in its place."""
    return (client[0] or None) if isinstance(client, (tuple, list)) and client else None
