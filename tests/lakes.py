"""What lies in a lake, read back without the sink."""

from __future__ import annotations

from pathlib import Path

import msgspec
from deltalake import DeltaTable

from centtrack import Event


def events_of(location: str | Path) -> list[Event]:
    """All its events."""
    return [_event(row) for row in DeltaTable(location).to_pyarrow_table().to_pylist()]


def _event(row):
    """The event of a row, whose maps are lists of pairs and whose properties are JSON."""
    date = row.pop("date")
    row["consent"] = dict(row["consent"])
    row["cookies"] = row["cookies"] and dict(row["cookies"])
    row["props"] = row["props"] and msgspec.json.decode(row["props"])
    event = Event(**row)
    assert event.time.date() == date
    return event
