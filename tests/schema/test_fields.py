"""What the catalogue says of each column is so."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from centtrack.capture.coarser import reduce_columns
from centtrack.event import COLUMNS, Event
from centtrack.policy import PrivacyPolicy
from centtrack.policy.limits import FINEST, LEVELS
from centtrack.schema.fields import DATE, EVENT_FIELDS, FIELDS, missing_fields

EXAMPLES = {field.name: field.example for field in EVENT_FIELDS}
KINDS = {
    "text": str, "integer": int, "number": float, "boolean": bool, "time": dt.datetime, "text_map": dict,
    "integer_map": dict, "json": dict,
}  # fmt: skip


def test_the_columns_are_those_of_the_event_and_the_date():
    assert [field.name for field in FIELDS] == [*(column.name for column in COLUMNS), "date"]
    assert [field.name for field in FIELDS if field.is_derived] == ["date"]


def test_the_examples_make_an_event():
    event = msgspec.convert(EXAMPLES, Event)
    for field in EVENT_FIELDS:
        value = getattr(event, field.name)
        assert type(value) is KINDS[field.kind], field.name
        assert value not in ("", {}), field.name
    assert dt.date.fromisoformat(str(DATE.example)) == event.time.date()


@pytest.mark.parametrize("field", EVENT_FIELDS, ids=lambda field: field.name)
def test_what_may_be_empty_is_said(field):
    if field.is_nullable:
        assert getattr(msgspec.convert({**EXAMPLES, field.name: None}, Event), field.name) is None
    else:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({**EXAMPLES, field.name: None}, Event)


POLICY = PrivacyPolicy.parse(f'[page]\nquery_keys = ["{EXAMPLES["query"].partition("=")[0]}"]')


@pytest.mark.parametrize("level", [level for kind in LEVELS.values() for level in kind], ids=repr)
def test_a_column_is_filled_from_its_level_on(level):
    [limit] = [name for name, kind in LEVELS.items() if isinstance(level, kind)]
    under_it = [field for field in EVENT_FIELDS if field.limit == limit]
    event = msgspec.convert(EXAMPLES, Event)
    reduced = reduce_columns(event, FINEST.model_copy(update={limit: level}), POLICY)
    values = {field.name: reduced.get(field.name, getattr(event, field.name)) for field in under_it}
    labels = type(level).labels()
    expected = {field.name for field in under_it if labels.index(field.level) <= level}
    assert {name for name, value in values.items() if value is not None} == expected


def test_missing_fields_are_those_that_a_table_lacks():
    names = {field.name for field in FIELDS}
    assert missing_fields(names) == []
    assert [field.name for field in missing_fields(names - {"props", "city"} | {"other"})] == ["city", "props"]
