"""Entries of the registry that are proposed for cookies that nobody declared, for an officer to judge."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from pydantic import ValidationError

from centtrack.delivery.journal.cookie_table import StoredCookie
from centtrack.policy.known_cookies import find_known
from centtrack.policy.model import MAX_COOKIE_DAYS, UNCLASSIFIED, Cookie
from centtrack.scrub.text import scrub


def propose(undeclared: Mapping[str, Sequence[StoredCookie]]) -> list[Cookie]:
    """Entries for cookies that nobody declared: one a name, or one a pattern of well-known names that the app sets.

    Args:
        undeclared: name → what was seen of it, where that needs an entry.
    """
    by_app: dict[str, list[StoredCookie]] = {}
    arriving: list[str] = []
    for name, rows in undeclared.items():
        if any(row.passed or row.removed for row in rows):
            known = find_known(name)
            by_app.setdefault(known.name if known else glob.escape(name), []).extend(rows)
        elif rows:
            arriving.append(name)
    found = [entry for name, rows in by_app.items() for entry in _valid(_describe(name, rows))]
    for name in arriving:
        if not any(fnmatchcase(name, entry.name) for entry in found):
            found += _valid(_describe_arriving(name))
    return found


def _describe(name: str, rows: Sequence[StoredCookie]) -> dict[str, object]:
    """An entry for a cookie that the app sets."""
    known = find_known(rows[0].name)
    set_rows = [row for row in rows if row.passed or row.removed]
    domain = _only({row.domain for row in set_rows})
    path = _only({row.path for row in set_rows})
    lifetimes = [row.longest_days for row in set_rows if row.longest_days is not None]
    return {
        "name": name,
        "category": known.category if known else UNCLASSIFIED,
        "domain": glob.escape(domain) if domain else None,
        "path": glob.escape(path) if path and path != "/" and not scrub(path).kinds else None,
        "purpose": dict(known.purpose) if known else "",
        "lifetime": min(max(lifetimes, default=0), MAX_COOKIE_DAYS),
    }


def _describe_arriving(name: str) -> dict[str, object]:
    """An entry for a cookie that only arrives: scripts may set it, but visitors may also have made it up.

    So it is nobody's session, whatever it is called, and stands for no other name.
    """
    known = find_known(name)
    if known is None or known.category == "necessary":
        return {"name": glob.escape(name), "category": UNCLASSIFIED}
    return {"name": glob.escape(name), "category": known.category, "purpose": dict(known.purpose)}


def _valid(values: Mapping[str, object]) -> Iterator[Cookie]:
    """The entry; none if a name has letters that none may have: browsers and servers take more than RFC 6265 does."""
    try:
        yield Cookie.model_validate(values)
    except ValidationError:
        return


def _only(values: set[str]) -> str | None:
    return next(iter(values)) if len(values) == 1 else None
