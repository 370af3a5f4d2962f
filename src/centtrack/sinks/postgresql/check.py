"""What `centtrack sink check` looks at in PostgreSQL. All is tried in a transaction that is rolled back."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Callable, Iterator
from uuid import uuid4

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
            yield Finding("reaches the server", str(explain(error, self._name, "")))
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
        what = f"the table {quoted} is there, with all columns and its key"
        try:
            with self._begin(connection) as cursor:
                is_made = self._table.complete(cursor, event.time.date())
                found.append(Finding(f"the table {quoted} can be made, or its missing columns" if is_made else what))
                what = f"an event of today can be inserted into {quoted}, and is stored once when it comes twice"
                self._write(connection, [event, event])
                is_there = _count(cursor, quoted, event) == 1
                found.append(Finding(what, None if is_there else "it isn't there: see triggers and rules of the table"))
                raise psycopg.Rollback
        except (psycopg.Error, CenttrackError) as error:
            told = error if isinstance(error, CenttrackError) else explain(error, self._name, self._table.grants)
            if isinstance(told, StatementNeededError):
                found.append(Finding(what, told.what, told.statement))
            else:
                found.append(Finding(what, str(told)))
        return found


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
    return Finding(
        "the connection is encrypted",
        "it isn't: add sslmode=verify-full and sslrootcert=FILE to the URL, or turn TLS on",
    )


def _count(cursor: Cursor, table: str, event: Event) -> int:
    cursor.execute(
        f'select count("event_id") from {table} where "event_id" = %s and "date" = %s'.encode(),  # noqa: S608 - quoted
        [event.event_id, event.time.date()],
    )
    [(count,)] = cursor.fetchall()
    return int(count)
