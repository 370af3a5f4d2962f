"""What is added to a response: the visitor cookie, Accept-CH, and for developers an explanation of the request.

Nothing else of a response is changed, and nothing at all if the policy has neither cookie nor client hints.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from centtrack.asgi import Message, RawHeaders
from centtrack.capture.capture import ANALYTICS, Capture
from centtrack.capture.headers import read_headers
from centtrack.capture.observation import Observation
from centtrack.cookies import made_private
from centtrack.explain import encode_explanation, explain
from centtrack.policy.levels import Browser
from centtrack.visitor.cookie import VisitorCookie, expired

EXPLAIN_HEADER = b"x-centtrack-explain"
MAX_EXPLANATION = 16_384  # bytes: what clients take in one header


class Edited(NamedTuple):
    """A message as it goes out, and the id of the visitor cookie that it sets, if it does."""

    message: Message
    minted_id: str | None = None


class ResponseEditor:
    """Adds headers to `http.response.start`.

    Args:
        capture: whose policy says what.
        debug: whether the header `X-Centtrack-Explain: 1` of a request is answered.
    """

    def __init__(self, capture: Capture, *, debug: bool = False) -> None:
        self._capture = capture
        self._debug = debug
        self._accept_ch = ", ".join(capture.policy.document.browser.accept_ch).encode()

    @property
    def is_needed(self) -> bool:
        """Whether there is anything that it could add."""
        return bool(self._debug or self._accept_ch or self._capture.visitors.cookie)

    def edit(self, message: Message, raw: RawHeaders, scheme: str, observe: Callable[[], Observation]) -> Edited:
        """The message with what is added; the same message if that is nothing.

        Args:
            message: the begin of a response.
            raw: the request's headers.
            scheme: of the request.
            observe: what has been seen of the request so far.
        """
        headers: RawHeaders = message.get("headers", [])
        added: RawHeaders = []
        minted_id = None
        if _is_document(headers):
            added = self._hints_wanted(raw)
            if self._capture.visitors.cookie and _carries_ours(raw):
                minted_id, cookie = self._cookie(self._capture.visitors.cookie, raw, scheme)
                added += cookie
                headers = made_private(headers) if cookie else headers
        if self._debug and read_headers(raw).get(EXPLAIN_HEADER) == b"1":
            added.append((EXPLAIN_HEADER, self._explanation(observe())))
        return Edited({**message, "headers": [*headers, *added]}, minted_id) if added else Edited(message)

    def _hints_wanted(self, raw: RawHeaders) -> RawHeaders:
        """Accept-CH, where this visitor's limits have any use for what it asks for."""
        if not self._accept_ch:
            return []
        consented = self._capture.consent_of(raw).allows(ANALYTICS)
        needed = self._capture.policy.limits(consented=consented).browser >= Browser.MAJOR
        return [(b"accept-ch", self._accept_ch)] if needed else []

    def _cookie(self, cookie: VisitorCookie, raw: RawHeaders, scheme: str) -> tuple[str | None, RawHeaders]:
        """A new visitor cookie where analytics is granted and there is none; its end where it isn't granted."""
        request = read_headers(raw)
        cookies, host = request.get(b"cookie", b""), request.get(b"host", b"")
        if not self._capture.consent_of(raw).allows(ANALYTICS):
            line = expired(cookies, host, scheme)
            return None, [line] if line else []
        if cookie.read(cookies, host) or b"prefetch" in request.get(b"sec-purpose", b""):
            return None, []
        minted_id, line = cookie.mint(host, scheme)
        return minted_id, [line]

    def _explanation(self, seen: Observation) -> bytes:
        text = encode_explanation(explain(self._capture, seen))
        return text if len(text) <= MAX_EXPLANATION else b'{"error": "the explanation is too long for a header"}'


def _carries_ours(raw: RawHeaders) -> bool:
    """Whether a cookie of ours may have come. Without one there is no consent, and nothing to remove."""
    for _, value in raw:  # noqa: SIM110 - each document comes by here, and any() takes three times as long
        if b"centtrack" in value:
            return True
    return False


def _is_document(headers: RawHeaders) -> bool:
    """Only documents bring cookies: parts of a page, asked for at once, would each bring another."""
    for name, value in headers:
        if name == b"content-type" or name.lower() == b"content-type":
            return value[:9].lower() == b"text/html"
    return False
