"""`centtrack schema`: what it prints goes into other programs as it is."""

import json
import shutil
import subprocess
import sys
from uuid import uuid4

import fastavro
import psycopg
import pytest
from jsonschema import Draft202012Validator

from centtrack.event import COLUMNS
from centtrack.schema import clickhouse, clickhouse_kafka, spark
from centtrack.schema.arrow import event_schema

NAMES = [column.name for column in COLUMNS]
FORMS = ("json-schema", "arrow", "avro", "postgresql", "clickhouse", "spark", "markdown")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_names_every_column_and_says_nothing_else(cli, form):
    shown = cli("schema", "--format", form)
    assert (shown.code, shown.err) == (0, "")
    assert [name for name in NAMES if name not in shown.out] == []
    assert shown.out.endswith("\n")
    assert not shown.out.endswith("\n\n")


def test_json_schema_is_one(cli):
    schema = json.loads(cli("schema", "--format", "json-schema").out)
    Draft202012Validator.check_schema(schema)
    assert list(schema["properties"]) == NAMES


def test_avro_is_a_schema_of_avro(cli):
    schema = fastavro.parse_schema(json.loads(cli("schema", "--format", "avro").out))
    assert [field["name"] for field in schema["fields"]] == [*NAMES, "date"]


def test_arrow_has_a_line_for_each_column(cli):
    lines = cli("schema", "--format", "arrow").out.splitlines()
    assert [f"{field.name}: {field.type}" for field in event_schema()] == lines


@pytest.mark.parametrize("partition", [(), ("--partition", "day"), ("--partition", "none")])
def test_postgresql_goes_through_a_pipe(cli, postgresql_url, partition):
    schema = f"test_{uuid4().hex}"
    script = cli("schema", "--format", "postgresql", "--table", "visits", "--schema", schema, *partition).out
    psql = shutil.which("psql") or pytest.skip("needs psql")
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(f"create schema {schema}")
        for _ in range(2):  # the second time for partitions that have become due
            subprocess.run(
                [psql, "--no-psqlrc", "-q", "-v", "ON_ERROR_STOP=1", postgresql_url],
                input=script,
                text=True,
                check=True,
            )
        today = "insert into {}.visits (event_id, schema_version, name, kind, time, time_precision, consent, date) "
        connection.execute(
            today.format(schema) + "values (gen_random_uuid(), 1, 'request', 'document', now(), 'second', '{}', now())"
        )
        connection.execute(f"drop schema {schema} cascade")


def test_clickhouse_has_the_table_and_what_was_asked_for(cli):
    plain = cli("schema", "--format", "clickhouse").out
    assert plain == clickhouse.create_table("event") + ";\n"
    options = ("--table", "visits", "--schema", "web", "--retention", 90, "--kafka", "one:9092,two:9093/events")
    statements = [
        clickhouse.create_table("visits", database="web", retention_days=90),
        *clickhouse_kafka.create_queue("visits", brokers="one:9092,two:9093", topic="events", database="web"),
    ]
    assert cli("schema", "--format", "clickhouse", *options).out == "".join(f"{one};\n" for one in statements)


def test_spark_has_the_table(cli):
    out = cli("schema", "--format", "spark", "--table", "visits", "--schema", "web").out
    assert out == spark.create_table("visits", database="web")


APPLIES = {
    ("--table", "visits"): {"postgresql", "clickhouse", "spark"},
    ("--schema", "web"): {"postgresql", "clickhouse", "spark"},
    ("--partition", "day"): {"postgresql"},
    ("--retention", "90"): {"clickhouse"},
    ("--kafka", "one:9092/events"): {"clickhouse"},
}


@pytest.mark.parametrize("option", APPLIES, ids=lambda option: option[0])
@pytest.mark.parametrize("form", FORMS)
def test_an_option_that_has_no_meaning_is_refused(cli, form, option):
    shown = cli("schema", "--format", form, *option)
    if form in APPLIES[option]:
        assert shown.code == 0
    else:
        assert (shown.code, shown.out) == (2, "")
        assert f"{option[0]} has no meaning with --format {form}" in shown.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--table", 'event"; drop table visits; --'), "a name of"),
        (("--table", "Event"), "a name of"),
        (("--table", ""), "a name of"),
        (("--table", "e" * 64), "a name of"),
        (("--table", "e" * 63), "too long"),
        (("--schema", "a.b"), "a name of"),
        (("--partition", "year"), "--partition"),
    ],
)
def test_what_cannot_be_is_refused(cli, options, message):
    shown = cli("schema", "--format", "postgresql", *options)
    assert (shown.code, shown.out) == (2, "")
    assert message in shown.err


@pytest.mark.parametrize("kafka", ["events", "one/events", "one:9092", "one:9092/", "one:9092/a'b", "one:9092;/a", ""])
def test_a_topic_is_written_with_its_brokers(cli, kafka):
    shown = cli("schema", "--format", "clickhouse", "--kafka", kafka)
    assert (shown.code, shown.out) == (2, "")
    assert "--kafka is written as" in shown.err


@pytest.mark.parametrize("days", [0, -1, 36_501, "x"])
def test_a_retention_is_a_number_of_days(cli, days):
    assert cli("schema", "--format", "clickhouse", "--retention", days).code == 2


def test_without_pyarrow_the_extra_is_named(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "centtrack.schema.arrow", None)
    shown = cli("schema", "--format", "arrow")
    assert (shown.code, shown.out) == (2, "")
    assert "pip install 'centtrack[delta]'" in shown.err
