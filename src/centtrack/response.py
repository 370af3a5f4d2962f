"""What is added to a response: the visitor cookie, Accept-CH, and for developers an explanation of the request.

Nothing else of a response is changed, and nothing at all if the policy has neither cookie nor client hints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from centtrack.asgi import Message, RawHeaders
from centtrack.capture.capture import ANALYTICS, Capture
from centtrack.capture.headers import Headers, read_headers
from centtrack.capture.observation import Observation
from centtrack.cookies import made_private, without
from centtrack.explain import encode_explanation, explain
from centtrack.policy.levels import Browser
from centtrack.visitor.cookie import expired

EXPLAIN_HEADER = b"x-centtrack-explain"
_DOCUMENTS = (b"text/html", b"application/xhtml+xml")
MAX_EXPLANATION = 16_384  # bytes: what clients take in one header


class Edited(NamedTuple):
    """A message as it goes out, and the id of the visitor cookie that it sets, if it does."""

    message: Message
    minted_id: str | None = None


def with_list(message: Message) -> Message:
    """The message with its headers in a list: ASGI allows any iterable, and one may be read only once."""
    headers = message.get("headers", [])
    return message if isinstance(headers, list) else {**message, "headers": list(headers)}


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
        self._signs = capture.consent.tokens is not None

    @property
    def is_needed(self) -> bool:
        """Whether there is anything that it could add."""
        return bool(self._debug or self._accept_ch or self._signs)

    def edit(self, message: Message, raw: RawHeaders, scheme: str, observe: Callable[[], Observation]) -> Edited:
        """The message with what is added; the same message if that is nothing.

        Args:
            message: the begin of a response, as `with_list` gives it.
            raw: the request's headers.
            scheme: of the request.
            observe: what has been seen of the request so far.
        """
        headers = message.get("headers", [])
        edited = Edited(message)
        if _is_document(headers) and (self._accept_ch or (self._signs and _carries_ours(raw))):
            edited = self._document(message, headers, raw, scheme)
        if self._debug and read_headers(raw).get(EXPLAIN_HEADER) == b"1":
            seen = msgspec.structs.replace(observe(), minted_id=edited.minted_id)
            kept = without(edited.message["headers"], b"cache-control")
            told = [(b"cache-control", b"no-store"), (EXPLAIN_HEADER, self._explanation(seen))]
            edited = edited._replace(message={**message, "headers": [*kept, *told]})
        return edited

    def _document(self, message: Message, headers: RawHeaders, raw: RawHeaders, scheme: str) -> Edited:
        request = read_headers(raw)
        has_consented = self._capture.consent_of(raw).allows(ANALYTICS)
        hints = [(b"accept-ch", self._accept_ch)] if self._accept_ch and self._records(has_consented) else []
        minted_id, cookie = self._cookie(request, scheme, has_consented, is_page=_is_page(message, request))
        if cookie or (hints and not self._records(False)):
            headers = made_private(headers)
        added = [*hints, *cookie]
        return Edited({**message, "headers": [*headers, *added]}, minted_id) if added else Edited(message)

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

    def _explanation(self, seen: Observation) -> bytes:
        if not self._capture.is_warm:
            return b'{"error": "not ready yet, ask again in a second"}'
        text = encode_explanation(explain(self._capture, seen))
        return text if len(text) <= MAX_EXPLANATION else b'{"error": "the explanation is too long for a header"}'


def _carries_ours(raw: RawHeaders) -> bool:
    """Whether a cookie of ours may have come. Without one there is no consent, and nothing to remove."""
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
