"""Moving a damaged journal out of the way. It is kept for a while: somebody may want to look at it."""

from __future__ import annotations

import datetime as dt
from itertools import count
from pathlib import Path

import apsw

from centtrack.delivery import clock
from centtrack.errors import JournalError

# What SQLite says of a statement, where the tables or the header aren't what they were.
_SAYS = (
    "no such table", "no such column", "has no column", "already exists", "duplicate column", "unsupported file format"
)  # fmt: skip


class JournalDamagedError(JournalError):
    """The journal isn't what was written to it."""


def is_damage(error: BaseException) -> bool:
    """Whether an error says that the journal is damaged, so that it has to be set aside.

    In an emptied one, or where a bit flipped in a name or a version, SQLite takes the statement for wrong.
    """
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError, JournalDamagedError)):
        return True
    return type(error) is apsw.SQLError and any(what in str(error) for what in _SAYS)


def name_aside(path: Path) -> Path:
    """Where a damaged journal goes, by the present second, UTC."""
    stem = f"{path.name}.corrupt-{dt.datetime.fromtimestamp(clock.now(), dt.UTC):%Y%m%d-%H%M%S}"
    names = (path.with_name(stem if number == 1 else f"{stem}-{number}") for number in count(1))
    return next(name for name in names if not name.exists())


def move_aside(path: Path, aside: Path) -> None:
    """Move a journal and its log; goes on where an earlier call was killed.

    Args:
        path: the journal.
        aside: where to, in the same folder.

    Raises:
        OSError: if that isn't possible.
    """
    if path.exists() and not aside.exists():
        path.replace(aside)
    if path.exists():
        return  # a new one was begun already
    log = path.with_name(f"{path.name}-wal")
    if log.exists():
        log.replace(aside.with_name(f"{aside.name}-wal"))
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
