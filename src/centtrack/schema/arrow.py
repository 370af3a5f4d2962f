"""The Arrow schema of an event, and tables of events. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa

from centtrack.event import Event
from centtrack.schema.fields import DATE, EVENT_FIELDS, FIELDS, Kind

_TYPES: dict[Kind, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "text_map": pa.map_(pa.string(), pa.string()),
    "integer_map": pa.map_(pa.string(), pa.int64()),
    "json": pa.string(),
}
_MAPS = {"text_map", "integer_map"}
_ROWS = 1_000  # taken apart at once: as many as stay in a core's cache while column after column is read from them
_encode = msgspec.json.Encoder().encode


@cache
def event_schema() -> pa.Schema:
    """Columns of the event, in order, and the `date` that tables are partitioned by. All may be empty, as lakes are."""
    return pa.schema([pa.field(field.name, _TYPES[field.kind]) for field in FIELDS])


def with_all_columns(schema: pa.Schema) -> pa.Schema:
    """A table's schema, and behind it the columns that a table of an older version lacks."""
    present = set(schema.names)
    return pa.schema([*schema, *(field for field in event_schema() if field.name not in present)])


def event_table(events: Sequence[Event]) -> pa.Table:
    """Events as an Arrow table."""
    return join_parts(events[first : first + _ROWS] for first in range(0, len(events), _ROWS))


def join_parts(parts: Iterable[Sequence[Event]]) -> pa.Table:
    """Events as an Arrow table, taken apart some hundred at a time: `event_table` for what is only being decoded."""
    return pa.Table.from_batches([_record_batch(part) for part in parts], event_schema())


def _record_batch(events: Sequence[Event]) -> pa.RecordBatch:
    arrays = [_array(list(map(attrgetter(field.name), events)), field.kind) for field in EVENT_FIELDS]
    arrays.append(pa.array([event.time.date() for event in events], _TYPES[DATE.kind]))
    return pa.RecordBatch.from_arrays(arrays, schema=event_schema())


def _array(values: list[Any], kind: Kind) -> pa.Array:
    if kind in _MAPS:
        return _map_array(values, _TYPES[kind])
    if kind == "json":
        values = [None if value is None else _encode(value).decode() for value in values]
    return pa.array(values, _TYPES[kind])


def _map_array(maps: Sequence[Mapping[str, object] | None], kind: pa.MapType) -> pa.Array:
    """Keys and values each in one array: as lists of pairs they keep the garbage collector busy."""
    filled = [one for one in maps if one]
    ends = list(accumulate((len(one or ()) for one in maps), initial=0))
    offsets: list[int | None] = [*ends[:-1]]
    if None in maps:
        offsets = [None if one is None else end for one, end in zip(maps, offsets, strict=True)]
    keys = list(chain.from_iterable(filled))
    items = list(chain.from_iterable(one.values() for one in filled))
    return pa.MapArray.from_arrays(
        pa.array([*offsets, ends[-1]], pa.int32()), pa.array(keys, kind.key_type), pa.array(items, kind.item_type)
    )
