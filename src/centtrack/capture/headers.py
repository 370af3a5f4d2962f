"""The few request headers that are read, as clean text."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_TEXT = 2_048
MAX_USER_AGENT = 512
MAX_FORWARDED = 8_192

_READ = frozenset(
    name.encode()
    for name in (
        "accept-language", "cookie", "dnt", "forwarded", "host", "purpose", "referer", "sec-fetch-dest", "sec-gpc",
        "sec-purpose", "user-agent", "x-forwarded-for", "x-moz",
    )
)  # fmt: skip
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

Headers = dict[bytes, list[bytes]]


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers that are of use, by lower-case name, each with its lines in order."""
    found: Headers = {}
    for name, value in raw:
        key = name.lower()
        if key in found:
            found[key].append(value)
        elif key in _READ:
            found[key] = [value]
    return found


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """Text cut to a length in bytes, with control characters, line breaks and lone surrogates replaced by U+FFFD."""
    text = text[:limit]
    if not text.isprintable():
        text = _UNPRINTABLE.sub("\ufffd", text)
    return text if text.isascii() else text.encode()[:limit].decode(errors="ignore")


def read_text(headers: Headers, name: bytes, limit: int = MAX_TEXT) -> str | None:
    """The first line of a header, as latin-1 (RFC 9110, 5.5), cleaned; None if there is none."""
    lines = headers.get(name)
    return clean(lines[0][:limit].decode("latin-1"), limit) if lines else None


def read_joined(headers: Headers, name: bytes, limit: int = MAX_FORWARDED) -> str:
    """All lines of a list header, joined in order (RFC 9110, 5.3).

    Of one that is too long the right end is kept, from the next whole entry on: proxies append there, and whoever
    sent the left end could otherwise push out what they wrote.
    """
    joined = b",".join(headers.get(name, ()))
    if len(joined) > limit:
        joined = joined[-limit:].partition(b",")[2]
    return joined.decode("latin-1")
