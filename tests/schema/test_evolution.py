"""The schema only grows: what a released version wrote, its tables and its readers' statements stay right.

    .venv/bin/python tests/schema/test_evolution.py

writes down the schema and some events of the version under way, in `released/`. What stands there of a version that
was released is never changed.
"""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import centtrack
from centtrack.event import Event
from centtrack.schema import clickhouse, spark
from centtrack.schema.arrow import event_schema, event_table
from centtrack.schema.avro import event_avro_schema
from centtrack.schema.fields import EVENT_FIELDS, FIELDS
from centtrack.schema.json_schema import event_json_schema
from centtrack.schema.postgresql import create_table

RELEASED = Path(__file__).parent / "released"
VERSIONS = sorted(path.stem for path in RELEASED.glob("*.json"))
CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"

Columns = dict[str, dict[str, Any]]


def columns_now() -> Columns:
    """Each column, with its type in every form."""
    table = event_schema()
    avro = {field["name"]: field["type"] for field in event_avro_schema()["fields"]}
    properties = event_json_schema()["properties"]
    postgresql = dict(re.findall(r'^  "(\w+)" (.+?),$', create_table("event"), re.MULTILINE))
    in_spark = dict(re.findall(r"`(\w+)` ([^`]+?)(?:, (?=`)|$)", spark.columns_ddl()))
    columns = {}
    for field in FIELDS:
        described = dict(properties.get(field.name, {}))
        columns[field.name] = {
            "kind": field.kind,
            "nullable": field.is_nullable,
            "words": described.pop("enum", []),
            "json": {
                key: value for key, value in described.items() if key not in {"default", "description", "examples"}
            },
            "arrow": str(table.field(field.name).type),
            "avro": avro[field.name],
            "postgresql": postgresql[field.name],
            "clickhouse": clickhouse.column_type(field),
            "spark": in_spark[field.name],
        }
    return columns


def breaks(older: Columns, newer: Columns) -> Iterator[str]:
    """What of a newer schema isn't additive."""
    for name, before in older.items():
        after = newer.get(name)
        if after is None:
            yield f"{name} was removed or renamed"
            continue
        for key in before.keys() - {"words", "nullable"}:
            if before[key] != after[key]:
                yield f"{name}: {key} was {before[key]}, is {after[key]}"
        if before["nullable"] != after["nullable"]:
            yield f"{name} may {'no longer' if before['nullable'] else 'now'} be empty"
        if lost := set(before["words"]) - set(after["words"]):
            yield f"{name} may no longer be {', '.join(sorted(lost))}"
        if after["words"] and not before["words"]:
            yield f"{name} may no longer be any text"
    yield from (f"{name} is new, and may not be empty" for name in newer.keys() - older if not newer[name]["nullable"])


def recorded(version: str) -> Columns:
    return json.loads((RELEASED / f"{version}.json").read_text(encoding="utf-8"))


def events_of(version: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RELEASED / f"{version}.jsonl").read_text(encoding="utf-8").splitlines()]


def events_now() -> list[Event]:
    """One with every column, one with as few as may be, one custom event, one with odd letters."""
    full = msgspec.convert({field.name: field.example for field in EVENT_FIELDS}, Event)
    ids = [f"6a1f0c52-93de-4d2b-8f0e-{number:012d}" for number in range(4)]
    props = {"plan": "casco", "months": 12, "share": 0.5, "renewed": True}
    return [
        msgspec.structs.replace(full, event_id=ids[0], props=None),
        Event(event_id=ids[1], time=full.time, time_precision="day"),
        msgspec.structs.replace(full, event_id=ids[2], name="bought", props=props, cookies=None, consent={}),
        msgspec.structs.replace(full, event_id=ids[3], city="Қостанай 🐫 \"'\\\n", status=None, response_bytes=2**40),
    ]


# What is written down.


def test_the_version_under_way_is_written_down():
    assert recorded(centtrack.__version__) == columns_now(), f"run `.venv/bin/python {Path(__file__).name}`"
    assert events_of(centtrack.__version__) == msgspec.to_builtins(events_now())


