"""The inventory of cookies in the journal: what all workers have seen, by name, domain and path."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import apsw

from centtrack.consent.inventory import CookieSeen
from centtrack.delivery.journal.journal_file import JournalFile
from centtrack.errors import JournalError

MAX_ROWS = 1_000
OTHERS = "…"
"""Name that further cookies are counted under once the table is full."""

_DAY_S = 86_400
_ADD = """insert into cookie values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set
    passed = passed + excluded.passed, removed = removed + excluded.removed, expired = expired + excluded.expired,
    arrived = arrived + excluded.arrived,
    longest_days = max(coalesce(longest_days, excluded.longest_days), coalesce(excluded.longest_days, longest_days)),
    last_day = max(last_day, excluded.last_day)"""


class StoredCookie(NamedTuple):
    """What was seen of a cookie since the journal was made.

    Attributes:
        name: its name.
        domain: of its attribute; empty for the host alone, or if it only arrived.
        path: that it was set for; empty if it only arrived.
        passed: times that the app set it, and the gate let it pass.
        removed: times that the gate removed it.
        expired: times that a response made browsers forget it.
        arrived: requests that carried it.
        longest_days: the longest lifetime that it was set with, in days, rounded up; None if none outlived a session.
        first_day: when it was seen first, in days since 1970, UTC.
        last_day: when it was seen last.
    """

    name: str
    domain: str
    path: str
    passed: int
    removed: int
    expired: int
    arrived: int
    longest_days: int | None
    first_day: int
    last_day: int


def add_cookies(database: apsw.Connection, seen: Iterable[CookieSeen], *, today: int) -> None:
    """Add counts, within the caller's transaction.

    Args:
        database: of a journal.
        seen: since the last time.
        today: in days since 1970, UTC.
    """
    left = MAX_ROWS - 1 - int(_number(database, "select count(*) from cookie where name != ?", OTHERS))
    for one in seen:
        key = one[:3]
        if not _number(
            database, "select exists (select 1 from cookie where name = ? and domain = ? and path = ?)", *key
        ):
            key = key if left > 0 else (OTHERS, "", "")
            left -= 1
        days = None if one.longest_s is None else math.ceil(one.longest_s / _DAY_S)
        database.execute(_ADD, (*key, one.passed, one.removed, one.expired, one.arrived, days, today, today))


def _number(database: apsw.Connection, query: str, *values: str) -> int:
    return int(database.execute(query, values).get)


def read_cookies(path: Path) -> list[StoredCookie]:
    """The inventory of a journal, by name.

    Raises:
        JournalError: if there is no journal, or it can't be read.
    """
    journal = JournalFile(path)
    try:
        journal.open_existing()
        rows = journal.database.execute("select * from cookie order by name, domain, path")
        return [StoredCookie(*row) for row in rows]
    except apsw.Error as error:
        raise JournalError(f"journal {path} can't be read: {type(error).__name__}: {error}") from None
    finally:
        journal.close()
