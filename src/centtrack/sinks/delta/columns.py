"""Columns of a lake: tables of older versions get the ones that are new, tables of others are left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import deltalake
import pyarrow as pa

from centtrack.schema.arrow import event_schema
from centtrack.schema.fields import DATE, FIELDS

if TYPE_CHECKING:
    from deltalake import DeltaTable

_STATISTICS = "delta.dataSkippingStatsColumns"
STATISTICS = {_STATISTICS: "time"}
_SPARK_REFUSES = "date,time"  # what tables were made with before: it takes no column there that parts a table

_NEEDED = {field.name for field in FIELDS if not field.is_nullable}


def columns_of(table: DeltaTable) -> pa.Schema:
    """The columns of a table."""
    return pa.schema(table.schema().to_arrow())


def find_difference(table: DeltaTable) -> str | None:
    """Why events can't be written to a table; None if they can, once the missing columns are added."""
    there, ours = columns_of(table), event_schema()
    if missing := sorted(_NEEDED - set(there.names)):
        return f"it has no column {missing[0]}"
    if other := [
        field.name for field in ours if field.name in there.names and there.field(field.name).type != field.type
    ]:
        return f"it has another type in column {other[0]}"
    if strict := [field.name for field in there if field.name not in ours.names and not field.nullable]:
        return f"it has a column {strict[0]}, which may not be empty"
    if DATE.name not in table.metadata().partition_columns:
        return f"it is not partitioned by {DATE.name}"
    return None


def missing_columns(table: DeltaTable) -> list[str]:
    """Names of the columns that events have and a table has not."""
    there = set(columns_of(table).names)
    return [name for name in event_schema().names if name not in there]


def add_missing_columns(table: DeltaTable) -> None:
    """Add the columns that an older version didn't know; they are empty in its rows. Does nothing if there are none."""
    if missing := missing_columns(table):
        new = pa.schema([event_schema().field(name) for name in missing])
        table.alter.add_columns(deltalake.Schema.from_arrow(new).fields)


def fitted(events: pa.Table, table: DeltaTable) -> pa.Table:
    """Events with an empty column for each that a newer version added to the table meanwhile."""
    for field in columns_of(table):
        if field.name not in events.column_names:
            events = events.append_column(field, pa.nulls(len(events), field.type))
    return events


def keep_log_impersonal(table: DeltaTable) -> None:
    """Let no values of events into the table's log, where no deletion of rows reaches them, unless it says otherwise.

    Without this property the smallest and the largest value of the first 32 columns are noted there.
    """
    if table.metadata().configuration.get(_STATISTICS, _SPARK_REFUSES) == _SPARK_REFUSES:
        table.alter.set_table_properties(STATISTICS)
