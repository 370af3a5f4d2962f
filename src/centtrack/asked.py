"""What the app, a framework and the consent routes may ask and tell of a request, while it is served."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from centtrack.asgi import RawHeaders, Scope
from centtrack.capture.custom import CustomEvent
from centtrack.capture.headers import read_headers
from centtrack.capture.route import NotedRoute
from centtrack.consent.state import NO_CHOICE, SCOPE_KEY, Consent
from centtrack.consent.token import ConsentTokens
from centtrack.delivery.pipeline import Pipeline
from centtrack.errors import UndeclaredEventError
from centtrack.logs import describe, report
from centtrack.policy.policy import PrivacyPolicy

logger = logging.getLogger(__name__)


class AskedRequest:
    """A request as the app sees it through us; see also `centtrack.consent.visit.Visit`.

    Attributes:
        headers: of the request, as the server gave them.
        path: of the request.
        scheme: of the request.
        depends_on_consent: whether the app has asked what the visitor allows.
    """

    __slots__ = (
        "_consent", "_custom", "_is_kept_out", "_outer", "_pipeline", "_root_path", "_route", "_scope", "_started",
        "_time", "depends_on_consent", "headers", "path", "scheme",
    )  # fmt: skip

    def __init__(self, pipeline: Pipeline, scope: Scope) -> None:
        self._pipeline = pipeline
        outer = scope.get(SCOPE_KEY)
        self._outer = outer if isinstance(outer, AskedRequest) else None
        self._scope: Scope | None = scope
        self.headers: RawHeaders = scope.get("headers", [])
        self.path: str = scope.get("path", "")
        self.scheme: str = scope.get("scheme", "http")
        self._root_path = scope.get("root_path", "")
        self._route: NotedRoute | None = None
        self._consent: Consent | None = None
        self.depends_on_consent = False
        self._is_kept_out = False
        self._custom: list[CustomEvent] = []
        self._time = time.time()
        self._started = time.perf_counter()

    @property
    def given(self) -> frozenset[str]:
        """The categories that the visitor granted, and `necessary`."""
        if self._consent is None:
            self._consent = self._read_consent()
        return self._consent.given

    @property
    def consent(self) -> Consent:
        """What the visitor allows. From here on the response depends on it, and no cache may give it to another."""
        self.depends_on_consent = True
        if self._outer is not None:
            self._outer.depends_on_consent = True
        if self._consent is None:
            self._consent = self._read_consent()
        return self._consent

    def _read_consent(self) -> Consent:
        """What the visitor allows; if that can't be read, nothing."""
        try:
            return self._pipeline.capture.consent_of(self.headers)
        except Exception as error:  # noqa: BLE001 - nothing of ours may reach the app
            report(logger, logging.ERROR, "consent_unreadable", "consent could not be read: %s", describe(error))
            return NO_CHOICE

    @property
    def pipeline(self) -> Pipeline:
        """What records it; health and metrics read its state."""
        return self._pipeline

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
        peer = read_peer((self._scope or {}).get("client"))
        address = proxies.resolve(peer, proxies.read_chain(read_headers(self.headers))).address
        return str(address) if address else None

    def header(self, name: bytes) -> bytes:
        """A header of the request, by its name in small letters; empty if there is none."""
        return read_headers(self.headers).get(name, b"")

    def say_once(self, problem: str) -> None:
        """Log an error, the first time that it is this one."""
        self._pipeline.say_once(problem)

    def note(self, what: str) -> None:
        """Count something that went wrong; `centtrack status` shows it as noted."""
        self._pipeline.capture.note(what)

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
            report(logger, logging.ERROR, "custom_failed", "a custom event could not be recorded: %s", describe(error))
            with contextlib.suppress(Exception):
                self._pipeline.refuse("capture_failed")
        if problem is not None and self._pipeline.debug:
            raise UndeclaredEventError(problem)

    def note_route(self, scope: Mapping[str, Any], template: str, *, matches_path: bool) -> None:
        """Note the route's template, for frameworks that leave none in the scope; see the function."""
        is_whole = matches_path and scope.get("path") == self.path
        self._route = NotedRoute(template, self._root_path if is_whole else scope.get("root_path", ""))


def read_peer(client: object) -> str | None:
    """Who connected: an address and a port in ASGI; None over a Unix socket, whatever the server has in its place."""
    return (client[0] or None) if isinstance(client, (tuple, list)) and client else None
