"""The Arrow schema of an event, derived from `Event`, and tables of events. Needs pyarrow."""

from __future__ import annotations

import datetime as dt
import types
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
import pyarrow as pa

from centtrack.event import COLUMNS, Event

_PRIMITIVES: dict[type, pa.DataType] = {
    str: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    dt.datetime: pa.timestamp("us", tz="UTC"),
}


def arrow_type(hint: Any) -> pa.DataType:
    """The Arrow type of a column's Python type. Properties of custom events have several: they become JSON text."""
    if get_origin(hint) in {Union, types.UnionType}:
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Literal:
        return pa.string()
    if get_origin(hint) is dict:
        value = get_args(hint)[1]
        return pa.map_(pa.string(), _PRIMITIVES[value]) if value in _PRIMITIVES else pa.string()
    return _PRIMITIVES[hint]


@cache
def event_schema() -> pa.Schema:
    """Columns of the event, in order, and the `date` that tables are partitioned by."""
    fields = [pa.field(column.name, arrow_type(column.type)) for column in COLUMNS]
    return pa.schema([*fields, pa.field("date", pa.date32())])


def event_table(events: Sequence[Event]) -> pa.Table:
    """Events as an Arrow table."""
    columns: dict[str, list[Any]] = {
        column.name: [_value(getattr(event, column.name), column.name) for event in events] for column in COLUMNS
    }
    columns["date"] = [event.time.date() for event in events]
    return pa.Table.from_pydict(columns, schema=event_schema())


def _value(value: Any, name: str) -> Any:
    if name == "props":
        return None if value is None else msgspec.json.encode(value).decode()
    return list(value.items()) if isinstance(value, dict) else value
