"""Apache Spark reads the lake, and finds what DuckDB finds; a table that Spark made from our statement takes events."""

from __future__ import annotations

import datetime as dt
import random

import duckdb
import pytest
from deltalake import DeltaTable

from centtrack.schema.spark import create_table
from centtrack.sinks import Batch, open_sink
from centtrack.sinks.delta import sink as delta
from centtrack.testing import make_event
from spark import spark_session

BATCHES, SIZE = 6, 250
FIGURES = [
    "select cast(date as string), count(*) from {lake} group by 1",
    "select country_code, count(*) from {lake} group by 1",
    "select status, count(*), count(distinct event_id) from {lake} group by 1",
    "select consent['analytics'], count(*) from {lake} group by 1",
    "select sum(cookies['necessary']), count(cookies), count(props), count(visitor_id), min(date) = max(date), "
    "extract(hour from max(time)), extract(minute from max(time)) from {lake}",
    'select count(*) from {lake} where bot and props like \'%"plan":"Қостанай"%\'',
    "select count(*), round(sum(duration_ms)) from {lake} where gpc is null and time >= '2026-11-22 13:37:00'",
]


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    with spark_session(tmp_path_factory.mktemp("spark")) as spark:
        yield spark


def events(chance):
    first = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    for _ in range(SIZE):
        yield make_event(
            time=first + dt.timedelta(minutes=chance.randrange(5 * 1_440)),
            country_code=chance.choice(["KZ", "DE", "US", None]),
            status=chance.choice([200, 304, 404, None]),
            duration_ms=chance.choice([1.5, 20.25, None]),
            consent=chance.choice([{}, {"analytics": "given"}, {"analytics": "refused", "marketing": "unknown"}]),
            cookies=chance.choice([None, {}, {"necessary": 2, "session": 1}]),
            props=chance.choice([None, {"plan": "Қостанай", "n": 1.5, "ok": True}]),
            bot=chance.choice([True, False, None]),
        )


@pytest.fixture
def lake(tmp_path, monkeypatch):
    """Several days in many files, some of which were joined."""
    monkeypatch.setattr(delta, "_COMPACT_EVERY", 4)
    chance, sink = random.Random(4711), open_sink(f"delta:{tmp_path}/lake")
    for number in range(BATCHES):
        sink.write(Batch(list(events(chance)), stream="journal/sink", sequence=number))
    return tmp_path / "lake"


def in_order(rows):
    """As text, since the two have types of their own for numbers."""
    return sorted([str(value) for value in row] for row in rows)


def test_spark_finds_what_duckdb_finds(spark, lake):
    files = DeltaTable(lake).file_uris()
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.from_parquet(files, hive_partitioning=True).create_view("lake")
        for question in FIGURES:
            found = in_order(spark.sql(question.format(lake=f"delta.`{lake}`")))
            assert found == in_order(connection.sql(question.format(lake="lake")).fetchall()), question
    assert spark.sql(f"select count(*), count(distinct date) from delta.`{lake}`") == [[BATCHES * SIZE, 5]]


def test_spark_may_change_the_table_of_the_sink(spark, tmp_path):
    """And the sink goes on, from the table as it had it before."""
    sink, lake = open_sink(f"delta:{tmp_path}/lake"), f"delta.`{tmp_path}/lake`"
    sink.write(Batch([make_event(path="/old")], stream="journal/sink", sequence=1))
    spark.sql(f"alter table {lake} set tblproperties ('delta.logRetentionDuration' = 'interval 7 days')")
    for sequence in (1, 2):
        sink.write(Batch([make_event(path="/new")], stream="journal/sink", sequence=sequence))
    assert spark.sql(f"select path from {lake} order by 1") == [["/new"], ["/old"]]


def test_a_table_that_spark_made_takes_events(spark, lake):
    """With the columns of one that the sink made."""
    spark.sql(create_table("made"))
    made, ours = (in_order(row[:2] for row in spark.sql(f"describe {table}")) for table in ("made", f"delta.`{lake}`"))
    assert made == ours
    [[location]] = [row[1:2] for row in spark.sql("describe extended made") if row[0] == "Location"]
    sink = open_sink(f"delta:{location.removeprefix('file:')}")
    sink.open()
    sink.write(Batch([make_event(consent={"analytics": "given"})], stream="journal/sink", sequence=1))
    spark.sql("refresh table made")
    assert spark.sql("select consent['analytics'], count(*) from made group by 1") == [["given", 1]]
