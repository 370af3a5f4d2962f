"""Sinks and their servers for `sinks.py`, and next to each what its client is fastest with.

Every turn has a table, topic or file of its own, numbered by `fresh`. What `prepare` returns is timed; whatever the
client can be given in advance is made before.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from centtrack import Event
from sink_events import lines_of

Batches = Sequence[Sequence[Event]]
Write = Callable[[], None]


class Target(ABC):
    """A sink and its server.

    Attributes:
        name: as `--sinks` has it.
        bare: the bare path, in words.
        fresh: number of the turn.
    """

    name: str
    bare: str

    def __init__(self) -> None:
        self.fresh = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The server, while it is needed."""
        yield

    @abstractmethod
    def url(self) -> str:
        """Of the sink, for the fresh place."""

    @abstractmethod
    def prepare(self, batches: Batches) -> Write:
        """Get the bare path ready: connected, with data as its client takes it."""

    @abstractmethod
    def count(self) -> int:
        """Events in the fresh place, those that are there twice counted twice."""

    def stored_bytes(self) -> int | None:
        """What the fresh place takes, where that can be asked."""
        return None


class Jsonl(Target):
    """A file on the disk."""

    name, bare = "jsonl", "write of the bytes, fsync after each batch"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory(prefix="centtrack-benchmark-") as folder:
            self._folder = Path(folder)
            yield

    @property
    def _path(self) -> Path:
        return self._folder / f"{self.fresh}.jsonl"

    def url(self) -> str:
        return f"jsonl:{self._path}"

    def prepare(self, batches: Batches) -> Write:
        texts = [lines_of(batch) for batch in batches]

        def write() -> None:
            with self._path.open("ab", buffering=0) as file:
                for text in texts:
                    file.write(text)
                    os.fsync(file.fileno())

        return write

    def count(self) -> int:
        return self._path.read_bytes().count(b"\n")

    def stored_bytes(self) -> int:
        return self._path.stat().st_size


class Delta(Target):
    """A lake on the disk."""

    name, bare = "delta", "pyarrow.Table.from_pylist and write_deltalake"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory(prefix="centtrack-benchmark-") as self._folder:
            yield

    @property
    def _location(self) -> str:
        return f"{self._folder}/{self.fresh}"

    def url(self) -> str:
        return f"delta:{self._location}"

    def prepare(self, batches: Batches) -> Write:
        import pyarrow as pa
        from deltalake import DeltaTable, Schema, write_deltalake

        from centtrack.schema.arrow import event_schema, event_table

        schema = event_schema()
        prepared = [event_table(batch).to_pylist() for batch in batches]
        table = DeltaTable.create(self._location, Schema.from_arrow(schema), partition_by=["date"])

        def write() -> None:
            for rows in prepared:
                write_deltalake(table, pa.Table.from_pylist(rows, schema=schema), mode="append")

        return write

    def count(self) -> int:
        from deltalake import DeltaTable

        return int(DeltaTable(self._location).to_pyarrow_table(columns=["event_id"]).num_rows)

    def stored_bytes(self) -> int:
        import pyarrow as pa
        from deltalake import DeltaTable

        files = pa.table(DeltaTable(self._location).get_add_actions())
        return sum(files["size_bytes"].to_pylist())


class DeltaS3(Delta):
    """A lake in an object store."""

    name = "delta-s3"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        from s3 import make_bucket, s3_server, settings

        with s3_server() as url:
            os.environ.update(settings(url))
            self._folder = f"s3://{make_bucket(url)}"
            yield


class Postgresql(Target):
    """A table divided by month, with its key and index."""

    name, bare = "postgresql", "psycopg's COPY of rows into the same table"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        import psycopg

        from databases import postgresql_server

        with postgresql_server() as self._server, psycopg.connect(self._server, autocommit=True) as self._connection:
            yield

    @property
    def _table(self) -> str:
        return f"event_{self.fresh}"

    def url(self) -> str:
        return f"{self._server}?table={self._table}"

    def prepare(self, batches: Batches) -> Write:
        from centtrack.sinks.postgresql import PostgresqlSink

        sink = PostgresqlSink(self.url())
        sink.open()  # makes the table
        sink.close()
        columns = ", ".join((*Event.__struct_fields__, "date"))
        prepared = [[_row(event) for event in batch] for batch in batches]

        def write() -> None:
            with self._connection.cursor() as cursor:
                for rows in prepared:
                    with cursor.copy(f"copy {self._table} ({columns}) from stdin".encode()) as copy:
                        for row in rows:
                            copy.write_row(row)

        return write

    def count(self) -> int:
        [(count,)] = self._connection.execute(f"select count(*) from {self._table}".encode()).fetchall()
        return int(count)

    def stored_bytes(self) -> int:
        query = "select sum(pg_total_relation_size(relid)) from pg_partition_tree(%s)"
        [(size,)] = self._connection.execute(query.encode(), [self._table]).fetchall()
        return int(size)


