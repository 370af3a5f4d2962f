"""Which kinds of cookies came with a request: counts, never values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from centtrack.policy.levels import Cookies
from centtrack.policy.model import Cookie

UNCLASSIFIED = "unclassified"
_MAX_HEADER = 16_384
_NAME = re.compile(rb"([^=;]*)=[^;]*")
_MAX_NAME = 128


def cookie_names(header: bytes) -> list[bytes]:
    """Names of the cookies of a request (RFC 6265, 4.2). Values aren't decoded, kept or looked at."""
    return [name.strip(b" \t")[:_MAX_NAME] for name in _NAME.findall(header[:_MAX_HEADER])]


class CookieRegistry:
    """The policy's registry of cookies. It remembers which names it has counted together, never values."""

    def __init__(self, entries: Sequence[Cookie]) -> None:
        self._entries = entries
        self._counted = lru_cache(maxsize=1_024)(self._count)

    def reduce(self, header: bytes, level: Cookies) -> dict[str, int] | None:
        """Category → count, or, at level `names`, entry of the registry → count.

        A cookie that isn't in the registry counts as `unclassified` at both levels: its name could be anything.
        """
        if level is Cookies.NONE:
            return None
        return dict(self._counted(tuple(cookie_names(header)), level)) if header else {}

    def _count(self, names: tuple[bytes, ...], level: Cookies) -> dict[str, int]:
        return dict(sorted(Counter(self._key(name.decode("latin-1"), level) for name in names).items()))

    def _key(self, name: str, level: Cookies) -> str:
        entry = next((entry for entry in self._entries if fnmatchcase(name, entry.name)), None)
        if entry is None:
            return UNCLASSIFIED
        return entry.name if level is Cookies.NAMES else entry.category
