"""What was seen of one request, before anything is reduced. Lives in memory only, for milliseconds."""

from __future__ import annotations

from typing import Literal

import msgspec

RawHeaders = list[tuple[bytes, bytes]]


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

    def __repr__(self) -> str:
        """Without contents: a log line or a traceback must not show them."""
        return "<Observation>"
