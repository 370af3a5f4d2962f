"""The JSON Schema takes every event that there can be, and says what a decoder says of what is none."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from jsonschema import Draft202012Validator, FormatChecker

from centtrack.event import Event
from centtrack.schema.fields import EVENT_FIELDS
from centtrack.schema.json_schema import event_json_schema
from centtrack.testing import make_event
from strategies import observations

SCHEMA = event_json_schema()
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FormatChecker())


def test_it_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)
    assert list(SCHEMA["properties"]) == [field.name for field in EVENT_FIELDS]
    assert all(field["description"] and field["examples"] for field in SCHEMA["properties"].values())


@given(seen=observations())
def test_every_event_is_valid(capture_of, seen):
    VALIDATOR.validate(msgspec.to_builtins(capture_of("cent").capture(seen)))


def test_its_examples_are_valid():
    VALIDATOR.validate({field.name: field.example for field in EVENT_FIELDS})


@pytest.mark.parametrize(
    ("change", "is_valid"),
    [
        ({}, True),
        ({"props": {"plan": "casco", "n": 1.5, "ok": True}}, True),
        ({"shoe_size": 43}, True),  # from a newer version
        ({"kind": "feed"}, False),
        ({"status": "200"}, False),
        ({"event_id": None}, False),
        ({"consent": None}, False),
        ({"cookies": {"analytics": "1"}}, False),
        ({"props": {"plan": ["casco"]}}, False),
    ],
    ids=str,
)
def test_it_agrees_with_the_decoder(change, is_valid):
    data = {**msgspec.to_builtins(make_event()), **change}
    assert VALIDATOR.is_valid(data) is is_valid
    try:
        msgspec.convert(data, Event)
    except msgspec.ValidationError:
        assert not is_valid
    else:
        assert is_valid


@pytest.mark.parametrize("name", ["event_id", "time", "time_precision"])
def test_what_has_to_be_there(name):
    data = msgspec.to_builtins(make_event())
    del data[name]
    assert not VALIDATOR.is_valid(data)
