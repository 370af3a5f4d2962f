"""What `centtrack sink check` looks at in PostgreSQL. All is tried in a transaction that is rolled back."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Callable, Iterator
from uuid import uuid4

import msgspec
import psycopg
from psycopg import Connection, Cursor

from centtrack.errors import CenttrackError
from centtrack.event import Event
from centtrack.sinks.finding import Finding
from centtrack.sinks.postgresql.errors import StatementNeededError, explain
from centtrack.sinks.postgresql.server import cut
from centtrack.sinks.postgresql.table import Begin, TargetTable

_OLDEST = 120_000
_WITHIN_S = 60.0
_OWN_HOSTS = ("localhost", "127.", "::1", "/")

Write = Callable[[Connection, list[Event]], None]


class Examination:
    """Looks at a target for a sink.

    Args:
        name: of the sink.
        table: it.
        begin: begins a transaction.
        write: stores events as a batch that may have come before.
    """

    def __init__(self, name: str, table: TargetTable, begin: Begin, write: Write) -> None:
        self._name = name
        self._table = table
        self._begin = begin
        self._write = write

    def findings(self, connect: Callable[[], Connection]) -> Iterator[Finding]:
        """One after another, until one is wrong that the next depend on."""
        try:
            connection = connect()
        except psycopg.Error as error:
            yield self._told("reaches the server", error)
            return
        with contextlib.closing(connection), _within(connection, _WITHIN_S):
            yield Finding("reaches the server")
            yield _look_at_version(connection)
            yield _look_at_encryption(connection)
            yield from self._try_out(connection)

    def _try_out(self, connection: Connection) -> list[Finding]:
        """What is found inside a transaction, after its end."""
        event = Event(event_id=str(uuid4()), time=dt.datetime.now(dt.UTC), time_precision="second", name="probe")
        quoted = self._table.quoted
        found: list[Finding] = []
        what = f"table {quoted}, with all columns and its key"
        try:
            with self._begin(connection) as cursor:
                is_made = self._table.complete(cursor, event.time.date())
                found.append(Finding(f"may make table {quoted}, or its missing columns" if is_made else what))
                what = f"may insert an event of today into {quoted}; one that comes twice is stored once"
                with _undone(connection):
                    self._write(connection, [event, event])
                    is_there = _count(cursor, quoted, event) == 1
                found.append(Finding(what, None if is_there else "it isn't there: see triggers and rules of the table"))
                what = f"{quoted} has its partitions for the time that comes, or they can be made"
                found += self._look_ahead(connection, event, what)
                raise psycopg.Rollback
        except (psycopg.Error, CenttrackError) as error:
            found.append(self._told(what, error))
        return found

    def _look_ahead(self, connection: Connection, event: Event, what: str) -> Iterator[Finding]:
        """Try out a day of each partition. Those of others may be cut otherwise, so none is looked for by its name."""
        days = self._table.days_due(event.time.date())[1:]
        needed: list[StatementNeededError] = []
        for day in days:
            time = dt.datetime.combine(day, dt.time(), dt.UTC)
            try:
                with _undone(connection):
                    self._write(connection, [msgspec.structs.replace(event, time=time)])
            except StatementNeededError as error:
                needed.append(error)
        if needed:
            yield Finding(what, needed[0].what, "\n".join(error.statement for error in needed))
        elif days:
            yield Finding(what)

    def _told(self, what: str, error: psycopg.Error | CenttrackError) -> Finding:
        told = error if isinstance(error, CenttrackError) else explain(error, self._name, self._table.grants)
        if isinstance(told, StatementNeededError):
            return Finding(what, told.what, told.statement)
        return Finding(what, str(told))


@contextlib.contextmanager
def _undone(connection: Connection) -> Iterator[None]:
    """A part of a transaction that is rolled back at its end: each attempt to write makes its own temporary table."""
    with connection.transaction() as part:
        yield
        raise psycopg.Rollback(part)


@contextlib.contextmanager
def _within(connection: Connection, seconds: float) -> Iterator[None]:
    """Cut a connection whose server stands still: its own limits don't count then, and libpq has none."""
    timer = threading.Timer(seconds, cut, [connection])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _look_at_version(connection: Connection) -> Finding:
    version = connection.info.server_version
    what = f"the server is PostgreSQL {version // 10_000}"
    return Finding(what, "it is too old: 12 or newer is needed" if version < _OLDEST else None)


def _look_at_encryption(connection: Connection) -> Finding:
    if connection.pgconn.ssl_in_use:
        return Finding("the connection is encrypted")
    if connection.info.host.startswith(_OWN_HOSTS) or not connection.info.host:
        return Finding("the connection isn't encrypted, and does not leave this host")
    problem = "there is none: add sslmode=verify-full and sslrootcert=FILE to the URL, or turn TLS on"
    return Finding("encryption of the connection", problem)


def _count(cursor: Cursor, table: str, event: Event) -> int:
    cursor.execute(
        f'select count("event_id") from {table} where "event_id" = %s and "date" = %s'.encode(),  # noqa: S608 - quoted
        [event.event_id, event.time.date()],
    )
    [(count,)] = cursor.fetchall()
    return int(count)
