"""What recorders put into the journal, and what deliverers take out of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import apsw

from centtrack.consent.inventory import CookieSeen
from centtrack.delivery.cookie_table import add_cookies
from centtrack.delivery.journal_file import JournalFile
from centtrack.delivery.processes import start_of
from centtrack.delivery.records import Encoded, ImportProgress, StoredBatch

_RELEASED_ROWS = 1_000
_KEPT_WORKERS = 32
_DAY_S = 86_400

EARLIER = "earlier"
"""Name that the counters of workers go under that ended long ago."""


class Journal(JournalFile):
    """One connection to the journal, for one thread."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._is_dirty = True  # whether rows were deleted since the file was last shrunk

    # What the recorder does.

    def append(
        self,
        events: Encoded,
        *,
        worker: str,
        counts: Mapping[tuple[str, str], int],
        cookies: Sequence[CookieSeen] = (),
        progress: ImportProgress | None = None,
    ) -> None:
        """Commit events and counters in one transaction. After it, the events are accepted.

        Args:
            events: the events.
            worker: who writes.
            counts: (counter, reason) → what to add.
            cookies: what was seen of cookies since the last commit.
            progress: how far an import has come with these events.
        """
        with self.transaction() as database:
            if events.lines:
                count = events.total - len(events.held)
                database.execute("insert into batch (count, events) values (?, ?)", (count, events.lines))
            if events.held:
                database.executemany("insert into held values (?, ?, ?)", events.held)
            database.executemany(
                "insert into counter values (?, ?, ?, ?) on conflict do update set count = count + excluded.count",
                [(worker, name, reason, count) for (name, reason), count in counts.items()],
            )
            if cookies:
                add_cookies(database, cookies, today=int(time.time() // _DAY_S))
            if progress:
                database.execute("insert or replace into import values (?, ?, ?, ?, ?)", progress)

    def begin_worker(self, worker: str, pid: int) -> None:
        """Note that a worker writes from now on."""
        with self.transaction() as database:
            database.execute("insert or replace into worker values (?, ?, ?, 0)", (worker, pid, start_of(pid)))
            _fold_old_workers(database)

    def end_worker(self, worker: str) -> None:
        """Note that a worker ended cleanly, with all its counters written."""
        with self.transaction() as database:
            database.execute("update worker set ended = 1 where name = ?", (worker,))

    def imports(self) -> list[ImportProgress]:
        """How far each import has come."""
        rows = self.database.execute("select source, head_size, lines, events, rejected from import")
        return [ImportProgress(*row) for row in rows]

    # What the deliverers do.

    def register(self, sink: str) -> None:
        """Give a sink a cursor, if it has none: a new sink starts now."""
        with self.transaction() as database:
            database.execute(
                """insert or ignore into sink (name, cursor, accepted_before) values (?,
                coalesce((select seq from sqlite_sequence where name = 'batch'), 0),
                (select coalesce(sum(count), 0) from counter where name = 'accepted') - (select count(*) from held))""",
                (sink,),
            )

    def release(self, now: float) -> int:
        """Move events whose bucket of time has ended to the batches, in the order of their random ids.

        Returns:
            How many were moved; call again while it isn't 0.
        """
        if self.database.execute("select 1 from held where release_at <= ? limit 1", (now,)).get is None:
            return 0
        with self.transaction() as database:
            found: Any = database.execute(
                "select release_at, event_id, event from held where release_at <= ? order by event_id limit ?",
                (now, _RELEASED_ROWS),
            )
            rows = found.fetchall()
            database.executemany("delete from held where release_at = ? and event_id = ?", [row[:2] for row in rows])
            if rows:
                blob = b"\n".join(row[2] for row in rows)
                database.execute("insert into batch (count, events) values (?, ?)", (len(rows), blob))
            return len(rows)

    def next_batch(self, sink: str, max_events: int) -> StoredBatch | None:
        """What a sink gets next, with its bounds stored, so that a repeated attempt is of the same rows."""
        position: Any = self.database.execute("select cursor, attempt from sink where name = ?", (sink,)).get
        cursor, attempt = position
        if attempt > cursor:
            return self._stored(cursor, attempt, repeated=True)
        last = self._last_within(cursor, max_events)
        if last == cursor:
            return None
        with self.transaction() as database:
            database.execute("update sink set attempt = ? where name = ?", (last, sink))
        return self._stored(cursor, last, repeated=False)

    def _last_within(self, cursor: int, max_events: int) -> int:
        """The last row after a cursor up to which there are that many events, or one row more."""
        sizes: Any = self.database.execute(
            "select sequence, count from batch where sequence > ? order by sequence limit ?", (cursor, max_events)
        )
        last, total = cursor, 0
        for sequence, count in sizes.fetchall():
            if total >= max_events:
                break
            last, total = sequence, total + count
        return last

    def _stored(self, cursor: int, last: int, *, repeated: bool) -> StoredBatch:
        rows: Any = self.database.execute(
            "select count, events from batch where sequence > ? and sequence <= ? order by sequence", (cursor, last)
        )
        # All are fetched here: no read transaction may be open while the sink writes, it would keep the WAL growing.
        found = rows.fetchall()
        lines = b"".join(events + b"\n" for _, events in found)
        return StoredBatch(last, repeated, sum(count for count, _ in found), lines)

    def has_pending(self, sink: str) -> bool:
        """Whether there are events that a sink could get now."""
        pending = "select exists (select 1 from batch where sequence > (select cursor from sink where name = ?))"
        return bool(self.database.execute(pending, (sink,)).get)

    def advance(
        self,
        sink: str,
        last: int,
        delivered: int,
        dead: Sequence[tuple[str, bytes]] = (),
        withheld: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Move a sink's cursor, and delete what all sinks have passed.

        Args:
            sink: name of the sink.
            last: sequence of the last row it got.
            delivered: events that it took.
            dead: (reason, encoded event) of those that it will never take.
            withheld: reason → events that it may not have.
        """
        with self.transaction() as database:
            database.executemany(
                "insert into withheld values (?, ?, ?) on conflict do update set count = count + excluded.count",
                [(sink, reason, count) for reason, count in withheld.items()],
            )
            database.executemany(
                "insert into dead (sink, reason, event) values (?, ?, ?)", [(sink, *letter) for letter in dead]
            )
            database.execute(
                "update sink set cursor = ?, delivered = delivered + ?, error = null where name = ?",
                (last, delivered, sink),
            )
            database.execute("delete from batch where sequence <= (select min(cursor) from sink)")
        self._is_dirty = True

    def note_error(self, sink: str, error: str | None) -> None:
        """Note why a sink can't be delivered to at present."""
        with self.transaction() as database:
            database.execute("update sink set error = ? where name = ?", (error, sink))

    def tidy(self) -> None:
        """When nothing waits for delivery, rewrite the file without what was delivered, and empty the WAL."""
        if not self._is_dirty or self.database.execute("select exists (select 1 from batch)").get:
            return
        with self.lock:
            self.database.execute("vacuum")
            busy = False
            try:
                self.database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except apsw.BusyError:
                busy = True  # another process reads; the next time will do
            self._is_dirty = busy


def _fold_old_workers(database: apsw.Connection) -> None:
    """Sum the counters of workers that ended cleanly, but for the last ones: reloading makes a new one each time."""
    ended = database.execute(
        "select name from worker where ended order by rowid desc limit -1 offset ?", (_KEPT_WORKERS,)
    )
    for (name,) in ended.fetchall():
        database.execute(
            """insert into counter select ?, name, reason, count from counter where worker = ? and true
            on conflict do update set count = count + excluded.count""",
            (EARLIER, name),
        )
        database.execute("delete from counter where worker = ?", (name,))
        database.execute("delete from worker where name = ?", (name,))
