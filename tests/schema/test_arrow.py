"""Events as Arrow tables: every value comes back."""

from __future__ import annotations

import json

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.event import Event
from centtrack.schema.arrow import event_schema, event_table, with_all_columns
from centtrack.schema.fields import EVENT_FIELDS, FIELDS
from centtrack.testing import make_event

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBER = st.integers(-(2**63), 2**63 - 1)
MAPS = {
    "consent": st.dictionaries(TEXT, TEXT, max_size=3),
    "cookies": st.none() | st.dictionaries(TEXT, NUMBER, max_size=3),
    "props": st.none() | st.dictionaries(TEXT, TEXT | NUMBER | st.booleans(), max_size=3),
}
VALUES = {"text": TEXT, "integer": NUMBER, "number": st.floats(allow_nan=False), "boolean": st.booleans()}
COLUMNS = {
    field.name: st.none() | VALUES[field.kind] for field in EVENT_FIELDS if field.is_nullable and field.kind in VALUES
}
EVENTS = st.builds(make_event, **COLUMNS, **MAPS)


def events_of(table):
    rows = table.drop_columns("date").to_pylist(maps_as_pydicts="strict")
    return [msgspec.convert({**row, "props": row["props"] and json.loads(row["props"])}, Event) for row in rows]


@given(events=st.lists(EVENTS, max_size=5))
def test_every_value_comes_back(events):
    table = event_table(events)
    assert events_of(table) == events
    assert table["date"].to_pylist() == [event.time.date() for event in events]
    table.validate(full=True)


def test_the_columns_are_those_of_the_event_and_may_all_be_empty():
    assert event_schema().names == [field.name for field in FIELDS]
    assert all(field.nullable for field in event_schema())
    assert event_table([]).schema == event_schema()


@pytest.mark.parametrize(
    "columns",
    [{"status": 2**63}, {"path": "\ud800"}, {"cookies": {"a": 2**63}}, {"consent": {"a": "\ud800"}}, {"status": "200"}],
    ids=["integer", "text", "integer in a map", "text in a map", "type"],
)
def test_what_no_column_holds_is_an_error_of_the_value(columns):
    with pytest.raises((OverflowError, TypeError, ValueError)):
        event_table([make_event(), make_event(**columns)])


def test_columns_are_added_behind_those_that_are_there():
    schema = pa.schema([("shoe_size", pa.int64()), ("date", pa.date32())])
    complete = with_all_columns(schema)
    assert complete.names[:2] == ["shoe_size", "date"]
    assert set(complete.names) == {"shoe_size", *event_schema().names}
    assert with_all_columns(event_schema()) == event_schema()
