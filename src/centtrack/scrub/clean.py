"""Text that can be stored and shown anywhere."""

from __future__ import annotations

import re

MAX_TEXT = 2_048  # bytes of a path, a query, a referrer

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """Text cut to a length in bytes, with control characters, line breaks and lone surrogates replaced by U+FFFD."""
    text = text[:limit]
    if not text.isprintable():
        text = _UNPRINTABLE.sub("\ufffd", text)
    return text if text.isascii() else text.encode()[:limit].decode(errors="ignore")
