"""The statements for PostgreSQL, on a real one."""

from __future__ import annotations

import datetime as dt
import json
from uuid import uuid4

import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.errors import ConfigurationError
from centtrack.event import Event
from centtrack.schema.fields import EVENT_FIELDS, FIELDS
from centtrack.schema.postgresql import (
    add_missing_columns,
    create_table,
    partition_statement,
    partitions_due,
    quote,
)
from centtrack.testing import make_event

TODAY = dt.date(2026, 12, 31)
EXAMPLE = msgspec.convert({field.name: field.example for field in EVENT_FIELDS}, Event)


@pytest.fixture
def database(postgresql_url):
    """A connection whose schema of its own is gone at the end."""
    schema = f"test_{uuid4().hex}"
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(f"create schema {schema}")
        connection.execute(f"set search_path = {schema}")
        connection.schema = schema
        yield connection
        connection.execute(f"drop schema {schema} cascade")


def insert(database, event, table="event"):
    values = {**msgspec.structs.asdict(event), "date": event.time.date()}
    for field in FIELDS:
        if isinstance(values[field.name], dict):
            values[field.name] = json.dumps(values[field.name])
    marks = ", ".join(f"%({name})s" for name in values)
    names = ", ".join(quote(name) for name in values)
    database.execute(f"insert into {quote(table)} ({names}) values ({marks}) on conflict do nothing", values)


def stored(database, table="event"):
    cursor = database.execute(f"select * from {quote(table)}")
    names = [column.name for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    for row in rows:
        del row["date"]
    return [msgspec.convert({**row, "event_id": str(row["event_id"])}, Event) for row in rows]


def tables(database):
    found = database.execute("select tablename from pg_tables where schemaname = %s", [database.schema])
    return sorted(name for (name,) in found)


@pytest.mark.parametrize("partition", ["month", "day", "none"])
def test_events_are_stored_once_in_it(database, partition):
    script = create_table("event", schema=database.schema, partition=partition)
    database.execute(script)
    for statement in partitions_due("event", database.schema, partition, EXAMPLE.time.date()):
        database.execute(statement)
    for event in (EXAMPLE, EXAMPLE, plain := make_event()):
        insert(database, event)
    assert sorted(stored(database), key=str) == sorted([EXAMPLE, plain], key=str)


@pytest.mark.parametrize("partition", ["month", "day", "none"])
def test_to_run_it_again_changes_nothing(database, partition):
    for _ in range(2):
        database.execute(create_table("event", schema=database.schema, partition=partition))
        for statement in partitions_due("event", database.schema, partition, TODAY):
            database.execute(statement)
    assert len(tables(database)) == {"month": 3, "day": 9, "none": 1}[partition]


def test_the_partitions_that_are_due(database):
    database.execute(create_table("event", schema=database.schema))
    for statement in partitions_due("event", database.schema, "month", TODAY):
        database.execute(statement)
    assert tables(database) == ["event", "event_2026_12", "event_2027_01"]


@given(day=st.dates(), partition=st.sampled_from(["month", "day"]))
def test_a_partition_holds_its_day(day, partition):
    statement = partition_statement("event", "public", partition, day)
    first, after = (part.partition(")")[0].strip("'") for part in statement.split("(")[1:])
    assert first <= str(day)
    assert after == "maxvalue" or str(day) < after


@pytest.mark.parametrize("day", [dt.date.min, dt.date(1970, 1, 1), dt.date(2028, 2, 29), dt.date.max])
@pytest.mark.parametrize("partition", ["month", "day"])
def test_partitions_for_any_day(database, partition, day):
    database.execute(create_table("event", schema=database.schema, partition=partition))
    database.execute(partition_statement("event", database.schema, partition, day))
    insert(database, msgspec.structs.replace(EXAMPLE, time=dt.datetime.combine(day, dt.time(1), dt.UTC)))
    assert len(stored(database)) == 1


def test_a_span_of_time_is_found_by_the_index(database):
    database.execute(create_table("event", schema=database.schema, partition="none"))
    indexes = database.execute("select indexdef from pg_indexes where schemaname = %s", [database.schema])
    assert [text for (text,) in indexes if 'USING brin (date, "time")' in text]


def test_columns_say_what_they_are(database):
    database.execute(create_table("event", schema=database.schema))
    comments = (
        "select column_name, col_description('event'::regclass, ordinal_position) from information_schema.columns"
    )
    found = dict(database.execute(f"{comments} where table_schema = %s", [database.schema]))
    assert found == {field.name: field.comment for field in FIELDS}


@pytest.mark.parametrize("partition", ["month", "none"])
def test_a_table_of_an_older_version_is_brought_up(database, partition):
    newer = {"city", "props", "cookies", "bot"}
    script = create_table("event", schema=database.schema, partition=partition)
    lines = [line for line in script.splitlines() if not any(f'"{name}"' in line for name in newer)]
    database.execute("\n".join(lines))
    for statement in partitions_due("event", database.schema, partition, EXAMPLE.time.date()):
        database.execute(statement)
    older = msgspec.structs.replace(EXAMPLE, event_id=str(uuid4()), **dict.fromkeys(newer))
    present = {field.name for field in FIELDS} - newer
    for _ in range(2):  # two hosts find the same columns missing
        for statement in add_missing_columns("event", present, schema=database.schema):
            database.execute(statement)
    insert(database, EXAMPLE)
    insert(database, older)
    assert sorted(stored(database), key=str) == sorted([EXAMPLE, older], key=str)
    assert add_missing_columns("event", {field.name for field in FIELDS}) == []


HOSTILE = ['event"; drop table visits; --', "Event", "order", "a b", "ә", "'", "%s", "${x}"]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_a_name_and_nothing_else(database, name):
    database.execute("create table visits ()")
    database.execute(create_table(name, schema=database.schema).encode())
    for statement in partitions_due(name, database.schema, "month", EXAMPLE.time.date()):
        database.execute(statement.encode())
    assert name in tables(database)
    assert "visits" in tables(database)


def test_a_name_that_would_be_cut_is_refused():
    """Two partitions would have one name, and the second would never be made."""
    create_table("e" * 52)
    partition_statement("e" * 52, "public", "day", TODAY)
    with pytest.raises(ConfigurationError, match="too long"):
        partition_statement("e" * 53, "public", "day", TODAY)
    with pytest.raises(ConfigurationError, match="too long"):
        create_table("e" * 60)
