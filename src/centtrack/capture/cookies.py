"""Which kinds of cookies came with a request: counts, never values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase, translate
from functools import lru_cache

from centtrack.policy.levels import Cookies
from centtrack.policy.model import Cookie

UNCLASSIFIED = "unclassified"
_MAX_HEADER = 16_384
_NAME = re.compile(rb"(?:\A|;)([^=;]*+=)[^;]*+")  # linear: it begins at a semicolon only, and never goes back
_MAX_NAME = 128
# Chromium keeps up to 180 a domain. A hundred leave each 80 bytes of a header of 8 KB, where many servers end.
_MAX_NAMES = 100
_MAX_KEY = 1_024  # bytes of names; what is longer isn't remembered
_GLOB = re.compile(r"[*?\[]")


def cookie_names(header: bytes) -> list[str]:
    """Names of the first 100 cookies of a request (RFC 6265, 4.2). Values aren't decoded, kept or looked at."""
    return _split(_read(header)[0])


def _read(header: bytes) -> tuple[bytes, int]:
    """The names that are looked at, each with a `=` behind it; and how many cookies stand behind those."""
    header, rest = header[:_MAX_HEADER], 0
    if (separators := header.count(b";")) >= _MAX_NAMES:
        rest = separators + 1 - _MAX_NAMES
        header = b";".join(header.split(b";", _MAX_NAMES)[:_MAX_NAMES])
    return b"".join(_NAME.findall(header)), rest


def _split(names: bytes) -> list[str]:
    return [name.strip(" \t")[:_MAX_NAME] for name in names.decode("latin-1").split("=")[:-1]]


class CookieRegistry:
    """The policy's registry of cookies. It remembers which names it has counted together, never values."""

    def __init__(self, entries: Sequence[Cookie]) -> None:
        globs = [entry for entry in entries if _GLOB.search(entry.name)]
        exact = {entry.name for entry in entries} - {entry.name for entry in globs}
        # The first entry that fits counts, so a name may belong to a glob that stands before its own entry.
        self._exact = {name: next(entry for entry in entries if fnmatchcase(name, entry.name)) for name in exact}
        self._globs = {f"glob{number}": entry for number, entry in enumerate(globs)}
        self._any_glob = re.compile("|".join(f"(?P<{key}>{translate(glob.name)})" for key, glob in self._globs.items()))
        self._known = lru_cache(maxsize=1_024)(self._count)  # at worst 3 MB

    def reduce(self, header: bytes, level: Cookies) -> dict[str, int] | None:
        """Category → count, or, at level `names`, entry of the registry → count.

        A cookie that isn't in the registry counts as `unclassified` at both levels: its name could be anything. So do
        those behind the hundredth, whose names aren't looked at.
        """
        if level is Cookies.NONE:
            return None
        if not header:
            return {}
        names, rest = _read(header)
        count = self._known if len(names) <= _MAX_KEY else self._count
        return dict(count(names, rest, level))

    def _count(self, names: bytes, rest: int, level: Cookies) -> dict[str, int]:
        counts = Counter(self._key(name, level) for name in _split(names))
        return dict(sorted((counts + Counter({UNCLASSIFIED: rest})).items()))

    def _key(self, name: str, level: Cookies) -> str:
        entry = self._exact.get(name) or self._first_glob(name)
        if entry is None:
            return UNCLASSIFIED
        return entry.name if level is Cookies.NAMES else entry.category

    def _first_glob(self, name: str) -> Cookie | None:
        found = self._any_glob.match(name) if self._globs else None
        return self._globs[found.lastgroup] if found and found.lastgroup else None
