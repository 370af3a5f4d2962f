"""What is changed in a response: cookies without consent go; visitor cookie, Accept-CH, explanation are added.

Nothing else of it is touched; a message in which there is nothing to change goes on as the same object.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Protocol

import msgspec

from centtrack.asgi import Message, RawHeaders
from centtrack.capture.capture import ANALYTICS, Capture
from centtrack.capture.headers import Headers, read_headers
from centtrack.capture.observation import Observation
from centtrack.consent.gate import CookieGate, Gated, Request, set_cookie_lines
from centtrack.consent.set_cookie import SetCookie
from centtrack.cookies import made_private, without
from centtrack.explain import encode_explanation, explain
from centtrack.policy.levels import Browser
from centtrack.scrub.text import scrub
from centtrack.visitor.cookie import expired

logger = logging.getLogger(__name__)

EXPLAIN_HEADER = b"x-centtrack-explain"
MAX_EXPLANATION = 16_384  # bytes: what clients take in one header
_MAX_SAID = 64  # names of cookies
_DOCUMENTS = (b"text/html", b"application/xhtml+xml")


class Exchange(Request, Protocol):
    """One request, as far as its response depends on it.

    Attributes:
        headers: of the request.
        depends_on_consent: whether the app has asked what the visitor allows.
    """

    headers: RawHeaders
    depends_on_consent: bool

    def observe(self, message: Message) -> Observation:
        """What has been seen so far, with the begin of the response."""

    def say_once(self, problem: str) -> None:
        """Log an error, the first time."""

    def note(self, what: str) -> None:
        """Count what went wrong."""

    def note_cookies(self, gated: Gated) -> None:
        """Note what the gate did."""

    def note_minted(self, visitor_id: str) -> None:
        """Note the id in the visitor cookie that the response sets."""


class ResponseEditor:
    """Edits messages that carry headers.

    Args:
        capture: whose policy says what.
        debug: whether the header `X-Centtrack-Explain: 1` of a request is answered.

    Attributes:
        gate: judges the app's cookies.
    """

    def __init__(self, capture: Capture, *, debug: bool = False) -> None:
        self.gate = CookieGate(capture.policy)
        self._capture = capture
        self._debug = debug
        self._said: set[str] = set()
        self._accept_ch = ", ".join(capture.policy.document.browser.accept_ch).encode()
        self._signs = capture.consent.tokens is not None
        self._adds = bool(self._accept_ch) or self._signs

    def edit(self, message: Message, exchange: Exchange) -> Message:
        """The message with what is removed and added; the same message if that is nothing.

        Args:
            message: one whose headers are `listed`.
            exchange: what it answers; it is told what was done.
        """
        headers = message.get("headers") or []
        if not isinstance(headers, list):
            return message  # the server will say what is wrong
        kept = self._guarded(headers, exchange)
        is_private = exchange.depends_on_consent or len(kept) < len(headers)
        if kept is not headers:
            message = {**message, "headers": kept}
        try:
            return self._added(message, exchange, is_private=is_private)
        except Exception as error:  # noqa: BLE001 - the response goes out as the gate left it
            exchange.say_once(f"a response could not be edited: {type(error).__name__}")
            return message

    def _guarded(self, headers: RawHeaders, exchange: Exchange) -> RawHeaders:
        try:
            lines = set_cookie_lines(headers)
            if not lines:
                return headers
            gated = self.gate.guard(headers, lines, exchange)
            for cookie in gated.undeclared:
                self._say_undeclared(cookie)
        except Exception as error:  # noqa: BLE001 - what can't be judged isn't granted
            exchange.say_once(f"the cookie gate failed, only necessary cookies pass: {type(error).__name__}")
            exchange.note("gate_failed")
            gated = self.gate.guard_blindly(headers)
        exchange.note_cookies(gated)
        return gated.headers

    def _say_undeclared(self, cookie: SetCookie) -> None:
        """One line a name; an app may make names up, so there is an end to it."""
        if len(self._said) >= _MAX_SAID:
            return
        text, kinds = scrub(cookie.name)
        shown = text if kinds else cookie.name
        if shown not in self._said:
            self._said.add(shown)
            is_listed = bool(self.gate.registry.fitting(cookie.name))
            logger.warning("%s", _undeclared(shown, self.gate.mode, is_listed=is_listed, is_whole=not kinds))

    def _added(self, message: Message, exchange: Exchange, *, is_private: bool) -> Message:
        kind = message["type"]
        if is_private and kind.endswith("response.start"):
            message = {**message, "headers": made_private(message.get("headers") or [])}
        if kind != "http.response.start":
            return message
        minted_id = None
        if (self._adds or self.gate.may_expire) and _is_document(message["headers"]):
            expiring = self.gate.expire_arrived(exchange)
            if expiring:
                message = {**message, "headers": [*made_private(message["headers"]), *expiring]}
            if self._accept_ch or (self._signs and _carries_ours(exchange.headers)):
                message, minted_id = self._document(message, exchange)
        if minted_id:
            exchange.note_minted(minted_id)
        if self._debug and read_headers(exchange.headers).get(EXPLAIN_HEADER) == b"1":
            message = self._explained(message, exchange, minted_id)
        return message

    def _document(self, message: Message, exchange: Exchange) -> tuple[Message, str | None]:
        """A page with client hints and visitor cookie, and the new id in it."""
        headers, request = message["headers"], read_headers(exchange.headers)
        has_consented = ANALYTICS in exchange.given
        hints = [(b"accept-ch", self._accept_ch)] if self._accept_ch and self._records(has_consented) else []
        is_page = _is_page(message, request)
        minted_id, cookie = self._cookie(request, exchange.scheme, has_consented, is_page=is_page)
        if cookie or (hints and not self._records(False)):
            headers = made_private(headers)
        if not hints and not cookie:
            return message, None
        return {**message, "headers": [*headers, *hints, *cookie]}, minted_id

    def _records(self, consented: bool) -> bool:
        """Whether a tier's limits have any use for high-entropy hints."""
        return self._capture.policy.limits(consented=consented).browser >= Browser.MAJOR

    def _cookie(
        self, request: Headers, scheme: str, has_consented: bool, *, is_page: bool
    ) -> tuple[str | None, RawHeaders]:
        """A new visitor cookie where analytics is granted and there is none; its end where it isn't allowed."""
        cookie = self._capture.visitors.cookie
        cookies, host = request.get(b"cookie", b""), request.get(b"host", b"")
        if cookie is None or not has_consented:
            line = expired(cookies, host, scheme)
            return None, [line] if line else []
        if not is_page or cookie.read(cookies, host):
            return None, []
        minted_id, line = cookie.mint(host, scheme)
        return minted_id, [line]

    def _explained(self, message: Message, exchange: Exchange, minted_id: str | None) -> Message:
        """The message with an explanation of its request, which no cache may keep."""
        seen = msgspec.structs.replace(exchange.observe(message), minted_id=minted_id)
        kept = without(message["headers"], b"cache-control")
        told = [(b"cache-control", b"no-store"), (EXPLAIN_HEADER, self._explanation(seen))]
        return {**message, "headers": [*kept, *told]}

    def _explanation(self, seen: Observation) -> bytes:
        if not self._capture.is_warm:
            return b'{"error": "not ready yet, ask again in a second"}'
        text = encode_explanation(explain(self._capture, seen))
        return text if len(text) <= MAX_EXPLANATION else b'{"error": "the explanation is too long for a header"}'


