"""A table of events in PostgreSQL 12 or newer. Maps are `jsonb`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from typing import Literal

from centtrack.errors import ConfigurationError
from centtrack.schema.fields import FIELDS, Field, Kind, missing_fields

Partition = Literal["month", "day", "none"]

_TYPES: dict[Kind, str] = {
    "text": "text",
    "integer": "bigint",
    "number": "double precision",
    "boolean": "boolean",
    "time": "timestamp with time zone",
    "date": "date",
    "text_map": "jsonb",
    "integer_map": "jsonb",
    "json": "jsonb",
}
_MAX_NAME = 63  # bytes; PostgreSQL cuts longer names without an error
_AHEAD = {"month": 2, "day": 8}  # partitions: this one, and those that come next


def create_table(table: str, *, schema: str = "public", partition: Partition = "month") -> str:
    """Statements that make the table, its index and the comments on its columns; several, each ended by a semicolon.

    The key has `date` because a partitioned table takes no key without the column that it is partitioned by. Events
    come in the order of time, so a BRIN index finds a span of time, and takes a few kilobytes.

    Args:
        table: its name.
        schema: where it is.
        partition: how it is divided; the partitions are made by `partition_statement`.

    Raises:
        ConfigurationError: if the names of its partitions would be too long.
    """
    name = table_name(table, schema)
    columns = ",\n".join(f"  {quote(field.name)} {_definition(field)}" for field in FIELDS)
    divided = "" if partition == "none" else '\npartition by range ("date")'
    index = quote(_suffixed(table, "_brin"))
    statements = [
        f'create table if not exists {name} (\n{columns},\n  primary key ("event_id", "date")\n){divided}',
        f'create index if not exists {index} on {name} using brin ("date", "time")',
        *_comments(name),
    ]
    return ";\n".join(statements) + ";\n"


def partition_statement(table: str, schema: str, partition: Literal["month", "day"], day: dt.date) -> str:
    """The statement that makes the partition for a day. Nothing happens if it is there.

    Raises:
        ConfigurationError: if its name would be too long.
    """
    first, after = _bounds(partition, day)
    end = f"'{after}'" if after else "maxvalue"
    suffix = f"_{first:%Y_%m}" if partition == "month" else f"_{first:%Y_%m_%d}"
    return (
        f"create table if not exists {table_name(_suffixed(table, suffix), schema)} "
        f"partition of {table_name(table, schema)} for values from ('{first}') to ({end})"
    )


def partitions_due(table: str, schema: str, partition: Partition, today: dt.date) -> list[str]:
    """Statements that make the partitions for now and for the time that comes: two months, or eight days."""
    if partition == "none":
        return []
    return [partition_statement(table, schema, partition, day) for day in days_due(partition, today)]


def days_due(partition: Partition, today: dt.date) -> list[dt.date]:
    """A day of each of the partitions for now and for the time that comes, in their order."""
    if partition == "none":
        return []
    step = dt.timedelta(days=1 if partition == "day" else 31)
    days = [today if partition == "day" else today.replace(day=1)]
    while len(days) < _AHEAD[partition]:
        days.append((days[-1] + step) if partition == "day" else (days[-1] + step).replace(day=1))
    return days


def add_missing_columns(table: str, present: Collection[str], *, schema: str = "public") -> list[str]:
    """Statements that bring a table of an older version up to this one.

    A new column may be empty, whatever it is: rows that are there have nothing to put into it.

    Args:
        table: its name.
        present: the columns that it has.
        schema: where it is.
    """
    name = table_name(table, schema)
    return [
        f"alter table {name} add column if not exists {quote(field.name)} {column_type(field)}"
        for field in missing_fields(set(present))
    ]


def table_name(table: str, schema: str) -> str:
    """The quoted name of a table."""
    return f"{quote(schema)}.{quote(table)}"


def quote(identifier: str) -> str:
    """A name as SQL takes it, whatever it holds."""
    doubled = identifier.replace('"', '""')
    return f'"{doubled}"'


def column_type(field: Field) -> str:
    """The type of a column."""
    return "uuid" if field.name == "event_id" else _TYPES[field.kind]


def _suffixed(table: str, suffix: str) -> str:
    if len((table + suffix).encode()) > _MAX_NAME:
        raise ConfigurationError(
            f'the name "{table}" is too long: with "{suffix}" behind it, it has more than the {_MAX_NAME} bytes that '
            "PostgreSQL allows"
        )
    return table + suffix


def _definition(field: Field) -> str:
    return column_type(field) if field.is_nullable else f"{column_type(field)} not null"


def _bounds(partition: Literal["month", "day"], day: dt.date) -> tuple[dt.date, dt.date | None]:
    """The first day of a partition, and the first one after it; None if the calendar ends there."""
    first = day if partition == "day" else day.replace(day=1)
    try:
        after = first + dt.timedelta(days=1 if partition == "day" else 31)
    except OverflowError:
        return first, None
    return first, after if partition == "day" else after.replace(day=1)


def _comments(name: str) -> Iterator[str]:
    for field in FIELDS:
        text = field.comment.replace("'", "''")
        yield f"comment on column {name}.{quote(field.name)} is '{text}'"
