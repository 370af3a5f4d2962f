"""The sink that copies batches into PostgreSQL."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from centtrack.errors import MissingExtraError, RetryLater
from centtrack.event import Event
from centtrack.schema import postgresql as ddl
from centtrack.sinks.base import Batch
from centtrack.sinks.finding import Finding
from centtrack.sinks.url import SinkUrl, identifier, read_url

try:
    import psycopg
    from psycopg.errors import CheckViolation, QueryCanceled, UniqueViolation
    from psycopg.pq import TransactionStatus

    from centtrack.sinks.postgresql import rows
    from centtrack.sinks.postgresql.check import Examination
    from centtrack.sinks.postgresql.errors import explain
    from centtrack.sinks.postgresql.server import OPTIONS, Server, cut
    from centtrack.sinks.postgresql.table import TargetTable
except ImportError:
    psycopg = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

_TIMEOUT_S = 30.0
_LONGEST_S = 16 * _TIMEOUT_S
_MARGIN_S = 5.0  # the server gives a statement up so much earlier than the delivery gives the call up
_CANCEL_S = 2.0
_GIVEN_UP = "this attempt was given up, and another is made"

_OPTIONS = ("table", "schema", "partition", "create")
_TARGET = {"schema": "public", "table": "event"}  # by default
_parents_own: list[Connection] = []  # copies in a child that was forked: closing one would end the parent's session


class PostgresqlSink:
    """Copies batches into a table whose key is the event's id and date; an event that comes twice changes nothing.

    A batch is copied into the table at once. One that may be there already is copied into a temporary table first,
    and what is new in it is inserted from there: twice the work for the server. Nothing of a session is relied on from
    one transaction to the next, so PgBouncer may pool transactions.
    """

    def __init__(self, url: str) -> None:
        if psycopg is None:
            raise MissingExtraError("The postgresql: sink", "postgresql")
        parts = read_url(url, schemes=("postgresql",), port=5432, options=(*_OPTIONS, *OPTIONS), needs_host=False)
        self.name = parts.name(**_TARGET)
        self.timeout_s = _TIMEOUT_S
        self._server = Server(parts, _TIMEOUT_S - _MARGIN_S)
        self._table = TargetTable(
            identifier(parts.options.get("table", _TARGET["table"]), "a table"),
            identifier(parts.options.get("schema", _TARGET["schema"]), "a schema"),
            _read_partition(parts),
            may_create=parts.is_on("create", default=True),
        )
        self._connection: Connection | None = None
        self._pid = os.getpid()
        self._looked_on: dt.date | None = None
        self._turn = object()  # another one after each close(): a call that was given up sees that it was

    def open(self) -> None:
        """Connect, and see to the table: it, its columns and its next partitions are made where they are missing.

        Raises:
            ConfigurationError: if something is missing that this user may not make, or the URL doesn't make.
            RetryLater: if the server can't be reached, or is busy.
        """
        self.close()
        turn = self._turn
        with self._told_safely():
            connection = self._server.connect()
            try:
                if turn is not self._turn:
                    raise RetryLater(_GIVEN_UP)
                self._connection, self._pid = connection, os.getpid()
                self._prepare(connection)
            except BaseException:
                self._end(connection)
                raise

    def write(self, events: Sequence[Event]) -> None:
        """Store what isn't stored yet of a batch, in one transaction.

        Raises:
            Rejected: if a column can't hold a value, as NUL in a text.
            ConfigurationError: if something is missing that this user may not make, or the URL doesn't make.
            RetryLater: if the server doesn't answer, is busy, or takes no writes.
        """
        batch = events if isinstance(events, Batch) else Batch(events)
        decoded = batch.events
        with self._told_safely():
            connection = self._living_connection()
            try:
                if connection.info.transaction_status != TransactionStatus.IDLE:
                    raise RetryLater(_GIVEN_UP)  # never inside a transaction that another thread may roll back
                self._write(connection, decoded, is_new=not batch.repeated)
            except QueryCanceled:
                self.timeout_s = min(2 * self.timeout_s, _LONGEST_S)  # else a slow server would never be done
                raise
            finally:
                if connection is not self._connection:  # given up by another thread, which may not close it
                    self._end(connection)
        self.timeout_s = _TIMEOUT_S

    def close(self) -> None:
        """End the connection, and what is going on on it, maybe in another thread."""
        self._turn = object()
        connection, self._connection = self._connection, None
        if connection is None or connection.closed:
            return
        if self._pid != os.getpid():
            _parents_own.append(connection)
            return
        if connection.info.transaction_status == TransactionStatus.IDLE:
            connection.close()
            return
        with contextlib.suppress(psycopg.Error):
            connection.cancel_safe(timeout=_CANCEL_S)
        cut(connection)

    def _end(self, connection: Connection) -> None:
        """Close a connection in the thread that used it last; by now another one may be in its place."""
        if self._connection is connection:
            self._connection = None
        connection.close()

    def check(self) -> Iterator[Finding]:
        """Look at the server, its version, encryption, the table, its partitions and what the user may do there."""

        def write(connection: Connection, events: list[Event]) -> None:
            self._write(connection, events, is_new=False)

        return Examination(self.name, self._table, self._begin, write).findings(self._server.connect)

    def _living_connection(self) -> Connection:
        """The connection, or another one if it died since the last batch; the table is seen to once a day."""
        connection, turn = self._connection, self._turn
        if connection is None or self._pid != os.getpid() or not _is_alive(connection):
            if turn is not self._turn:
                raise RetryLater(_GIVEN_UP)
            self.open()
        elif self._looked_on != _today():
            self._prepare(connection)
        assert self._connection is not None  # noqa: S101 - for the type checker: open() made it
        return self._connection

    def _prepare(self, connection: Connection) -> None:
        today = _today()
        self._table.prepare(connection, self._begin, today)
        self._looked_on = today

    @contextlib.contextmanager
    def _begin(self, connection: Connection) -> Iterator[Cursor]:
        """A transaction that the server ends if it takes too long, or if this process stands still in it."""
        limit = int((self.timeout_s - _MARGIN_S) * 1_000)
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(
                f"set local statement_timeout = {limit}; "
                f"set local idle_in_transaction_session_timeout = {limit}".encode()
            )
            yield cursor

    def _write(self, connection: Connection, events: Sequence[Event], *, is_new: bool) -> None:
        try:
            self._store(connection, events, is_new=is_new)
        except CheckViolation as error:
            if error.diag.constraint_name:  # somebody's own; else a partition is missing
                raise
            days = {event.time.date() for event in events}
            self._table.make_partitions(connection, self._begin, days, _today())
            self._store(connection, events, is_new=is_new)

    def _store(self, connection: Connection, events: Sequence[Event], *, is_new: bool) -> None:
        if is_new:
            with contextlib.suppress(UniqueViolation), self._begin(connection) as cursor:
                rows.copy(cursor, self._table.quoted, events)
                return
        with self._begin(connection) as cursor:
            rows.insert_new(cursor, self._table.quoted, events)

    @contextlib.contextmanager
    def _told_safely(self) -> Iterator[None]:
        """Errors in words of ours: the server's hold values of events, and the client's hold credentials."""
        try:
            yield
        except psycopg.Error as error:
            raise explain(error, self.name, self._table.grants) from None


def _is_alive(connection: Connection) -> bool:
    try:
        connection.execute(b"select")
    except psycopg.OperationalError:
        return False
    return True


def _read_partition(url: SinkUrl) -> ddl.Partition:
    partitions: tuple[ddl.Partition, ...] = ("month", "day", "none")
    chosen = url.choice("partition", *partitions)
    return next(partition for partition in partitions if partition == chosen)


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()
