"""Whether the journal may take more: checked before a batch is taken, so that what was accepted never has to go."""

from __future__ import annotations

from typing import Literal

import apsw

from centtrack.delivery.journal import reserve
from centtrack.delivery.journal.set_aside import JournalDamagedError
from centtrack.delivery.records import Limits
from centtrack.errors import JournalError

ROOM = 65_536
"""Bytes that a commit under load has, about: with less room than that the journal counts as full."""

FullReason = Literal["journal_full", "disk_low"]


class JournalFullError(JournalError):
    """The journal takes no more events for now.

    Attributes:
        reason: `journal_full`: it has reached its own limit; `disk_low`: the disk has.
    """

    def __init__(self, message: str, reason: FullReason) -> None:
        self.reason = reason
        super().__init__(message)


def used_bytes(database: apsw.Connection) -> int:
    """What the database uses. Deleting rows doesn't shrink the file, so its free pages don't count.

    Raises:
        JournalDamagedError: if these are more than there are, or fewer than none.
    """
    pages, free = int(database.pragma("page_count")), int(database.pragma("freelist_count"))
    if not 0 <= free <= pages:
        raise JournalDamagedError("its count of free pages is wrong")
    return (pages - free) * int(database.pragma("page_size"))


def check_room(database: apsw.Connection, size: int, limits: Limits, *, free: int, has_reserve: bool) -> None:
    """Refuse a batch that would break the limits.

    Args:
        database: of the journal, in a transaction.
        size: of the batch, in bytes.
        limits: what to keep to.
        free: what the disk has left, in bytes.
        has_reserve: whether the reserve is there; else room for it is kept, too.

    Raises:
        JournalFullError: if it is too much.
    """
    if (used := used_bytes(database)) + size > limits.max_bytes:
        raise JournalFullError(
            f"the journal uses {used / 1e6:.1f} MB of max_bytes={limits.max_bytes / 1e6:g} MB: new events are dropped "
            "until the sinks have taken what waits",
            "journal_full",
        )
    kept = limits.min_free + (0 if has_reserve else reserve.SIZE)
    if free - size < kept:
        reserved = "" if has_reserve else f", and {reserve.SIZE / 1e6:g} MB for deleting on a full disk"
        raise JournalFullError(
            f"the journal's disk has {free / 1e6:.1f} MB left, and {kept / 1e6:g} MB must stay free (min_free="
            f"{limits.min_free / 1e6:g} MB{reserved}): new events are dropped until there is more",
            "disk_low",
        )