def test_every_version_of_the_changelog_is_written_down():
    versions = re.findall(r"^## \[(\d[^]]*)\]", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(versions) == set(VERSIONS)
    assert {path.stem for path in RELEASED.glob("*.jsonl")} == set(VERSIONS)


# Growth, and nothing else.


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_has_only_grown(version):
    assert list(breaks(recorded(version), columns_now())) == []


def removed(columns: Columns) -> None:
    del columns["city"]


def renamed(columns: Columns) -> None:
    columns["town"] = columns.pop("city")


def retyped(columns: Columns) -> None:
    columns["status"] = columns["path"]


def retyped_in(form: str) -> Callable[[Columns], None]:
    def mutate(columns: Columns) -> None:
        columns["status"][form] = columns["path"][form]

    mutate.__name__ = f"retyped_in_{form}"
    return mutate


def no_longer_empty(columns: Columns) -> None:
    columns["city"]["nullable"] = False


def now_empty(columns: Columns) -> None:
    columns["event_id"]["nullable"] = True


def fewer_words(columns: Columns) -> None:
    columns["kind"]["words"].remove("asset")


def words_for_any_text(columns: Columns) -> None:
    columns["channel"]["words"] = ["direct", "search"]


def new_and_required(columns: Columns) -> None:
    columns["shoe_size"] = {**columns["status"], "nullable": False}


FORMS = ("json", "arrow", "avro", "postgresql", "clickhouse", "spark")
BREAKING = [removed, renamed, retyped, *map(retyped_in, FORMS), no_longer_empty, now_empty]
BREAKING += [fewer_words, words_for_any_text, new_and_required]


@pytest.mark.parametrize("mutate", BREAKING, ids=lambda mutate: mutate.__name__)
def test_what_would_break_is_found(mutate):
    columns = columns_now()
    older = copy.deepcopy(columns)
    mutate(columns)
    assert list(breaks(older, columns)) != []


def new_column(columns: Columns) -> None:
    columns["shoe_size"] = columns["status"]


def another_word(columns: Columns) -> None:
    columns["kind"]["words"].append("feed")


@pytest.mark.parametrize("mutate", [new_column, another_word], ids=lambda mutate: mutate.__name__)
def test_growth_is_allowed(mutate):
    columns = columns_now()
    older = copy.deepcopy(columns)
    mutate(columns)
    assert older != columns
    assert list(breaks(older, columns)) == []


# Events of older versions.

STORED = [(version, number) for version in VERSIONS for number in range(len(events_of(version)))]


@pytest.mark.parametrize(("version", "number"), STORED)
def test_events_of_a_released_version_are_read_unchanged(version, number):
    stored = events_of(version)[number]
    event = msgspec.json.decode(json.dumps(stored), type=Event)
    read = msgspec.to_builtins(event)
    assert {name: read[name] for name in stored} == stored
    assert all(read[name] is None for name in read.keys() - stored)
    assert event_table([event]).num_rows == 1


@pytest.mark.parametrize("name", [field.name for field in EVENT_FIELDS if field.is_nullable])
def test_a_column_that_an_older_version_did_not_have_is_empty(name):
    stored = msgspec.to_builtins(events_now()[0])
    del stored[name]
    assert getattr(msgspec.json.decode(json.dumps(stored), type=Event), name) is None


def test_a_column_that_only_a_newer_version_has_is_passed_over():
    [event, *_] = events_now()
    stored = {**msgspec.to_builtins(event), "shoe_size": 43, "schema_version": 2}
    assert msgspec.json.decode(json.dumps(stored), type=Event) == msgspec.structs.replace(event, schema_version=2)


def write_down() -> None:
    if f"## [{centtrack.__version__}] - unreleased" not in CHANGELOG.read_text(encoding="utf-8"):
        sys.exit(f"{centtrack.__version__} was released: give the version under way its own number first")
    version = RELEASED / centtrack.__version__
    text = json.dumps(columns_now(), indent=1, ensure_ascii=False)
    version.with_name(f"{version.name}.json").write_text(f"{text}\n", encoding="utf-8")
    version.with_name(f"{version.name}.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(events_now()))


if __name__ == "__main__":
    write_down()
    sys.stdout.write(f"the schema of {centtrack.__version__} is written down\n")
