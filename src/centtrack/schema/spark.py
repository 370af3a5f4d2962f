"""A table of events in Spark SQL, as the lake has it."""

from __future__ import annotations

from centtrack.schema.fields import FIELDS, Field, Kind

_TYPES: dict[Kind, str] = {
    "text": "string",
    "integer": "bigint",
    "number": "double",
    "boolean": "boolean",
    "time": "timestamp",
    "date": "date",
    "text_map": "map<string, string>",
    "integer_map": "map<string, bigint>",
    "json": "string",
}


def create_table(table: str, *, database: str | None = None) -> str:
    """The statement that makes a table of Delta Lake. Its columns may all be empty, as those of the lake are.

    Args:
        table: its name.
        database: where it is; the session's own if None.
    """
    name = f"{quote(database)}.{quote(table)}" if database else quote(table)
    columns = ",\n".join(f"  {_column(field)} comment {_literal(field.comment)}" for field in FIELDS)
    # Else least and greatest values stand in the table's log, where no deletion of rows reaches them.
    properties = "tblproperties ('delta.dataSkippingStatsColumns' = 'time')"
    return f"create table if not exists {name} (\n{columns}\n)\nusing delta\npartitioned by (`date`)\n{properties};\n"


def columns_ddl() -> str:
    """Names and types, as `spark.read.schema()` takes them."""
    return ", ".join(map(_column, FIELDS))


def quote(identifier: str) -> str:
    """A name as Spark takes it, whatever it holds."""
    doubled = identifier.replace("`", "``")
    return f"`{doubled}`"


def _column(field: Field) -> str:
    return f"{quote(field.name)} {_TYPES[field.kind]}"


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
