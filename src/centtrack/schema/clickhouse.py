"""A table of events in ClickHouse. One statement each, since the server takes one in a call."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from centtrack.schema.fields import DATE, FIELDS, Field, Kind, missing_fields

_TYPES: dict[Kind, str] = {
    "text": "String",
    "integer": "Int64",
    "number": "Float64",
    "boolean": "Bool",
    "time": "DateTime64(6, 'UTC')",
    "date": "Date",
    "text_map": "Map(LowCardinality(String), LowCardinality(String))",
    "integer_map": "Map(LowCardinality(String), Int64)",
    "json": "String",  # a JSON type came with version 25.3 only; JSONExtract reads this one
}
_MANY_VALUES = {"path", "query", "referrer_path", "utm_term", "utm_content", "ip_network", "visitor_id"}
# A day has 16 bits: what goes beyond them begins anew in 1970, also the day after which a row is deleted.
FIRST_DAY, LAST_DAY = dt.date(1970, 1, 1), dt.date(2149, 6, 6)
MAX_RETENTION_DAYS = 36_500
WINDOW = 10_000  # inserts whose tokens are remembered; a plain table remembers none by itself


def create_table(table: str, *, database: str | None = None, retention_days: int | None = None) -> str:
    """The statement that makes the table.

    A batch that is sent again is recognised by its token, within the window; later than that, or over Kafka, events
    come twice until parts are merged, which leaves one row for a key. So the key has nothing that changes when what
    waits is reduced again under a stricter policy: not the time, but the day.

    Args:
        table: its name.
        database: where it is; the connection's own if None.
        retention_days: days after which rows are deleted, `MAX_RETENTION_DAYS` at most.
    """
    columns = ",\n".join(f"  {quote(field.name)} {column_type(field)}{_details(field)}" for field in FIELDS)
    ttl = f"\nttl date + toIntervalDay({retention_days:d})" if retention_days is not None else ""
    return (
        f"create table if not exists {table_name(table, database)} (\n{columns}\n)\n"
        "engine = ReplacingMergeTree\n"
        "partition by toYYYYMM(date)\n"
        f"order by (date, name, kind, event_id){ttl}\n"
        f"settings non_replicated_deduplication_window = {WINDOW}"
    )


def add_missing_columns(table: str, present: Collection[str], *, database: str | None = None) -> list[str]:
    """Statements that bring a table of an older version up to this one.

    Args:
        table: its name.
        present: the columns that it has.
        database: where it is; the connection's own if None.
    """
    name = table_name(table, database)
    return [
        f"alter table {name} add column if not exists {quote(field.name)} {column_type(field)}{_details(field)}"
        for field in missing_fields(set(present))
    ]


def column_type(field: Field) -> str:
    """The type of a column. A map can't be null there: one that is, is stored as an empty one."""
    if field.name == "event_id":
        return "UUID"
    kind = _TYPES[field.kind]
    if field.is_nullable and not kind.startswith("Map("):
        kind = f"Nullable({kind})"
    return f"LowCardinality({kind})" if field.kind == "text" and field.name not in _MANY_VALUES else kind


def table_name(table: str, database: str | None = None) -> str:
    """The quoted name of a table."""
    return f"{quote(database)}.{quote(table)}" if database else quote(table)


def quote(identifier: str) -> str:
    """A name as ClickHouse takes it, whatever it holds."""
    escaped = identifier.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def literal(text: str) -> str:
    """A text as ClickHouse takes it, whatever it holds."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _details(field: Field) -> str:
    default = " default toDate(time)" if field is DATE else ""
    return f"{default} comment {literal(field.comment)}"
