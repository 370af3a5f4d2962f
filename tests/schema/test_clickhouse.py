"""The statements for ClickHouse, in its engine: chdb, in a process of its own, since it can't be forked."""

from __future__ import annotations

import datetime as dt
import json
from uuid import uuid4

import msgspec
import pytest

from centtrack.event import Event
from centtrack.schema.clickhouse import LAST_DAY, MAX_RETENTION_DAYS, add_missing_columns, create_table
from centtrack.schema.clickhouse_kafka import create_queue
from centtrack.schema.fields import EVENT_FIELDS, FIELDS
from centtrack.testing import make_event
from processes import python

EXAMPLE = msgspec.convert({field.name: field.example for field in EVENT_FIELDS}, Event)
PROPS = {"plan": "casco", "months": 12, "share": 0.5, "renewed": True}
ENGINE = """
import json, sys
from chdb.session import Session

with Session(sys.argv[1]) as session:
    for line in sys.stdin:
        try:
            answer = session.query(json.loads(line), "JSONEachRow").bytes().decode()
        except RuntimeError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
"""


class EngineError(Exception):
    """What the engine said."""


class Engine:
    def __init__(self, process):
        self._process = process
        self.database = f"test_{uuid4().hex}"
        self.run(f"create database {self.database} engine = Atomic")

    def run(self, statement):
        self._process.stdin.write(json.dumps(statement) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if isinstance(answer, dict):
            raise EngineError(answer["error"])
        return [json.loads(line) for line in answer.splitlines()]

    def insert(self, *events, table="event", token=""):
        """As a sink does: the lines of the journal, unchanged."""
        lines = msgspec.json.Encoder().encode_lines(events).decode()
        settings = f"settings date_time_input_format = 'best_effort', insert_deduplication_token = '{token}'"
        self.run(f"insert into {self.database}.{table} {settings} format JSONEachRow {lines}")

    def stored(self, *, final=True):
        rows = self.run(f"select * except (date) from {self.database}.event {'final' if final else ''}")
        return [event_of(row) for row in rows]


def event_of(row):
    """An empty map is one that is empty or isn't there: ClickHouse has no null for maps."""
    props, time = row["props"], dt.datetime.fromisoformat(f"{row['time']}Z")
    row |= {"props": props and json.loads(props), "time": time, "cookies": row["cookies"] or None}
    return msgspec.convert(row, Event)


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with python(ENGINE, tmp_path_factory.mktemp("clickhouse")) as started:
        yield started


@pytest.fixture
def engine(process):
    engine = Engine(process)
    yield engine
    engine.run(f"drop database {engine.database}")


def by_id(events):
    return sorted(events, key=lambda event: event.event_id)


def test_events_are_stored_as_they_are_in_the_journal(engine):
    events = [EXAMPLE, make_event(), make_event(props=PROPS, city="Қостанай 🐫 \"'\\\n", response_bytes=2**62)]
    engine.run(create_table("event", database=engine.database))
    engine.insert(*events)
    assert by_id(engine.stored(final=False)) == by_id(events)


def test_a_batch_that_is_sent_again_changes_nothing(engine):
    engine.run(create_table("event", database=engine.database))
    for _ in range(3):
        engine.insert(EXAMPLE, token="journal/7")
    assert engine.stored(final=False) == [EXAMPLE]


def test_an_event_that_comes_another_way_again_is_left_out_at_the_merge(engine):
    """Also when it was reduced under a stricter policy between the two."""
    engine.run(create_table("event", database=engine.database))
    engine.insert(EXAMPLE, token="journal/7")
    coarser = EXAMPLE.time.replace(hour=0, minute=0)
    reduced = msgspec.structs.replace(
        EXAMPLE, time=coarser, time_precision="day", path=None, city=None, policy_hash="1"
    )
    engine.insert(reduced, token="journal/8")
    assert len(engine.stored(final=False)) == 2
    assert engine.stored() == [reduced]


def test_the_date_is_that_of_the_time_in_utc(engine):
    engine.run(create_table("event", database=engine.database))
    late = dt.datetime(2026, 11, 22, 23, 59, 59, tzinfo=dt.UTC)
    engine.insert(make_event(time=late))
    assert engine.run(f"select date from {engine.database}.event") == [{"date": "2026-11-22"}]


def test_rows_beyond_the_retention_are_deleted(engine):
    engine.run(create_table("event", database=engine.database, retention_days=30))
    now = dt.datetime.now(dt.UTC)
    young = make_event(time=now.replace(microsecond=0))
    engine.insert(young, *(make_event(time=now - dt.timedelta(days=days)) for days in (31, 400)))
    engine.run(f"optimize table {engine.database}.event final")
    assert engine.stored(final=False) == [young]


def test_the_longest_retention_ends_after_today(engine):
    """Days have 16 bits. A longer one would end in the past: the server doesn't say so, and deletes."""
    [row] = engine.run(f"select toDate(today() + toIntervalDay({MAX_RETENTION_DAYS})) > today() as is_later")
    assert row == {"is_later": 1}
    [row] = engine.run(f"select toString(toDate('{LAST_DAY}') + 1) as day")
    assert row == {"day": "1970-01-01"}


def test_without_retention_nothing_is_deleted(engine):
    assert "ttl" not in create_table("event")
    assert "ttl date + toIntervalDay(1)" in create_table("event", retention_days=1)


def test_columns_say_what_they_are(engine):
    for _ in range(2):
        engine.run(create_table("event", database=engine.database))
    found = engine.run(f"select name, comment from system.columns where database = '{engine.database}'")
    assert [(row["name"], row["comment"]) for row in found] == [(field.name, field.comment) for field in FIELDS]


def test_a_table_of_an_older_version_is_brought_up(engine):
    newer = {"city", "props", "cookies", "bot"}
    lines = create_table("event", database=engine.database).splitlines()
    engine.run("\n".join(line for line in lines if not any(f"`{name}`" in line for name in newer)))
    older = msgspec.structs.replace(EXAMPLE, event_id=str(uuid4()), **dict.fromkeys(newer))
    engine.insert(older)
    present = {field.name for field in FIELDS} - newer
    for _ in range(2):  # two hosts find the same columns missing
        for statement in add_missing_columns("event", present, database=engine.database):
            engine.run(statement)
    engine.insert(EXAMPLE)
    assert by_id(engine.stored()) == by_id([EXAMPLE, older])


HOSTILE = ["event`; drop table visits; --", "Event", "order", "a b", "ә", "'", "\\", "\\`"]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_a_name_and_nothing_else(engine, name):
    engine.run(f"create table {engine.database}.visits (n Int8) engine = Memory")
    engine.run(create_table(name, database=engine.database))
    found = engine.run(f"select name from system.tables where database = '{engine.database}'")
    assert {row["name"] for row in found} == {"visits", name}


# From Kafka. chdb has no threads for its Kafka engine, so a table of the same columns stands in for it.


def queue_of(engine, **options):
    return create_queue("event", brokers="127.0.0.1:9092", topic="events", database=engine.database, **options)


def test_the_engine_takes_the_table_on_a_topic(engine):
    with pytest.raises(EngineError, match="Shutdown was called"):  # of its threads: it has taken the statement by then
        engine.run(queue_of(engine, group="o'clock")[0])
    [row] = engine.run(f"select engine_full from system.tables where database = '{engine.database}'")
    assert row["engine_full"].startswith("Kafka SETTINGS kafka_broker_list = '127.0.0.1:9092'")
    assert r"kafka_group_name = 'o\'clock'" in row["engine_full"]


def test_the_view_moves_events_and_passes_over_what_is_none(engine):
    queue, view = queue_of(engine)
    columns = queue.partition("\nengine = Kafka")[0].removesuffix("\n)")
    engine.run(create_table("event", database=engine.database))
    engine.run(f"{columns},\n  _error String) engine = Null")
    engine.run(view)
    event = make_event(props=PROPS, time=EXAMPLE.time)
    engine.insert(EXAMPLE, event, table="event_queue")
    engine.run(f"insert into {engine.database}.event_queue (_error) values ('no JSON'), ('')")
    assert by_id(engine.stored()) == by_id([EXAMPLE, event])


def test_one_view_only_reads_a_topic(engine):
    """Of two, a server that starts may not have found the second when it begins to read: rows would be lost."""
    assert ["materialized view" in statement for statement in queue_of(engine)] == [False, True]
