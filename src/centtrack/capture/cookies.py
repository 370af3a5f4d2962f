"""Which kinds of cookies came with a request: counts, never values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from centtrack.policy.levels import Cookies
from centtrack.policy.model import Cookie

UNCLASSIFIED = "unclassified"
_MAX_HEADER = 16_384
_NAME = re.compile(rb"([^=;]*)=[^;]*")
_MAX_NAME = 128


def cookie_names(lines: Sequence[bytes]) -> list[bytes]:
    """Names of the cookies of a request (RFC 6265, 4.2). Values aren't decoded, kept or looked at."""
    return [name.strip(b" \t")[:_MAX_NAME] for name in _NAME.findall(b";".join(lines)[:_MAX_HEADER])]


class CookieRegistry:
    """The policy's registry of cookies, asked by name. It remembers what it answered: names, never values."""

    def __init__(self, entries: Sequence[Cookie]) -> None:
        self._entries = entries
        self._find = lru_cache(maxsize=1_024)(self._look_up)

    def _look_up(self, name: bytes) -> Cookie | None:
        text = name.decode("latin-1")
        return next((entry for entry in self._entries if fnmatchcase(text, entry.name)), None)

    def reduce(self, lines: Sequence[bytes], level: Cookies) -> dict[str, int] | None:
        """Category → count, or, at level `names`, entry of the registry → count.

        A cookie that isn't in the registry counts as `unclassified` at both levels: its name could be anything.
        """
        if level is Cookies.NONE:
            return None
        counts: dict[str, int] = {}
        for name in cookie_names(lines) if lines else ():
            entry = self._find(name)
            key = UNCLASSIFIED if entry is None else entry.name if level is Cookies.NAMES else entry.category
            counts[key] = counts.get(key, 0) + 1
        return dict(sorted(counts.items())) if len(counts) > 1 else counts
