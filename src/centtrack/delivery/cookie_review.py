"""The inventory of cookies against the registry of the policy: what isn't as it was declared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from centtrack.consent.registry import CookieRegistry, registry_of
from centtrack.delivery.cookie_proposals import propose
from centtrack.delivery.journal.cookie_table import OTHERS, StoredCookie
from centtrack.policy.known_cookies import find_known
from centtrack.policy.model import MAX_COOKIE_DAYS, UNCLASSIFIED, Cookie
from centtrack.policy.policy import PrivacyPolicy
from centtrack.scrub.text import scrub

Remark = Literal["unclassified", "outside", "longer_lived", "beyond_400_days"]
FINDINGS: frozenset[Remark] = frozenset({"unclassified", "outside", "longer_lived"})
_FIRST_DAY = dt.date(1970, 1, 1)
_SLACK_DAYS = 1  # lifetimes are rounded up, and clocks differ


@dataclass(frozen=True, slots=True)
class ReviewedCookie:
    """A cookie, by its name.

    Attributes:
        name: its name.
        category: of the registry; None if nobody declared it. Several, with commas, if it depends on domain or path.
        is_declared: whether it has an entry for each domain and path.
        domains: of the attribute, where it was set with one.
        paths: of the attribute, where it was set with one.
        seen: times that the app set it, and the gate let it pass.
        blocked: times that the gate removed it.
        expired: times that a response made browsers forget it.
        arrived: requests that carried it.
        longest_days: the longest lifetime that it was set with; None if none outlived a session.
        last_seen: the last day, UTC, as in 2026-11-22.
        remarks: what isn't as it should be: `unclassified`; `outside`: it arrives, but the gate never passed it;
            `longer_lived` than declared; `beyond_400_days`, which browsers cut.
    """

    name: str
    category: str | None
    is_declared: bool
    domains: tuple[str, ...]
    paths: tuple[str, ...]
    seen: int
    blocked: int
    expired: int
    arrived: int
    longest_days: int | None
    last_seen: str
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class CookieReview:
    """All cookies.

    Attributes:
        cookies: by name.
        never_seen: names or patterns of the registry that nothing fitted.
        hidden: names that aren't told: those that only arrived, in fewer requests than `disclosure.k`, since visitors
            could have sent anything; and those that look like personal data.
        is_full: whether the inventory was full, and further names were counted together.
        proposals: entries for what nobody declared.
    """

    cookies: list[ReviewedCookie]
    never_seen: list[str]
    hidden: int
    is_full: bool
    proposals: list[Cookie] = field(default_factory=list)

    @property
    def has_findings(self) -> bool:
        """Whether an officer has something to do."""
        return any(FINDINGS.intersection(cookie.remarks) for cookie in self.cookies)


def review_cookies(stored: Sequence[StoredCookie], policy: PrivacyPolicy) -> CookieReview:
    """Compare what was seen with what was declared."""
    finder = _Finder(policy)
    told, hidden = finder.tellable(stored)
    cookies: list[ReviewedCookie] = []
    undeclared: dict[str, list[StoredCookie]] = {}
    is_full = False
    for name, found in groupby(sorted(told), key=lambda row: row.name):
        rows = list(found)
        if name == OTHERS:
            is_full = True
        elif finder.must_hide(rows):
            hidden += 1
        else:
            cookies.append(finder.review(name, rows))
            undeclared[name] = finder.undeclared(rows)
    return CookieReview(cookies, finder.never_seen(), hidden, is_full, propose(undeclared))


class _Finder:
    """Finds the entries of stored cookies, and remembers which were found."""

    def __init__(self, policy: PrivacyPolicy) -> None:
        self._k = policy.document.disclosure.k
        self._declared = policy.document.cookies
        entries = registry_of(policy).entries
        # What the inventory doesn't know of a cookie, its host's name or the path of a request, fits any.
        self._registries = {
            (has_domain, has_path): CookieRegistry([_loosened(entry, has_domain, has_path) for entry in entries])
            for has_domain in (False, True)
            for has_path in (False, True)
        }
        self._own = {entry.name for entry in entries if entry not in self._declared}
        self._found: set[str] = set()

    def find(self, row: StoredCookie) -> Cookie | None:
        """The entry of a cookie."""
        entry = self._registries[bool(row.domain), bool(row.path)].find(row.name, row.domain, row.path)
        if entry is not None:
            self._found.add(entry.name)
        return entry

    def tellable(self, stored: Iterable[StoredCookie]) -> tuple[list[StoredCookie], int]:
        """The rows whose names may be told, and how many names may not, since they look like personal data."""
        rows = list(stored)
        set_names = {row.name for row in rows if _is_set(row)}
        told_as = {row.name: self._told_as(row.name, is_set=row.name in set_names) for row in rows}
        told = [row._replace(name=name) for row in rows if (name := told_as[row.name]) is not None]
        return told, list(told_as.values()).count(None)

    def _told_as(self, name: str, *, is_set: bool) -> str | None:
        """What a name is told as. One that holds an id or an address only by a pattern, if it fits one.

        Args:
            name: as it was seen.
            is_set: whether the app set it. What visitors send counts for no pattern of well-known names.
        """
        if not _looks_personal(name):
            return name
        declared = next(iter(self._registries[False, False].fitting(name)), None)
        known = find_known(name) if is_set else None
        return declared.name if declared else known.name if known else None

    def undeclared(self, rows: Sequence[StoredCookie]) -> list[StoredCookie]:
        """Those of a name's rows that need an entry: what is only ever deleted, or hardly arrives, needs none."""
        arrives = sum(row.arrived for row in rows) >= self._k
        return [row for row in rows if (_is_set(row) or (row.arrived and arrives)) and self.find(row) is None]

    def must_hide(self, rows: Sequence[StoredCookie]) -> bool:
        """Whether visitors may have made a name up."""
        few = sum(row.arrived for row in rows) < self._k
        return few and not any(_is_set(row) or row.expired or self.find(row) for row in rows)

    def review(self, name: str, rows: Sequence[StoredCookie]) -> ReviewedCookie:
        entries = [self.find(row) for row in rows]
        needs_entry = bool(self.undeclared(rows))
        lifetimes = [row.longest_days for row in rows if row.longest_days is not None]
        return ReviewedCookie(
            name,
            ", ".join(sorted({entry.category for entry in entries if entry})) or None,
            None not in entries,
            tuple(sorted({row.domain for row in rows} - {""})),
            tuple(sorted({scrub(row.path).text for row in rows} - {""})),
            sum(row.passed for row in rows),
            sum(row.removed for row in rows),
            sum(row.expired for row in rows),
            sum(row.arrived for row in rows),
            max(lifetimes, default=None),
            str(_FIRST_DAY + dt.timedelta(days=max(row.last_day for row in rows))),
            () if name in self._own else tuple(_remarks(rows, entries, needs_entry=needs_entry)),
        )

    def never_seen(self) -> list[str]:
        return [entry.name for entry in self._declared if entry.name not in self._found]


