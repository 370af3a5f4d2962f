"""The inventory of cookies against the registry of the policy: what isn't as it was declared."""

from __future__ import annotations

import datetime as dt
import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from centtrack.consent.registry import CookieRegistry, registry_of
from centtrack.delivery.cookie_table import OTHERS, StoredCookie
from centtrack.policy.known_cookies import find_known
from centtrack.policy.model import MAX_COOKIE_DAYS, UNCLASSIFIED, Cookie
from centtrack.policy.policy import PrivacyPolicy

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
        domains: of the attribute, where it was set with one.
        paths: that it was set for.
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
        hidden: names that only arrived, in fewer requests than `disclosure.k`: visitors could have sent anything.
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


def review_cookies(stored: Iterable[StoredCookie], policy: PrivacyPolicy) -> CookieReview:
    """Compare what was seen with what was declared."""
    finder = _Finder(policy)
    cookies: list[ReviewedCookie] = []
    undeclared: list[StoredCookie] = []
    hidden, is_full = 0, False
    for name, found in groupby(sorted(stored), key=lambda row: row.name):
        rows = list(found)
        if name == OTHERS:
            is_full = True
        elif finder.must_hide(rows):
            hidden += 1
        else:
            cookies.append(finder.review(name, rows))
            undeclared += [row for row in rows if name and finder.find(row) is None]
    return CookieReview(cookies, finder.never_seen(), hidden, is_full, _propose(undeclared))


class _Finder:
    """Finds the entries of stored cookies, and remembers which were found."""

    def __init__(self, policy: PrivacyPolicy) -> None:
        self._policy = policy
        self._registry = registry_of(policy)
        # Of a cookie for the host alone the inventory doesn't know the domain: it fits any.
        self._of_any_domain = CookieRegistry(
            [entry.model_copy(update={"domain": None}) for entry in self._registry.entries]
        )
        declared = policy.document.cookies
        self._own = {entry.name for entry in self._registry.entries if entry not in declared}
        self._found: set[str] = set()

    def find(self, row: StoredCookie) -> Cookie | None:
        """The entry of a cookie. Of one that only arrived the path isn't known either."""
        if not row.path:
            entry = next(iter(self._registry.fitting(row.name)), None)
        else:
            registry = self._registry if row.domain else self._of_any_domain
            entry = registry.find(row.name, row.domain, row.path)
        if entry is not None:
            self._found.add(entry.name)
        return entry

    def must_hide(self, rows: Sequence[StoredCookie]) -> bool:
        """Whether a name may not be shown."""
        few = sum(row.arrived for row in rows) < self._policy.document.disclosure.k
        return few and not any(row.passed or row.removed or row.expired or self.find(row) for row in rows)

    def review(self, name: str, rows: Sequence[StoredCookie]) -> ReviewedCookie:
        entries = [self.find(row) for row in rows]
        lifetimes = [row.longest_days for row in rows if row.longest_days is not None]
        return ReviewedCookie(
            name,
            ", ".join(sorted({entry.category for entry in entries if entry})) or None,
            tuple(sorted({row.domain for row in rows} - {""})),
            tuple(sorted({row.path for row in rows} - {""})),
            sum(row.passed for row in rows),
            sum(row.removed for row in rows),
            sum(row.expired for row in rows),
            sum(row.arrived for row in rows),
            max(lifetimes, default=None),
            str(_FIRST_DAY + dt.timedelta(days=max(row.last_day for row in rows))),
            () if name in self._own else tuple(_remarks(rows, entries)),
        )

    def never_seen(self) -> list[str]:
        return [entry.name for entry in self._policy.document.cookies if entry.name not in self._found]


def _remarks(rows: Sequence[StoredCookie], entries: Sequence[Cookie | None]) -> Iterable[Remark]:
    if any(entry is None or entry.category == UNCLASSIFIED for entry in entries):
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


def _propose(rows: Iterable[StoredCookie]) -> list[Cookie]:
    """Entries for cookies that nobody declared, one a name, or a pattern of well-known ones."""
    by_name: dict[str, list[StoredCookie]] = {}
    for row in rows:
        known = find_known(row.name)
        by_name.setdefault(known.name if known else glob.escape(row.name), []).append(row)
    return [_entry(name, found) for name, found in by_name.items()]


def _entry(name: str, rows: Sequence[StoredCookie]) -> Cookie:
    known = find_known(rows[0].name)
    set_rows = [row for row in rows if row.passed or row.removed]
    domain = _only({row.domain for row in set_rows})
    path = _only({row.path for row in set_rows})
    lifetimes = [row.longest_days for row in rows if row.longest_days is not None]
    return Cookie(
        name=name,
        category=known.category if known else "unclassified",
        domain=glob.escape(domain) if domain else None,
        path=glob.escape(path) if path and path != "/" else None,
        purpose=dict(known.purpose) if known else "",
        lifetime=min(max(lifetimes, default=0), MAX_COOKIE_DAYS) if set_rows else None,
    )


def _only(values: set[str]) -> str | None:
    return next(iter(values)) if len(values) == 1 else None
