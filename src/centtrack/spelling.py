"""What somebody may have meant who misspelled a word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, allowed: Iterable[str]) -> str:
    """` Did you mean "…"?`, or nothing if no allowed word is close."""
    close = difflib.get_close_matches(word.lower(), list(allowed), n=1)
    return f' Did you mean "{close[0]}"?' if close else ""
