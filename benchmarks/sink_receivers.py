"""The sinks that send over HTTP, for `sinks.py`. Their receiver is a process of its own: it costs them nothing."""

from __future__ import annotations

import contextlib
import multiprocessing
import ssl
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from centtrack import Event
from sink_targets import Batches, Target, Write

if TYPE_CHECKING:
    from receivers import Request

_MOST = 1_000  # events in a request, as the sink has it

Count = Callable[["Request"], int]


class Received(Target):
    """What a receiver gets, which keeps it until it is asked how much that was."""

    count_in: Count
    is_encrypted = False

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        ours, theirs = multiprocessing.Pipe()
        with tempfile.TemporaryDirectory(prefix="centtrack-benchmark-") as self._folder:
            arguments = (theirs, type(self).count_in, self._folder if self.is_encrypted else None)
            process = multiprocessing.get_context("spawn").Process(target=_receive, args=arguments)
            process.start()
            self._receiver, self._port = ours, int(ours.recv())
            try:
                yield
            finally:
                ours.send("end")
                process.join(30)

    def count(self) -> int:
        self._receiver.send("count")
        return int(self._receiver.recv())


def _receive(asked: Connection, count_in: Count, folder: str | None) -> None:
    """What the receiver's process does."""
    from receivers import Authority, receiver

    context = Authority(Path(folder)).context("127.0.0.1") if folder else None
    with receiver(context) as received:
        asked.send(received.port)
        while asked.recv() == "count":
            asked.send(sum(map(count_in, received.requests)))
            received.requests.clear()


def _records_in(request: Request) -> int:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    message = ExportLogsServiceRequest.FromString(request.body)
    return sum(len(scope.log_records) for resource in message.resource_logs for scope in resource.scope_logs)


def _cloud_events_in(request: Request) -> int:
    return len(msgspec.json.decode(request.body))


class Otlp(Received):
    """A receiver of OTLP."""

    name, bare = "otlp+http", "OpenTelemetry's OTLPLogExporter, gzip, with log records that are there"
    count_in = staticmethod(_records_in)

    def url(self) -> str:
        return f"otlp+http://127.0.0.1:{self._port}"

    def prepare(self, batches: Batches) -> Write:
        from opentelemetry._logs import LogRecord, SeverityNumber
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.sdk._logs import ReadableLogRecord
        from opentelemetry.sdk._logs.export import LogRecordExportResult
        from opentelemetry.sdk.resources import Resource

        resource = Resource({"service.name": "benchmark"})

        def record(event: Event) -> ReadableLogRecord:
            moment = int(event.time.timestamp()) * 1_000_000_000
            return ReadableLogRecord(
                LogRecord(
                    timestamp=moment,
                    observed_timestamp=moment,
                    severity_number=SeverityNumber.INFO,
                    event_name=f"centtrack.{event.name}",
                    attributes=dict(_attributes(event)),
                ),
                resource,
            )

        prepared = [[record(event) for event in batch] for batch in batches]
        url = f"http://127.0.0.1:{self._port}/v1/logs"
        exporter = OTLPLogExporter(url, timeout=60, compression=Compression.Gzip)

        def write() -> None:
            for records in prepared:
                if exporter.export(records) is not LogRecordExportResult.SUCCESS:
                    raise RuntimeError("the exporter failed")

        return write


def _attributes(event: Event) -> Iterator[tuple[str, str | int | float | bool]]:
    """The same ones as the sink's."""
    from centtrack.sinks.otlp.semantic_names import ATTRIBUTES

    for name, key in ATTRIBUTES.items():
        value = getattr(event, name)
        if isinstance(value, dict):
            yield from ((f"{key}.{entry}", one) for entry, one in value.items())
        elif value is not None:
            yield key, value


class Webhook(Received):
    """A receiver of webhooks, over TLS."""

    name, bare = "https", "httpx, which posts batches of CloudEvents whose data is JSON already; neither signs"
    count_in = staticmethod(_cloud_events_in)
    is_encrypted = True

    @property
    def _authority(self) -> str:
        return f"{self._folder}/ca.pem"

    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}/events#allow=127.0.0.0/8&ca={self._authority}"

    def prepare(self, batches: Batches) -> Write:
        import httpx

        from centtrack.sinks.base import Batch
        from centtrack.sinks.http.cloud_events import CONTENT_TYPE, CloudEvent, make_messages

        messages = [message for batch in batches for message in make_messages(Batch(batch), _MOST)]
        prepared = [msgspec.json.decode(message.body, type=list[CloudEvent]) for message in messages]
        encode = msgspec.json.Encoder().encode
        client = httpx.Client(verify=ssl.create_default_context(cafile=self._authority), timeout=60)
        url, headers = f"https://127.0.0.1:{self._port}/events", {"content-type": CONTENT_TYPE}

        def write() -> None:
            with client:
                for events in prepared:
                    client.post(url, content=encode(events), headers=headers).raise_for_status()

        return write
