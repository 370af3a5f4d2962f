"""The table that the sink writes to: what is there, what is missing, and making that."""

from __future__ import annotations

import contextlib
import datetime as dt
import zlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple

import psycopg
from psycopg import Connection, Cursor, errors

from centtrack.errors import ConfigurationError, RetryLater
from centtrack.schema import postgresql as ddl
from centtrack.schema.fields import FIELDS
from centtrack.sinks.postgresql.errors import StatementNeededError

Begin = Callable[[Connection], AbstractContextManager[Cursor]]

# How far from today a partition is made: no clock that is wrong makes hundreds of them. Older ones may be there.
_BACK = {"month": dt.timedelta(days=3_660), "day": dt.timedelta(days=400)}
_AHEAD = dt.timedelta(days=31)

_LOOK = """
select c.relkind::text,
  coalesce((select json_object_agg(attname, format_type(atttypid, atttypmod)) from pg_attribute
    where attrelid = c.oid and attnum > 0 and not attisdropped), '{}'),
  coalesce((select json_agg(attname) from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped
    and attnotnull and not atthasdef and attidentity = ''), '[]'),
  exists (select from pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate
    and i.indpred is null and i.indexprs is null
    and array['date', 'event_id'] = (select array_agg(attname::text order by attname::text) from pg_attribute
      where attrelid = c.oid and attnum = any(i.indkey)))
from pg_class c where c.relnamespace = (select oid from pg_namespace where nspname = %s) and c.relname = %s
"""
_IN_PLACE = (errors.DuplicateTable, errors.DuplicateColumn, errors.DuplicateObject, errors.UniqueViolation)
_NOT_NOW = (
    *_IN_PLACE, errors.InsufficientPrivilege, errors.LockNotAvailable,
    errors.InvalidObjectDefinition,  # larger partitions of somebody's own
    errors.CheckViolation,  # a default partition of somebody's own has such rows
)  # fmt: skip


class Found(NamedTuple):
    """A table that is there.

    Attributes:
        kind: as in `pg_class.relkind`.
        columns: name → type.
        demanded: columns that need a value.
        has_key: whether a unique index on (event_id, date) keeps events that come twice out.
    """

    kind: str
    columns: dict[str, str]
    demanded: list[str]
    has_key: bool


