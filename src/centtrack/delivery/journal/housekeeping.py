"""What a journal forgets with time: sinks that nobody delivers to any more, and what waited too long."""

from __future__ import annotations

import datetime as dt
import logging
import re
from pathlib import Path
from typing import Any

import apsw

from centtrack.delivery import clock
from centtrack.delivery.journal.batches import count_pending, delete_passed, today
from centtrack.delivery.journal.losses import LostReason, forget_counts, note_lost
from centtrack.logs import report

logger = logging.getLogger(__name__)

MAX_UNSEEN_S = 7 * 86_400
"""Seconds of running after which the cursor of a sink expires that no process delivers to."""
MAX_KEPT_DAYS = 30
"""Of dead letters, and of damaged journals that were set aside."""

_MAX_STEP_S = 120.0  # a clock that jumps, or a night without power, doesn't count as running
# As `name_aside` names it, and what SQLite adds.
_ASIDE = re.compile(r"\.corrupt-(\d{8})-\d{6}(-\d+)?(-wal|-shm)?")


class Housekeeping:
    """One round of it.

    Args:
        path: the journal.
        sink: whose deliverer does it.
        retention_days: how long this sink's events may wait; None: for ever.
    """

    def __init__(self, path: Path, sink: str, retention_days: int | None) -> None:
        self._path = path
        self._sink = sink
        self._retention_days = retention_days
        self._kept_days = min(retention_days or MAX_KEPT_DAYS, MAX_KEPT_DAYS)

    def run(self, database: apsw.Connection) -> bool:
        """Do it, in a transaction of the caller's; whether events were deleted."""
        self._note_seen(database)
        gone = self._remove_unseen(database) + self._expire_rows(database) + self._expire_retried(database)
        gone += self._expire_dead(database)
        if gone:
            delete_passed(database)
        self._expire_aside(database)
        return gone > 0

    def _note_seen(self, database: apsw.Connection) -> None:
        """Add the time since anybody's last round to that for which the others weren't seen."""
        at = clock.now()
        kept_at: Any = database.execute("select value from meta where key = 'kept_at'").get
        passed_s = min(max(at - kept_at, 0.0), _MAX_STEP_S) if isinstance(kept_at, float) else 0.0
        database.execute("insert or replace into meta values ('kept_at', ?)", (at,))
        database.execute("update sink set unseen_s = unseen_s + ? where name != ?", (passed_s, self._sink))
        database.execute("update sink set unseen_s = 0 where name = ?", (self._sink,))

    def _remove_unseen(self, database: apsw.Connection) -> int:
        rows = database.execute("select name from sink where unseen_s >= ?", (MAX_UNSEEN_S,)).fetchall()
        for (name,) in rows:
            _remove_sink(database, str(name))
        return len(rows)

    def _expire_rows(self, database: apsw.Connection) -> int:
        """Pass what waited too long. A batch that was attempted once stays as it is, or goes as a whole."""
        if self._retention_days is None:
            return 0
        found: Any = database.execute(
            """select max(sequence), coalesce(sum(count) filter (where batch.sink is null or batch.sink = name), 0),
            attempt from sink join batch on sequence > cursor
            where name = ? and sequence < coalesce((select min(sequence) from batch where day >= ?), 1 << 62)""",
            (self._sink, today() - self._retention_days),
        ).get
        last, count, attempt = found
        if last is None or last < attempt:
            return 0
        database.execute("update sink set cursor = ? where name = ?", (last, self._sink))
        self._lose(database, self._sink, "retention", count)
        return int(count)

    def _expire_retried(self, database: apsw.Connection) -> int:
        """Delete what was a dead letter, is tried again, and waits behind newer events."""
        if self._retention_days is None:
            return 0
        where = """from batch where sink = ?1 and day < ?2
            and sequence > (select max(cursor, attempt) from sink where name = ?1)"""
        values = (self._sink, today() - self._retention_days)
        count = int(database.execute(f"select coalesce(sum(count), 0) {where}", values).get)
        database.execute(f"delete {where}", values)
        self._lose(database, self._sink, "retention", count)
        return count

    def _expire_dead(self, database: apsw.Connection) -> int:
        """Delete old dead letters of this sink, and of such as are gone."""
        rows: Any = database.execute(
            "select sink, count(*) from dead where day < ?1 or (day < ?2 and sink = ?3) group by sink",
            (today() - MAX_KEPT_DAYS, today() - self._kept_days, self._sink),
        )
        gone = 0
        for sink, count in rows.fetchall():
            days = self._kept_days if sink == self._sink else MAX_KEPT_DAYS
            database.execute("delete from dead where sink = ? and day < ?", (sink, today() - days))
            self._lose(database, sink, "dead_retention", count)
            gone += count
        return gone

    def _lose(self, database: apsw.Connection, sink: str, reason: LostReason, count: int) -> None:
        note_lost(database, sink, {reason: count})
        if count:
            message = "%d events for %s waited longer than is allowed (%s) and were deleted"
            report(
                logger, logging.WARNING, "events_expired", message, count, sink, reason,
                sink=sink, reason=reason, count=count,
            )  # fmt: skip

    def _expire_aside(self, database: apsw.Connection) -> None:
        """Delete old journals that were set aside: by their names, since a damaged one may not tell of earlier ones."""
        since = today() - self._kept_days
        for file in list(self._path.parent.iterdir()):
            day = _day_of_aside(file.name, self._path.name)
            if day is not None and day < since:
                file.unlink(missing_ok=True)
        database.execute("delete from aside where day < ?", (since,))


def _day_of_aside(name: str, journal: str) -> int | None:
    """When a file was set aside, in days since 1970; None for any other file."""
    found = _ASIDE.fullmatch(name.removeprefix(journal)) if name.startswith(journal) else None
    try:
        return (dt.date.fromisoformat(found[1]) - dt.date(1970, 1, 1)).days if found else None
    except ValueError:
        return None


def _remove_sink(database: apsw.Connection, sink: str) -> None:
    """Forget a sink. What waited for it stays counted."""
    unseen = count_pending(database, sink)
    database.execute("delete from sink where name = ?", (sink,))
    database.execute("delete from batch where sink = ?", (sink,))
    forget_counts(database, sink)
    note_lost(database, sink, {"unseen": unseen})
    message = "no process has delivered to %s for 7 days: its place in the journal and %d events that waited are gone"
    report(logger, logging.WARNING, "sink_removed", message, sink, unseen, sink=sink, count=unseen)
