"""Which cookies were seen: by name, domain and path, never by value. In memory, until the recorder writes it down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from centtrack.consent.registry import CookieRegistry
from centtrack.consent.set_cookie import SetCookie, read_set_cookie

MAX_NAMES = 512
_MAX_NAME = 128
_MAX_SETS = 256  # different lines, and different sets of names that requests carry, until they are taken apart


class CookieSeen(NamedTuple):
    """How often a cookie was seen since the last look.

    Attributes:
        name: its name, cut at 128 characters.
        domain: of its attribute; empty for the host alone, or if it isn't known.
        path: of its attribute; empty if it isn't known.
        passed: times that the app set it, and the gate let it pass.
        removed: times that the gate removed it.
        expired: times that the app, or we, made browsers forget it.
        arrived: requests that carried it.
        longest_s: the longest lifetime that it was set with, in seconds; None if it never outlived a session.
    """

    name: str
    domain: str = ""
    path: str = ""
    passed: int = 0
    removed: int = 0
    expired: int = 0
    arrived: int = 0
    longest_s: float | None = None


class Inventory:
    """Counts cookies, for one thread. No value is kept, nor anything else that tells who a visitor is.

    A visitor could send any name, and names can hold ids: what fits a pattern of the registry goes under that pattern,
    and what nobody declared is told only once it arrived in so many requests. The path of a request isn't kept either.

    Args:
        registry: whose names are told at once.
        k: in how many requests another name must have arrived.
    """

    def __init__(self, registry: CookieRegistry, k: int) -> None:
        self._registry = registry
        self._k = k
        self._seen: dict[tuple[str, str, str], CookieSeen] = {}
        self._lines: Counter[tuple[bytes, bytes, bool]] = Counter()
        self._sets: Counter[bytes] = Counter()
        self._arrived: Counter[str] = Counter()
        self._told: set[str] = set()

    def set(self, line: bytes, *, passed: bool) -> None:
        """Count a Set-Cookie line.

        Args:
            line: value of the header.
            passed: whether the gate let it pass.
        """
        end = line.find(b";")
        pair, attributes = (line, b"") if end < 0 else (line[:end], line[end:])
        # Taken apart later, many at once: this is done for every response that sets a cookie.
        self._lines[pair[: pair.find(b"=") + 1], attributes, passed] += 1
        if len(self._lines) >= _MAX_SETS:
            self._take_lines_apart()

    def arrive(self, names: bytes) -> None:
        """Count the cookies of a request.

        Args:
            names: of these, each with a `=` behind it.
        """
        self._sets[names] += 1
        if len(self._sets) >= _MAX_SETS:
            self._take_sets_apart()

    def drain(self) -> list[CookieSeen]:
        """What was seen since the last call."""
        self._take_lines_apart()
        self._take_sets_apart()
        for name in [name for name, count in self._arrived.items() if self._may_tell(name, count)]:
            row = self._row(name, "", "")
            if row is not None:
                self._remember(name)
                self._seen[row[:3]] = row._replace(arrived=row.arrived + self._arrived.pop(name))
        seen, self._seen = self._seen, {}
        return list(seen.values())

    def restore(self, rows: Iterable[CookieSeen]) -> None:
        """Take back what could not be written down."""
        for row in rows:
            since = self._seen.get(row[:3], CookieSeen(*row[:3]))
            self._seen[row[:3]] = since._replace(
                passed=since.passed + row.passed,
                removed=since.removed + row.removed,
                expired=since.expired + row.expired,
                arrived=since.arrived + row.arrived,
                longest_s=_longer(row.longest_s, since.longest_s),
            )

    def _take_lines_apart(self) -> None:
        lines, self._lines = self._lines, Counter()
        for (name, attributes, passed), count in lines.items():
            cookie = read_set_cookie(name + attributes)
            row = self._row(self._shown(cookie.name), cookie.domain or "", cookie.path or "")
            if row is not None:
                self._remember(row.name)
                self._seen[row[:3]] = _with(row, cookie, count, passed=passed)

    def _row(self, name: str, domain: str, path: str) -> CookieSeen | None:
        """The row of a cookie; None if there are too many already."""
        key = (name[:_MAX_NAME], domain[:_MAX_NAME], path[:_MAX_NAME])
        known = self._seen.get(key)
        return known or (CookieSeen(*key) if len(self._seen) < MAX_NAMES else None)

    def _shown(self, name: str) -> str:
        """The name, or the pattern of the registry that it fits."""
        fitting = self._registry.fitting(name)
        return fitting[0].name if fitting and all(entry.name != name for entry in fitting) else name

    def _may_tell(self, name: str, count: int) -> bool:
        return count >= self._k or name in self._told or bool(self._registry.fitting(name))

    def _take_sets_apart(self) -> None:
        sets, self._sets = self._sets, Counter()
        for names, count in sets.items():
            for name in names.decode("latin-1").split("=")[:-1]:
                shown = self._shown(name.strip(" \t"))[:_MAX_NAME]
                if shown not in self._arrived and len(self._arrived) >= MAX_NAMES:
                    self._forget_rare()
                self._arrived[shown] += count

    def _forget_rare(self) -> None:
        """Make room: somebody may send names by the thousand. What came often enough stays."""
        self._arrived = Counter(
            {
                name: count if self._may_tell(name, count) else count // 2
                for name, count in self._arrived.items()
                if count > 1 or self._may_tell(name, count)
            }
        )

    def _remember(self, name: str) -> None:
        if len(self._told) < MAX_NAMES:
            self._told.add(name)

    def forget(self) -> None:
        """Forget all that was counted: a child after a fork, whose parent writes it down."""
        self._seen, self._lines, self._sets, self._arrived = {}, Counter(), Counter(), Counter()


def _with(row: CookieSeen, cookie: SetCookie, count: int, *, passed: bool) -> CookieSeen:
    """The row with so many more lines that set or remove the cookie."""
    if cookie.expires:
        return row._replace(expired=row.expired + count)
    longest_s = _longer(row.longest_s, cookie.lifetime_s)
    if passed:
        return row._replace(passed=row.passed + count, longest_s=longest_s)
    return row._replace(removed=row.removed + count, longest_s=longest_s)


def _longer(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else max(one, other)
