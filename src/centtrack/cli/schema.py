"""`centtrack schema`."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, NamedTuple

import typer

from centtrack.errors import ConfigurationError, MissingExtraError
from centtrack.policy.limits import LEVELS
from centtrack.schema import avro, clickhouse, clickhouse_kafka, json_schema, markdown, postgresql, spark
from centtrack.sinks.url import identifier

_TABLE = "event"
_TOPIC = re.compile(r"(?P<brokers>[\w.-]+:\d+(,[\w.-]+:\d+)*)/(?P<topic>[a-zA-Z0-9._-]{1,249})", re.ASCII)


class Form(StrEnum):
    """What to print."""

    JSON_SCHEMA = "json-schema"
    ARROW = "arrow"
    AVRO = "avro"
    POSTGRESQL = "postgresql"
    CLICKHOUSE = "clickhouse"
    SPARK = "spark"
    MARKDOWN = "markdown"


class _Asked(NamedTuple):
    """The options; None where one wasn't given."""

    table: str | None
    schema: str | None
    partition: postgresql.Partition | None
    retention: int | None
    kafka: str | None


def schema(
    form: Annotated[Form, typer.Option("--format", help="What to print.")],
    table: Annotated[str | None, typer.Option(help=f"The table's name. Default: {_TABLE}.")] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            help="The schema or database of the table. Default: public in PostgreSQL, else the connection's own."
        ),
    ] = None,
    partition: Annotated[
        postgresql.Partition | None,
        typer.Option(help="How PostgreSQL divides the table. Default: month.", show_default=False),
    ] = None,
    retention: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=clickhouse.MAX_RETENTION_DAYS,
            help="Days after which ClickHouse deletes an event. Default: never.",
        ),
    ] = None,
    kafka: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT/TOPIC", help="Where ClickHouse itself reads events; several hosts with commas."
        ),
    ] = None,
) -> None:
    """Print the schema of events, for another program: as a description, or as statements that make a table."""
    asked = _Asked(table, schema, partition, retention, kafka)
    write, applying = _FORMS[form]
    for option, value in asked._asdict().items():
        if value is not None and option not in applying:
            raise ConfigurationError(f"--{option} has no meaning with --format {form}")
    typer.echo(write(asked).rstrip("\n"))


def _json_schema(_: _Asked) -> str:
    return _indented(json_schema.event_json_schema())


def _arrow(_: _Asked) -> str:
    try:
        from centtrack.schema.arrow import event_schema
    except ImportError:
        raise MissingExtraError("The Arrow schema", "delta") from None
    return "\n".join(f"{field.name}: {field.type}" for field in event_schema())


def _avro(_: _Asked) -> str:
    return _indented(avro.event_avro_schema())


def _postgresql(asked: _Asked) -> str:
    table, schema = _table(asked), _schema(asked) or "public"
    partition = asked.partition or "month"
    due = postgresql.partitions_due(table, schema, partition, dt.datetime.now(dt.UTC).date())
    return postgresql.create_table(table, schema=schema, partition=partition) + _statements(due)


def _clickhouse(asked: _Asked) -> str:
    table, database = _table(asked), _schema(asked)
    statements = [clickhouse.create_table(table, database=database, retention_days=asked.retention)]
    if asked.kafka is not None:
        found = _TOPIC.fullmatch(asked.kafka)
        if not found:
            raise ConfigurationError("--kafka is written as HOST:PORT/TOPIC, or HOST:PORT,HOST:PORT/TOPIC")
        statements += clickhouse_kafka.create_queue(table, **found.groupdict(), database=database)
    return _statements(statements)


def _spark(asked: _Asked) -> str:
    return spark.create_table(_table(asked), database=_schema(asked))


def _markdown(_: _Asked) -> str:
    return markdown.write_catalogue({name: kind.labels() for name, kind in LEVELS.items()})


_FORMS: dict[Form, tuple[Callable[[_Asked], str], set[str]]] = {
    Form.JSON_SCHEMA: (_json_schema, set()),
    Form.ARROW: (_arrow, set()),
    Form.AVRO: (_avro, set()),
    Form.POSTGRESQL: (_postgresql, {"table", "schema", "partition"}),
    Form.CLICKHOUSE: (_clickhouse, {"table", "schema", "retention", "kafka"}),
    Form.SPARK: (_spark, {"table", "schema"}),
    Form.MARKDOWN: (_markdown, set()),
}


def _table(asked: _Asked) -> str:
    return identifier(asked.table, "table") if asked.table is not None else _TABLE


def _schema(asked: _Asked) -> str | None:
    return identifier(asked.schema, "schema") if asked.schema is not None else None


def _statements(statements: list[str]) -> str:
    return "".join(f"{statement};\n" for statement in statements)


def _indented(data: object) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False)