def _loosened(entry: Cookie, has_domain: bool, has_path: bool) -> Cookie:
    """An entry that is about any domain, or any path, where these aren't known."""
    return entry.model_copy(
        update={"domain": entry.domain if has_domain else None, "path": entry.path if has_path else None}
    )


def _looks_personal(name: str) -> bool:
    """Whether a name could tell who somebody is."""
    scrubbed = scrub(name)
    return bool(scrubbed.kinds) or "@" in scrubbed.text


def _is_set(row: StoredCookie) -> bool:
    return bool(row.passed or row.removed)


def _remarks(rows: Sequence[StoredCookie], entries: Sequence[Cookie | None], *, needs_entry: bool) -> Iterable[Remark]:
    if needs_entry or any(entry is not None and entry.category == UNCLASSIFIED for entry in entries):
        yield "unclassified"
    if any(row.arrived for row in rows) and not any(row.passed for row in rows):
        yield "outside"
    if any(_outlives(row, entry) for row, entry in zip(rows, entries, strict=True)):
        yield "longer_lived"
    if any((row.longest_days or 0) > MAX_COOKIE_DAYS for row in rows):
        yield "beyond_400_days"


def _outlives(row: StoredCookie, entry: Cookie | None) -> bool:
    if entry is None or entry.lifetime is None or row.longest_days is None:
        return False
    return entry.lifetime == 0 or min(row.longest_days, MAX_COOKIE_DAYS) > entry.lifetime + _SLACK_DAYS
