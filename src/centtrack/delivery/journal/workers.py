"""Entries of the worker processes that write to a journal. Within the caller's transaction."""

from __future__ import annotations

from typing import Any

import apsw

from centtrack.delivery.journal.losses import note_lost
from centtrack.delivery.journal.processes import is_alive, start_of

EARLIER = "earlier"
"""Name that the counters of workers go under that ended long ago."""
EARLIER_KILLED = "earlier, killed"
"""The same, of workers that never said that they ended: of these `offered` is a lower bound."""

_KEPT = 32


def begin(database: apsw.Connection, name: str, pid: int) -> None:
    """Note that a worker writes from now on."""
    database.execute("insert or replace into worker values (?, ?, ?, 0)", (name, pid, start_of(pid)))
    _fold_old(database)


def resume(database: apsw.Connection, name: str, accepted: int) -> dict[tuple[str, str], int]:
    """Go on in a journal that took the place of another.

    Args:
        database: of the new one.
        name: of the worker.
        accepted: events that it has committed. Those that a damaged journal no longer told of are lost to all sinks.

    Returns:
        What the journal knows of its counts, if anything: (counter, reason) → how often.
    """
    rows: Any = database.execute("select name, reason, count from counter where worker = ?", (name,))
    known = {(counter, reason): count for counter, reason, count in rows.fetchall()}
    missing = accepted - known.get(("accepted", ""), 0) if known else 0
    if missing > 0:
        database.execute("update counter set count = count + ? where worker = ? and name = 'accepted'", (missing, name))
        for (sink,) in database.execute("select name from sink").fetchall():
            note_lost(database, str(sink), {"corrupt": missing})
    return known


def end(database: apsw.Connection, name: str) -> None:
    """Note that a worker ended cleanly."""
    database.execute("update worker set ended = 1 where name = ?", (name,))


def _fold_old(database: apsw.Connection) -> None:
    """Sum the counters of workers that are gone, but for the last ones: reloading makes a new one each time."""
    ended = database.execute("select name from worker where ended order by rowid desc limit -1 offset ?", (_KEPT,))
    for (name,) in ended.fetchall():
        fold(database, str(name), EARLIER)
    others: Any = database.execute("select name, pid, started from worker where not ended order by rowid desc")
    killed = [str(name) for name, pid, started in others.fetchall() if not is_alive(pid, started)]
    for name in killed[_KEPT:]:
        fold(database, name, EARLIER_KILLED)


def fold(database: apsw.Connection, name: str, into: str) -> None:
    """Add the counters of one worker to those of another name, and forget the worker."""
    database.execute(
        """insert into counter select ?, name, reason, count from counter where worker = ? and true
        on conflict do update set count = count + excluded.count""",
        (into, name),
    )
    database.execute("delete from counter where worker = ?", (name,))
    database.execute("delete from worker where name = ?", (name,))
