"""The journal: one SQLite database in WAL mode, shared by the worker processes of a host.

All write under a short file lock, which is fair and keeps any two connections from writing or checkpointing at once.
Through apsw, which carries a current SQLite: the one that Python links may have the WAL-reset bug.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw

from centtrack.delivery.paths import make_private_folder
from centtrack.delivery.processes import start_of
from centtrack.delivery.records import Encoded, ImportProgress, StoredBatch
from centtrack.delivery.schema import APPLICATION_ID, VERSION, create
from centtrack.errors import JournalError
from centtrack.locks import FileLock

_BUSY_TIMEOUT_MS = 5_000
_RELEASED_ROWS = 1_000
_KEPT_WORKERS = 32

EARLIER = "earlier"
"""Name that the counters of workers go under that ended long ago."""


class JournalGoneError(JournalError):
    """The journal's file is no longer where it was; opening it again makes a new one."""


class Journal:
    """One connection to the journal, for one thread.

    Args:
        path: the database file. Its folder is made, readable by its owner only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = ""
        self._lock = FileLock(path.with_suffix(".lock"))
        self._database: apsw.Connection | None = None
        self._file: os.stat_result | None = None
        self._is_dirty = True  # whether rows were deleted since the file was last shrunk

    @property
    def database(self) -> apsw.Connection:
        """The open connection."""
        if self._database is None:
            raise JournalError(f"journal {self.path} is not open")
        return self._database

    def open(self) -> None:
        """Open the database, and create it if there is none.

        Raises:
            JournalError: if a newer version wrote it, or it isn't a journal.
            OSError, apsw.Error: if the file can't be made or opened.
        """
        make_private_folder(self.path.parent)
        with self._lock:
            # SQLite would create it readable by all; the WAL's files take over the mode of this one.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))
            self._connect(may_create=True)

    def open_existing(self) -> None:
        """Open a database that must exist, as for reading its status.

        Raises:
            JournalError: if there is none, or as `open` does.
        """
        if not self.path.is_file():
            raise JournalError(f"no journal at {self.path}")
        with self._lock:
            self._connect(may_create=False)

    def _connect(self, *, may_create: bool) -> None:
        database = apsw.Connection(str(self.path))
        try:
            database.set_busy_timeout(_BUSY_TIMEOUT_MS)
            self._prepare(database, may_create=may_create)
        except apsw.NotADBError:
            database.close()
            raise JournalError(f"{self.path} is not a journal: not a SQLite database") from None
        except BaseException:
            database.close()
            raise
        self._database = database
        self._file = self.path.stat()

    def _prepare(self, database: apsw.Connection, *, may_create: bool) -> None:
        version: Any = database.pragma("user_version")
        is_ours = database.pragma("application_id") == APPLICATION_ID
        is_empty = not database.execute("select exists (select 1 from sqlite_schema)").get
        if not is_ours and not (may_create and is_empty and version == 0):
            raise JournalError(f"{self.path} is not a journal: some other program's database")
        if version > VERSION:
            raise JournalError(
                f"journal {self.path} has version {version}, this centtrack knows {VERSION}: "
                "update centtrack, or name another file with journal="
            )
        if version == 0:
            create(database)
        database.pragma("synchronous", 1)  # NORMAL: survives a kill of the process; a power cut may take the last ms
        database.pragma("secure_delete", 0)
        self.id = str(database.execute("select value from meta where key = 'id'").get)

    def close(self) -> None:
        """Close the connection. Does nothing if it isn't open."""
        database, self._database = self._database, None
        if database is not None:
            with self._lock:
                database.close()
            self._lock.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """A write transaction, alone among all processes of the host.

        Raises:
            JournalGoneError: if the file was removed or replaced: what is written to it nobody would read.
        """
        database = self.database
        with self._lock:
            if not self._is_in_place():
                raise JournalGoneError(f"journal {self.path} was removed or replaced while in use")
            database.execute("begin immediate")
            try:
                yield database
                database.execute("commit")
            except BaseException:
                if database.in_transaction:
                    database.execute("rollback")
                raise

    def _is_in_place(self) -> bool:
        try:
            return self._file is not None and os.path.samestat(self._file, self.path.stat())
        except FileNotFoundError:
            return False

    # What the recorder does.

    def append(
        self,
        events: Encoded,
        *,
        worker: str,
        counts: Mapping[tuple[str, str], int],
        progress: ImportProgress | None = None,
    ) -> None:
        """Commit events and counters in one transaction. After it, the events are accepted.

        Args:
            events: the events.
            worker: who writes.
            counts: (counter, reason) → what to add.
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

    def advance(self, sink: str, last: int, delivered: int, dead: Sequence[tuple[str, bytes]] = ()) -> None:
        """Move a sink's cursor, and delete what all sinks have passed.

        Args:
            sink: name of the sink.
            last: sequence of the last row it got.
            delivered: events that it took.
            dead: (reason, encoded event) of those that it will never take.
        """
        with self.transaction() as database:
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
        with self._lock:
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
