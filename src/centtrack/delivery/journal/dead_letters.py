"""Dead letters: events that a sink will never take. Somebody may look at them, try them again, or drop them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from centtrack.delivery.journal.batches import add_retried
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.journal.losses import note_lost
from centtrack.errors import JournalError

_FIRST_DAY = dt.date(1970, 1, 1)


class DeadLetterInfo(NamedTuple):
    """A dead letter, without its event.

    Attributes:
        id: its number in this journal.
        sink: name of the sink that didn't take it.
        reason: why.
        day: since when it is kept, UTC: when its event, or an earlier one of its batch, was recorded.
        size: of the event, in bytes.
    """

    id: int
    sink: str
    reason: str
    day: dt.date
    size: int


class DeadLetter(NamedTuple):
    """A dead letter.

    Attributes:
        id: its number in this journal.
        sink: name of the sink that didn't take it.
        reason: why.
        day: since when it is kept, UTC: when its event, or an earlier one of its batch, was recorded.
        event: as JSON, or whatever could not be read as that.
    """

    id: int
    sink: str
    reason: str
    day: dt.date
    event: bytes


def list_dead(path: Path, sink: str | None = None) -> list[DeadLetterInfo]:
    """The dead letters of a journal, the oldest first.

    Args:
        path: the journal.
        sink: of this one only.

    Raises:
        JournalError: if there is no journal, or it can't be read.
    """
    with _opened(path) as journal:
        rows: Any = journal.database.execute(
            "select id, sink, reason, day, length(event) from dead where ?1 is null or sink = ?1 order by id", (sink,)
        )
        return [DeadLetterInfo(number, name, reason, _date(day), size) for number, name, reason, day, size in rows]


def read_dead(path: Path, letter: int) -> DeadLetter:
    """One dead letter, with its event.

    Raises:
        JournalError: if there is no journal or no such letter, or it can't be read.
    """
    with _opened(path) as journal:
        row: Any = journal.database.execute("select sink, reason, day, event from dead where id = ?", (letter,)).get
        if row is None:
            raise JournalError(f"journal {path} has no dead letter {letter}: `centtrack dead list` shows those it has")
        name, reason, day, event = row
        return DeadLetter(letter, name, reason, _date(day), bytes(event))


def retry_dead(path: Path, ids: Collection[int] | None, sink: str | None = None) -> int:
    """Put the events of dead letters back, each for its sink alone. Those of a sink that was removed stay.

    Args:
        path: the journal.
        ids: which; None: all.
        sink: of this one only.

    Returns:
        How many were put back.

    Raises:
        JournalError: if there is no journal, or it can't be written.
    """

    def retry(database: apsw.Connection) -> int:
        letters = [
            (letter, name)
            for letter, name in _find(database, ids, sink)
            if database.execute("select 1 from sink where name = ?", (name,)).get
        ]
        for letter, name in letters:
            add_retried(database, name, letter)
        _delete(database, [letter for letter, _ in letters])
        return len(letters)

    with _opened(path) as journal:
        return journal.insist(retry)


def drop_dead(path: Path, ids: Collection[int] | None, sink: str | None = None) -> int:
    """Delete dead letters. They are counted as lost.

    Args:
        path: the journal.
        ids: which; None: all.
        sink: of this one only.

    Returns:
        How many there were.

    Raises:
        JournalError: if there is no journal, or it can't be written.
    """

    def drop(database: apsw.Connection) -> int:
        letters = _find(database, ids, sink)
        for _, name in letters:
            note_lost(database, name, {"dropped": 1})
        _delete(database, [letter for letter, _ in letters])
        return len(letters)

    with _opened(path) as journal:
        count = journal.insist(drop)
        journal.tidy()
        return count


@contextmanager
def _opened(path: Path) -> Iterator[Journal]:
    journal = Journal(path)
    try:
        journal.open_existing()
        yield journal
    except (apsw.Error, OSError) as error:
        raise JournalError(f"journal {path} can't be used: {type(error).__name__}: {error}") from None
    finally:
        journal.close()


def _find(database: apsw.Connection, ids: Collection[int] | None, sink: str | None) -> list[tuple[int, str]]:
    rows: Any = database.execute("select id, sink from dead where ?1 is null or sink = ?1 order by id", (sink,))
    return [(letter, name) for letter, name in rows.fetchall() if ids is None or letter in ids]


def _delete(database: apsw.Connection, letters: Collection[int]) -> None:
    database.executemany("delete from dead where id = ?", [(letter,) for letter in letters])


def _date(day: int) -> dt.date:
    return _FIRST_DAY + dt.timedelta(days=day)
