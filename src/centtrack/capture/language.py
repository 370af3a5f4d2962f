"""The visitor's language."""

from __future__ import annotations

import re
from functools import lru_cache

from centtrack.policy.levels import Language

_RANGE = re.compile(r"^\s*([A-Za-z]{2,3})(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*$")
_MAX_RANGES = 16


@lru_cache(maxsize=1_024)
def reduce_language(accept_language: str | None, level: Language) -> str | None:
    """The primary language that is wanted most (RFC 9110, 12.5.4): `ru-KZ,kk;q=0.8` gives `ru`."""
    if accept_language is None or level is Language.NONE:
        return None
    best, best_weight = None, 0.0
    for entry in accept_language.split(",")[:_MAX_RANGES]:
        match = _RANGE.match(entry)
        weight = float(match[2] or 1) if match else 0.0
        if match and weight > best_weight:
            best, best_weight = match[1].lower(), weight
    return best
