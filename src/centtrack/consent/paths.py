"""Where a visitor may be sent back to after a choice: paths of this site only."""

from __future__ import annotations

import re
from urllib.parse import unquote

MAX_BACK = 2_048  # bytes
_MAX_DECODINGS = 8


def safe_path(back: str) -> str | None:
    """A path of this site that a browser can be sent to; None if it could lead elsewhere.

    It is judged as it is, and as it reads after every percent-decoding: something on the way may decode it.
    """
    if not back.isprintable() or len(back.encode()) > MAX_BACK:
        return None
    text = back
    for _ in range(_MAX_DECODINGS):
        path = re.split(r"[?#]", text, maxsplit=1)[0]
        if not text.startswith("/") or "//" in path or "\\" in text or not text.isprintable():
            return None
        text, before = unquote(text), text
        if text == before:
            return back
    return None
