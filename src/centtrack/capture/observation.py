"""What was seen of one request, before anything is reduced. It lives in memory only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from centtrack.asgi import RawHeaders


class Observation(msgspec.Struct, gc=False):
    """One request, as the middleware saw it or a log tells it.

    Attributes:
        protocol: `http` or `websocket`.
        peer: who connected: an address, or None for a Unix socket.
        headers: the request's headers, as the server gave them.
        time: when the request began, in seconds since 1970, UTC.
        path: percent-decoded path.
        query: raw query.
        route: template of the route, if the framework told it.
        method: HTTP method; None for a WebSocket.
        status: status of the response; None if the client left before there was one.
        content_type: media type of the response, if known.
        response_bytes: bytes of the response's body; None if unknown.
        duration_s: seconds until the last byte was handed to the server; None if unknown.
        minted_id: id of the visitor cookie that the response set, if it did.
        passed_cookies: Set-Cookie lines of the app that the gate let pass.
        removed_cookies: those that it removed.
    """

    protocol: Literal["http", "websocket"]
    peer: str | None
    headers: RawHeaders
    time: float
    path: str = "/"
    query: bytes = b""
    route: str | None = None
    method: str | None = None
    status: int | None = None
    content_type: str | None = None
    response_bytes: int | None = None
    duration_s: float | None = None
    minted_id: str | None = None
    passed_cookies: Sequence[bytes] = ()
    removed_cookies: Sequence[bytes] = ()

    def __repr__(self) -> str:
        """Without contents: a log line or a traceback must not show them."""
        return "<Observation>"


def coerced(seen: Observation) -> Observation:
    """An observation of what isn't of the types that ASGI asks for, with each value made to be."""
    status = str(seen.status)
    return Observation(
        protocol=seen.protocol,
        peer=_text(seen.peer) if seen.peer else None,
        headers=coerced_headers(seen.headers),
        time=seen.time,
        path=_text(seen.path),
        query=_bytes(seen.query),
        route=seen.route if isinstance(seen.route, str) else None,
        method=_text(seen.method) if seen.method else None,
        status=int(status) if status.isdigit() else None,
        content_type=_text(seen.content_type) if seen.content_type else None,
        response_bytes=seen.response_bytes,
        duration_s=seen.duration_s,
        minted_id=seen.minted_id,
    )


def coerced_headers(raw: object) -> RawHeaders:
    """Pairs of bytes, whatever came."""
    pairs = raw if isinstance(raw, (list, tuple)) else []
    return [(_bytes(pair[0]), _bytes(pair[1])) for pair in pairs if isinstance(pair, (list, tuple)) and len(pair) == 2]


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("latin-1", "replace")
    return bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else b""


def _text(value: object) -> str:
    return value if isinstance(value, str) else _bytes(value).decode("latin-1")