def _undeclared(shown: str, mode: str, *, is_listed: bool, is_whole: bool) -> str:
    """One line, with what to write into the policy."""
    name, becomes = json.dumps(shown), "passes" if mode == "declared" else "is removed"
    said = f'under gate = "{mode}" it {becomes}'
    categories = '"necessary", "preferences", "analytics" or "marketing"'
    if is_listed:
        return f"the app sets a cookie {name} that is unclassified; {said}. Give its entry a category: {categories}"
    if not is_whole:  # no entry to copy: in a pattern, the placeholder's brackets would stand for one of its letters
        return (
            f"the app sets a cookie {name} that the policy doesn't declare, with what looks like personal data in its "
            f"name; {said}. Better keep that out of names; else add a table [[cookies]] with a name that has * in its "
            f"place, and a category: {categories}"
        )
    entry = f'{{ name = {name}, category = "…" }}'
    return (
        f"the app sets a cookie {name} that the policy doesn't declare; {said}. Add a table [[cookies]] with {entry}, "
        f"category being {categories}; `centtrack cookies --declare` writes it"
    )


def _carries_ours(raw: RawHeaders) -> bool:
    """Whether a cookie of ours may have come. Without one there is no visitor's id to set or remove."""
    for _, value in raw:  # noqa: SIM110 - each document comes by here, and any() takes three times as long
        if b"centtrack" in value:
            return True
    return False


def _is_document(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    for name, value in headers:
        if name == b"content-type" or name.lower() == b"content-type":
            return value.lower().startswith(_DOCUMENTS)
    return False


def _is_page(message: Message, request: Headers) -> bool:
    """Whether a person looks at it now. Parts of a page, asked for at once, would each bring another id."""
    return (
        message.get("status") == 200
        and request.get(b"sec-fetch-dest", b"document") == b"document"
        and b"prefetch" not in request.get(b"sec-purpose", b"")
    )
