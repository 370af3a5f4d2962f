"""Free pages of a journal: given back to the disk, so that nothing of what was delivered stays in them."""

from __future__ import annotations

import apsw

from centtrack.delivery.journal.quota import used_bytes
from centtrack.locks import FileLock

_SHRINK_FROM = 1_000  # pages
_STEP = 2_000  # pages at once: others wait meanwhile
_MAX_REWRITTEN = 4_000_000  # bytes: what SQLite's log takes without growing


def shrink(database: apsw.Connection) -> None:
    """Give free pages back to the disk, a few at a time, if there are many."""
    free = _free_pages(database)
    if free >= _SHRINK_FROM and free * 2 >= int(database.pragma("page_count")):
        _give_back(database)


def erase(database: apsw.Connection, lock: FileLock) -> None:
    """Leave nothing on the disk of rows that were deleted, in the file or its log.

    A small journal is rewritten. In a large one, with many dead letters, that would take long while others wait: what
    was free goes, a few pages at a time, and in the pages that stay `secure_delete` wrote zeros over what was deleted.

    Args:
        database: of a journal.
        lock: the journal's; others may have it in between.
    """
    if used_bytes(database) <= _MAX_REWRITTEN:
        with lock:
            database.execute("vacuum")
    for _ in range(0, _free_pages(database), _STEP):
        with lock:
            _give_back(database)
    with lock:
        database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def _free_pages(database: apsw.Connection) -> int:
    return int(database.pragma("freelist_count"))


def _give_back(database: apsw.Connection) -> None:
    """The pages at the end move to where free ones are, and the file is cut."""
    database.execute(f"pragma incremental_vacuum({_STEP})").fetchall()
