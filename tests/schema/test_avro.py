"""Events through Avro and back, with a library of others."""

from __future__ import annotations

import copy
import datetime as dt
import io

import fastavro
import msgspec
from hypothesis import given

from centtrack.event import Event
from centtrack.schema.avro import event_avro_schema
from centtrack.schema.fields import EVENT_FIELDS, FIELDS
from centtrack.testing import make_event
from strategies import observations

SCHEMA = fastavro.parse_schema(event_avro_schema())
EXAMPLE = msgspec.convert({field.name: field.example for field in EVENT_FIELDS}, Event)


def record_of(event):
    return {**msgspec.structs.asdict(event), "date": event.time.date()}


def written(records, schema=SCHEMA):
    file = io.BytesIO()
    fastavro.writer(file, schema, records)
    file.seek(0)
    return file


def test_events_come_back_as_they_were():
    props = {"plan": "casco", "months": 12, "share": 0.5, "whole": 2.0, "renewed": True}
    event = msgspec.structs.replace(EXAMPLE, props=props)
    records = [record_of(one) for one in (event, make_event(), make_event(response_bytes=2**62, city="Қостанай 🐫"))]
    back = list(fastavro.reader(written(records)))
    assert back == records
    assert {key: type(value) for key, value in back[0]["props"].items()} == {
        key: type(value) for key, value in props.items()
    }
    assert back[0]["time"].tzinfo is not None
    assert type(back[0]["date"]) is dt.date


@given(seen=observations())
def test_every_event_can_be_written(capture_of, seen):
    event = capture_of("cent").capture(seen)
    [back] = fastavro.reader(written([record_of(event)]))
    assert back == record_of(event)


def test_what_may_be_empty_is_so_by_default():
    for field, made in zip(FIELDS, event_avro_schema()["fields"], strict=True):
        assert (isinstance(made["type"], list) and made["type"][0] == "null") is field.is_nullable
        assert ("default" in made) is field.is_nullable


def test_a_file_of_an_older_version_is_read_by_this_schema():
    older = copy.deepcopy(event_avro_schema())
    older["fields"] = [field for field in older["fields"] if field["name"] not in {"city", "props", "cookies"}]
    file = written([record_of(EXAMPLE)], fastavro.parse_schema(older))
    [back] = fastavro.reader(file, reader_schema=event_avro_schema())
    assert back == {**record_of(EXAMPLE), "city": None, "props": None, "cookies": None}
