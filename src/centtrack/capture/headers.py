"""The request headers, by name."""

from __future__ import annotations

from centtrack.asgi import RawHeaders

MAX_USER_AGENT = 512
MAX_FORWARDED = 8_192

# Headers that are lists: of several lines, all count, in order (RFC 9110, 5.3). Of others, the first.
_LISTS = {
    b"cookie": b"; ",
    b"dnt": b"\n",
    b"forwarded": b",",
    b"sec-ch-ua": b",",
    b"sec-ch-ua-full-version-list": b",",
    b"sec-gpc": b"\n",
    b"x-forwarded-for": b",",
}

Headers = dict[bytes, bytes]


def read_headers(raw: RawHeaders) -> Headers:
    """The headers by lower-case name, with the lines of a list joined."""
    headers = dict(raw)
    if len(headers) == len(raw) and b"host" in headers:
        return headers  # each name once, in lower case as ASGI asks for
    found: Headers = {}
    for name, value in raw:
        key = name.lower()
        if key not in found:
            found[key] = value
        elif key in _LISTS:
            found[key] += _LISTS[key] + value
    return found


def keep_right(value: bytes, limit: int = MAX_FORWARDED) -> bytes:
    """A list that is too long, cut at its left end, from the next whole entry on.

    Proxies append on the right, and whoever sent the left end could otherwise push out what they wrote.
    """
    return value if len(value) <= limit else value[-limit:].partition(b",")[2]