def _row(event: Event) -> tuple[object, ...]:
    values = (*msgspec.structs.astuple(event), event.time.date())
    return tuple(msgspec.json.encode(value).decode() if isinstance(value, dict) else value for value in values)


class ClickHouse(Target):
    """A table by our DDL in chdb, the engine of ClickHouse, behind the HTTP front of the tests."""

    name, bare = "clickhouse", "httpx, which posts the same lines, packed by gzip"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        from clickhouse import clickhouse_server

        with clickhouse_server() as self._server:
            yield

    @property
    def _table(self) -> str:
        return f"event_{self.fresh}"

    def url(self) -> str:
        from clickhouse import url_of

        return url_of(self._server, table=self._table)

    def prepare(self, batches: Batches) -> Write:
        import gzip
        from urllib.parse import unquote, urlsplit

        import httpx

        from centtrack.schema.clickhouse import create_table
        from clickhouse import run_statement

        run_statement(self._server, create_table(self._table))
        bodies = [gzip.compress(lines_of(batch), compresslevel=1) for batch in batches]
        server = urlsplit(self._server)
        client = httpx.Client(auth=(unquote(server.username or ""), unquote(server.password or "")), timeout=60)
        address = f"http://{server.hostname}:{server.port}/"
        names = ", ".join(Event.__struct_fields__)
        parameters = {
            "database": server.path.strip("/"),
            "query": f"insert into {self._table} ({names}) format JSONEachRow",
            "date_time_input_format": "best_effort",
        }

        def write() -> None:
            with client:
                for body in bodies:
                    packed = {"content-encoding": "gzip"}
                    client.post(address, params=parameters, content=body, headers=packed).raise_for_status()

        return write

    def _ask(self, query: str) -> int:
        from clickhouse import run_statement

        [row] = run_statement(self._server, f"select {query} format JSONEachRow")
        return int(row["n"])

    def count(self) -> int:
        return self._ask(f"count() as n from {self._table}")

    def stored_bytes(self) -> int:
        return self._ask(f"sum(bytes_on_disk) as n from system.parts where active and table = '{self._table}'")


class Redis(Target):
    """A stream."""

    name, bare = "redis", "pipelines of XADD"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        import redis

        from databases import redis_server

        with redis_server() as url, redis.Redis.from_url(url) as self._client:
            self._server = url.rpartition("/")[0]
            yield

    @property
    def _stream(self) -> str:
        return f"event-{self.fresh}"

    def _make_room(self) -> None:
        """Delete the stream of the turn before: it is in memory."""
        self._client.delete(f"event-{self.fresh - 1}")

    def url(self) -> str:
        self._make_room()
        return f"{self._server}/{self._stream}"

    def prepare(self, batches: Batches) -> Write:
        self._make_room()
        prepared = [[_entry(event) for event in batch] for batch in batches]

        def write() -> None:
            for entries in prepared:
                with self._client.pipeline(transaction=False) as pipeline:
                    for entry in entries:
                        pipeline.xadd(self._stream, entry)
                    pipeline.execute()

        return write

    def count(self) -> int:
        return int(self._client.xlen(self._stream))

    def stored_bytes(self) -> int:
        return int(self._client.memory_usage(self._stream, samples=0))


def _entry(event: Event) -> dict[str, object]:
    encoded = msgspec.json.encode(event)
    return {"event_id": event.event_id, "schema_version": event.schema_version, "event": encoded}


class Kafka(Target):
    """A topic of six partitions on three brokers, two of which acknowledge."""

    name, bare = "kafka", "a Producer with the same settings, no headers, no callbacks"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        from kafka_cluster import kafka_cluster

        with kafka_cluster() as self._cluster:
            yield

    @property
    def _topic(self) -> str:
        return f"event-{self.fresh}"

    def url(self) -> str:
        self._cluster.make_topic(self._topic)
        return f"kafka://{self._cluster.servers}/{self._topic}"

    def prepare(self, batches: Batches) -> Write:
        from confluent_kafka import Producer

        self._cluster.make_topic(self._topic)
        producer = Producer({
            "bootstrap.servers": self._cluster.servers,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "log_level": 0,
        })  # fmt: skip
        producer.list_topics(self._topic, timeout=30)
        prepared = [[(event.event_id, msgspec.json.encode(event)) for event in batch] for batch in batches]

        def write() -> None:
            for messages in prepared:
                for key, value in messages:
                    producer.produce(self._topic, value, key)
                producer.flush()

        return write

    def make_dead_letter_topic(self) -> None:
        """What a consumer of the fresh topic wants beside it."""
        self._cluster.make_topic(f"{self._topic}.dead", 1)

    def count(self) -> int:
        from topics import read_all

        return len(read_all(self._cluster.servers, self._topic))

    def stored_bytes(self) -> int:
        """Of one copy."""
        from kafka_cluster import BROKERS

        logs = self._cluster._folder.glob(f"*/data/{self._topic}-*/*.log")
        return sum(log.stat().st_size for log in logs) // len(BROKERS)
