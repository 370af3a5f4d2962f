"""What recorders put into the journal, and what deliverers take out of it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import apsw

from centtrack.consent.inventory import CookieSeen
from centtrack.delivery.journal import batches, cursors, quota, workers
from centtrack.delivery.journal.cookie_table import add_cookies
from centtrack.delivery.journal.forking import alone
from centtrack.delivery.journal.free_pages import erase, shrink
from centtrack.delivery.journal.housekeeping import Housekeeping
from centtrack.delivery.journal.journal_file import JournalFile
from centtrack.delivery.journal.reserve import free_bytes
from centtrack.delivery.records import DEFAULT_LIMITS, Encoded, ImportProgress, Limits, StoredBatch
from centtrack.errors import JournalError

_NONE: Mapping[str, int] = MappingProxyType({})


class Journal(JournalFile):
    """One connection to the journal, for one thread.

    Args:
        path: the database file. Its folder is made, readable by its owner only.
        limits: when it takes no more events.
        is_synced: whether a commit waits until the disk has it.
    """

    def __init__(self, path: Path, *, limits: Limits = DEFAULT_LIMITS, is_synced: bool = False) -> None:
        super().__init__(path, is_synced=is_synced)
        self._limits = limits
        self._is_dirty = True  # whether rows were deleted since the file was last shrunk

    def open(self) -> None:
        """Open the database, and make the reserve; raises what `JournalFile.open` does."""
        super().open()
        self.reserve.make(self._limits.min_free)

    @property
    @alone
    def used_bytes(self) -> int:
        """What it uses of `max_bytes`."""
        return quota.used_bytes(self.database)

    # What the recorder does.

    @alone
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

        Raises:
            JournalFullError: if the events would break the limits. Without events, there is always room.
            JournalGoneError: if the file was removed or replaced.
        """
        with self.transaction() as database:
            if size := events.size:
                self._check_room(database, size)
                batches.add_rows(database, events)
            database.executemany(
                "insert into counter values (?, ?, ?, ?) on conflict do update set count = count + excluded.count",
                [(worker, name, reason, count) for (name, reason), count in counts.items()],
            )
            if cookies:
                add_cookies(database, cookies, today=batches.today())
            if progress:
                database.execute("insert or replace into import values (?, ?, ?, ?, ?)", progress)

    @alone
    def check_room(self) -> None:
        """See whether the journal takes events.

        Raises:
            JournalFullError: if it doesn't.
        """
        with self.transaction() as database:
            self._check_room(database, quota.ROOM)

    def _check_room(self, database: apsw.Connection, size: int) -> None:
        free, has_reserve = free_bytes(self.path.parent), self.reserve.is_there
        quota.check_room(database, size, self._limits, free=free, has_reserve=has_reserve)

    def begin_worker(self, worker: str, pid: int) -> None:
        """Note that a worker writes from now on, and within which limits."""
        with self.transaction() as database:
            workers.begin(database, worker, pid)
            database.execute("insert or replace into meta values ('max_bytes', ?)", (self._limits.max_bytes,))

    @alone
    def note_policy(self, policy_hash: str, consent_hash: str) -> None:
        """Note what consent is given to under a policy, for events that another one finds waiting."""
        with self.transaction() as database:
            database.execute("insert or replace into meta values (?, ?)", (f"consent of {policy_hash}", consent_hash))

    def consent_hash_of(self, policy_hash: str) -> str | None:
        """What consent was given to under a policy, if that is known."""
        found = self.database.execute("select value from meta where key = ?", (f"consent of {policy_hash}",)).get
        return None if found is None else str(found)

    def end_worker(self, worker: str) -> None:
        """Note that a worker ended cleanly, with all its counters written."""
        with self.transaction() as database:
            workers.end(database, worker)

    @alone
    def imports(self) -> list[ImportProgress]:
        """How far each import has come."""
        rows = self.database.execute("select source, head_size, lines, events, rejected from import")
        return [ImportProgress(*row) for row in rows]

    # What the deliverers do. On a full disk, too: this is what makes room.

    @alone
    def register(self, sink: str) -> None:
        """Give a sink a cursor, if it has none: a new sink starts now. What an earlier one of its name lost is over."""
        if self.database.execute("select 1 from sink where name = ?", (sink,)).get:
            return
        self.insist(partial(cursors.register, sink=sink))

    @alone
    def release(self, now: float) -> int:
        """Move events whose bucket of time has ended to the batches, in the order of their random ids.

        Args:
            now: seconds since 1970, by `clock.now`.

        Returns:
            How many were moved; call again while it isn't 0.
        """
        if self.database.execute("select 1 from held where release_at <= ? limit 1", (now,)).get is None:
            return 0
        return self.insist(partial(batches.move_released, at=now))

    @alone
    def next_batch(self, sink: str, max_events: int) -> StoredBatch | None:
        """What a sink gets next, with its bounds stored, so that a repeated attempt is of the same rows.

        Raises:
            JournalError: if the sink isn't registered, or not any more.
        """
        position: Any = self.database.execute("select cursor, attempt from sink where name = ?", (sink,)).get
        if position is None:
            raise JournalError(
                f"sink {sink} has no place in journal {self.path} any more: it has to be registered again"
            )
        cursor, attempt = position
        if attempt > cursor:
            return batches.read_span(self.database, sink, cursor, attempt, repeated=True)
        while (span := batches.find_span(self.database, sink, cursor, max_events)).last > cursor:
            if span.has_events:
                self.insist(partial(cursors.begin_attempt, sink=sink, last=span.last))
                return batches.read_span(self.database, sink, cursor, span.last, repeated=False)
            self.advance(sink, span.last, 0)  # all of it is for others
            cursor = span.last
        return None

    @alone
    def newest_row(self) -> int:
        """Sequence of the row that was written last; 0 if there never was one."""
        return int(self.database.execute("select seq from sqlite_sequence where name = 'batch'").get or 0)

    @alone
    def has_pending(self, sink: str, newest: int | None = None) -> bool:
        """Whether there are events that a sink could get now: up to that row, if one is given."""
        pending = """select exists (select 1 from batch where sequence > (select cursor from sink where name = ?1)
            and sequence <= coalesce(?2, sequence) and (sink is null or sink = ?1))"""
        return bool(self.database.execute(pending, (sink, newest)).get)

    @alone
    def advance(
        self,
        sink: str,
        last: int,
        delivered: int,
        dead: Sequence[tuple[str, bytes]] = (),
        withheld: Mapping[str, int] = _NONE,
        lost: Mapping[str, int] = _NONE,
    ) -> None:
        """Move a sink's cursor, once, and delete what all sinks have passed.

        Args:
            sink: name of the sink.
            last: sequence of the last row it got.
            delivered: events that it took.
            dead: (reason, encoded event) of those that it will never take.
            withheld: reason → events that it may not have.
            lost: reason → events that it can't get: `damaged`.
        """
        move = partial(cursors.move, sink=sink, last=last, delivered=delivered, dead=dead, withheld=withheld, lost=lost)
        self.insist(move)
        self._is_dirty = True

    @alone
    def note_error(self, sink: str, error: str | None) -> None:
        """Note why a sink can't be delivered to at present; with that, count an attempt that has to be repeated."""
        self.insist(partial(cursors.note_error, sink=sink, error=error))

    @alone
    def oldest_age_s(self, sink: str, now: float) -> float | None:
        """Age of the oldest event that a sink could get now, by its own, maybe coarse, time; None if not known.

        Args:
            sink: name of the sink.
            now: seconds since 1970.
        """
        time = batches.read_oldest_time(self.database, sink)
        return None if time is None else max(0.0, now - time)

    @alone
    def housekeep(self, sink: str, retention_days: int | None) -> None:
        """What is due now and then. To be called about once a minute, between batches, with the sink's lock held.

        Args:
            sink: whose deliverer calls.
            retention_days: how long its events may wait; None: for ever.
        """
        self._is_dirty |= self.insist(Housekeeping(self.path, sink, retention_days).run)
        self.reserve.make(self._limits.min_free)
        with self.lock, contextlib.suppress(apsw.BusyError, apsw.FullError):  # the next time will do
            shrink(self.database)

    @alone
    def tidy(self) -> None:
        """When nothing waits for delivery, leave nothing of what was delivered in the file and the WAL. See `erase`."""
        if not self._is_dirty or self.database.execute("select exists (select 1 from batch)").get:
            return
        with contextlib.suppress(apsw.BusyError, apsw.FullError):  # the next time will do
            erase(self.database, self.lock)
            self._is_dirty = False