class TargetTable:
    """A table that is there, or is to be made.

    Args:
        table: its name.
        schema: where it is.
        partition: how it is divided when it is made here, and what partitions are made.
        may_create: whether anything is made here.

    Attributes:
        quoted: its name, as SQL takes it.
        grants: statements that give the user what it needs to write; known after the first look.
    """

    def __init__(self, table: str, schema: str, partition: ddl.Partition, *, may_create: bool) -> None:
        self.quoted = ddl.table_name(table, schema)
        self.grants = self._grants_to_create = ""
        self._table, self._schema, self._partition = table, schema, partition
        self._may_create = may_create
        self._ddl = ddl.create_table(table, schema=schema, partition=partition)
        self._make_schema = ""
        self._lock = zlib.crc32(self.quoted.encode())

    def prepare(self, connection: Connection, begin: Begin, today: dt.date) -> None:
        """Make the table, missing columns, and the partitions for now and the time that comes.

        Raises:
            ConfigurationError: if that isn't possible, or isn't wanted; or if the table isn't one of events.
            RetryLater: if another makes them at this moment.
        """
        with begin(connection) as cursor:
            found, missing = self._look(cursor)
        if missing:
            with begin(connection) as cursor:
                self.complete(cursor, today)
        if self._may_create and self._partition != "none" and (found is None or found.kind == "p"):
            due = ddl.partitions_due(self._table, self._schema, self._partition, today)
            # A long query may hold the table. There is time: what a batch needs is made when it comes.
            with contextlib.suppress(*_NOT_NOW), begin(connection) as cursor:
                self._run(cursor, due)

    def complete(self, cursor: Cursor, today: dt.date) -> bool:
        """Make the table or its missing columns, in the transaction that was begun. Whether there was something to do.

        Raises:
            ConfigurationError: see `prepare`.
            RetryLater: see `prepare`.
        """
        self._take_turn(cursor)
        found, missing = self._look(cursor)
        if missing:
            self._make(cursor, missing, self._what_is_needed(found, missing, today))
        return bool(missing)

    def days_due(self, today: dt.date) -> list[dt.date]:
        """A day of each partition that is for now or the time that comes."""
        return ddl.days_due(self._partition, today)

    def _what_is_needed(self, found: Found | None, missing: list[str], today: dt.date) -> StatementNeededError:
        if found is not None:
            return StatementNeededError(f"{self.quoted} lacks columns", _joined(missing))
        what = f"there is no table {self.quoted}"
        if self._may_create and self._make_schema:
            what = f"there is no schema {ddl.quote(self._schema)}"
            return StatementNeededError(what, f"{self._make_schema} {self._grants_to_create}")
        if self._may_create:
            return StatementNeededError(f"{what}, and the user may not make it", self._grants_to_create)
        due = ddl.partitions_due(self._table, self._schema, self._partition, today)
        command = (
            f"what `centtrack schema --format postgresql --table {self._table} --schema {self._schema} "
            f"--partition {self._partition}` prints, and: {self.grants}"
        )
        first = [self._make_schema] if self._make_schema else []
        command = " ".join([*first, command])
        return StatementNeededError(what, f"{_joined([*first, *missing, *due])}\n{self.grants}", command)

    def make_partitions(self, connection: Connection, begin: Begin, days: set[dt.date], today: dt.date) -> None:
        """Make the partitions for days that have none, but for those that are far from today.

        Raises:
            ConfigurationError: if that isn't possible, or isn't wanted.
            RetryLater: if another makes them at this moment.
        """
        partition = self._partition
        if partition == "none":
            raise ConfigurationError(f"{self.quoted} is divided into partitions: say in option partition into which")
        near = {day for day in days if today - _BACK[partition] <= day <= today + _AHEAD}
        if not near or (near != days and not self._may_create):
            return  # the batch is halved, until what is far is alone
        made: dict[str, list[dt.date]] = {}
        for day in sorted(near):
            made.setdefault(self._statement(partition, day), []).append(day)
        statements = list(made)
        more = f" and the like for {len(statements) - 3} others" if len(statements) > 3 else ""
        what = f"{self.quoted} has no partition for events of these days"
        needed = StatementNeededError(what, _joined(statements), _joined(statements[:3]) + more)
        with begin(connection) as cursor:
            for statement, its_days in made.items():
                try:
                    with connection.transaction():
                        self._make(cursor, [statement], needed)
                except errors.InvalidObjectDefinition:
                    self._fill_gaps(connection, cursor, its_days, needed)

    def _fill_gaps(
        self, connection: Connection, cursor: Cursor, days: list[dt.date], needed: StatementNeededError
    ) -> None:
        """Make partitions of a day each, beside some that are there and overlap with a larger one."""
        for day in days:
            # One that overlaps, too, lies in a partition that is there.
            with contextlib.suppress(errors.InvalidObjectDefinition), connection.transaction():
                self._make(cursor, [self._statement("day", day)], needed)

    def _statement(self, partition: Literal["month", "day"], day: dt.date) -> str:
        return ddl.partition_statement(self._table, self._schema, partition, day)

    def _make(self, cursor: Cursor, statements: Iterable[str], needed: StatementNeededError) -> None:
        if not self._may_create:
            raise needed
        try:
            self._run(cursor, statements)
        except (errors.InsufficientPrivilege, errors.InvalidSchemaName):
            raise needed from None
        except _IN_PLACE:
            raise RetryLater(f"another makes {self.quoted} at this moment") from None
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise ConfigurationError(f"{needed}; here it fails with SQLSTATE {error.sqlstate}") from None

    def _run(self, cursor: Cursor, statements: Iterable[str]) -> None:
        self._take_turn(cursor)
        cursor.execute(_joined(statements).encode())

    def _take_turn(self, cursor: Cursor) -> None:
        """One host makes what is missing, others find it. While that waits for a long query, new ones wait for it."""
        cursor.execute(f"set local lock_timeout = '2s'; select pg_advisory_xact_lock({self._lock})".encode())

    def _look(self, cursor: Cursor) -> tuple[Found | None, list[str]]:
        """What is there, and the statements that make what is missing.

        Raises:
            ConfigurationError: if it isn't a table of events.
        """
        cursor.execute(
            b"select quote_ident(current_user), quote_ident(current_database()), current_setting('server_encoding'), "
            b"exists (select from pg_namespace where nspname = %s)",
            [self._schema],
        )
        [(role, database, encoding, has_schema)] = cursor.fetchall()
        if encoding != "UTF8":
            raise ConfigurationError(f"the database has the encoding {encoding}: make one with encoding 'UTF8'")
        self._make_schema = "" if has_schema else f"create schema {ddl.quote(self._schema)};"
        temporary = f"grant temporary on database {database} to {role};"  # for batches that come again
        self._grants_to_create = f"grant usage, create on schema {ddl.quote(self._schema)} to {role}; {temporary}"
        self.grants = (
            f"grant usage on schema {ddl.quote(self._schema)} to {role}; "
            f'grant insert, select ("event_id", "date") on {self.quoted} to {role}; {temporary}'
        )
        cursor.execute(_LOOK.encode(), [self._schema, self._table])
        row = cursor.fetchone()
        if row is None:
            return None, [self._ddl]
        found = Found(*row)
        self._refuse_misfit(found)
        return found, ddl.add_missing_columns(self._table, found.columns.keys(), schema=self._schema)

    def _refuse_misfit(self, found: Found) -> None:
        own = {field.name: ddl.column_type(field) for field in FIELDS}
        others = [name for name, kind in found.columns.items() if name in own and kind != own[name]]
        demanded = [name for name in found.demanded if name not in own]
        if found.kind not in {"r", "p"}:
            problem = "is no table"
        elif not found.has_key:
            problem = 'has no unique key on ("event_id", "date")'
        elif others:
            problem = f"has another type in {', '.join(map(ddl.quote, others))}"
        elif demanded:
            problem = f"demands values in {', '.join(map(ddl.quote, demanded))}"
        else:
            return
        raise ConfigurationError(f"{self.quoted} {problem}: it isn't a table of events. Name another in option table")


def _joined(statements: Iterable[str]) -> str:
    return "\n".join(statement.rstrip(";\n") + ";" for statement in statements)
