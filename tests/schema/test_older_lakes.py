"""A lake that another version made: events go into it, and are read out of it."""

from __future__ import annotations

import json
from pathlib import Path

import deltalake
import msgspec
import pyarrow as pa
import pytest

from centtrack.event import Event
from centtrack.reports.lake import fetch, open_lake
from centtrack.reports.report import make_report
from centtrack.schema.arrow import event_schema, event_table
from centtrack.schema.fields import EVENT_FIELDS
from centtrack.sinks import open_sink
from centtrack.testing import make_event

RELEASED = Path(__file__).parent / "released"
VERSIONS = sorted(path.stem for path in RELEASED.glob("*.json"))
EXAMPLE = msgspec.convert({field.name: field.example for field in EVENT_FIELDS}, Event)
NEWER = {"city", "props", "cookies", "bot"}


def make_lake(folder, names):
    """A lake with these columns only, and an event in it."""
    schema = pa.schema([field for field in event_schema() if field.name in names])
    deltalake.DeltaTable.create(folder, schema=deltalake.Schema.from_arrow(schema), partition_by=["date"])
    deltalake.write_deltalake(folder, event_table([EXAMPLE]).select(schema.names), mode="append")
    return f"delta:{folder}"


def stored(url):
    rows = fetch(open_lake(url), "from events").to_pylist()
    for row in rows:
        del row["date"]
        row["consent"] = dict(row["consent"])
        row["cookies"] = row["cookies"] and dict(row["cookies"])
        row["props"] = row["props"] and json.loads(row["props"])
    return [msgspec.convert(row, Event) for row in rows]


@pytest.mark.parametrize("version", VERSIONS)
def test_events_go_into_the_lake_of_any_released_version(tmp_path, version):
    names = set(json.loads((RELEASED / f"{version}.json").read_text(encoding="utf-8")))
    url = make_lake(tmp_path / "lake", names)
    lines = (RELEASED / f"{version}.jsonl").read_bytes()
    older = msgspec.json.Decoder(Event).decode_lines(lines)
    sink = open_sink(url)
    sink.open()
    sink.write(older)
    assert len(stored(url)) == 1 + len(older)


def test_events_go_into_a_lake_with_fewer_columns(tmp_path):
    url = make_lake(tmp_path / "lake", set(event_schema().names) - NEWER)
    older = msgspec.structs.replace(EXAMPLE, **dict.fromkeys(NEWER))
    sink = open_sink(url)
    sink.open()
    new = [make_event(**{name: getattr(EXAMPLE, name) for name in NEWER}), make_event()]
    sink.write(new[:1])
    sink.write(new[1:])
    assert {event.event_id: event for event in stored(url)} == {event.event_id: event for event in [older, *new]}


def test_events_go_into_a_lake_with_more_columns(tmp_path):
    """A host that wasn't upgraded yet, beside one that was."""
    url = make_lake(tmp_path / "lake", set(event_schema().names))
    table = deltalake.DeltaTable(tmp_path / "lake")
    table.alter.add_columns(deltalake.Field("shoe_size", "long"))
    sink = open_sink(url)
    sink.open()
    sink.write([event := make_event()])
    rows = fetch(open_lake(url), "select event_id, shoe_size from events").to_pylist()
    assert {row["event_id"] for row in rows} == {EXAMPLE.event_id, event.event_id}
    assert {row["shoe_size"] for row in rows} == {None}


def test_a_lake_with_fewer_columns_is_read(tmp_path):
    """Reports ask for columns that it doesn't have: they are empty."""
    url = make_lake(tmp_path / "lake", set(event_schema().names) - NEWER)
    assert stored(url) == [msgspec.structs.replace(EXAMPLE, **dict.fromkeys(NEWER))]
    assert make_report(open_lake(url)).events == 1
