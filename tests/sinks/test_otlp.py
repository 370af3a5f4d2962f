"""OpenTelemetry logs: what a receiver decodes, and what its answers mean."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import logging
import os
import pkgutil
import subprocess
import sys

import opentelemetry.semconv._incubating.attributes as incubating
import opentelemetry.semconv.attributes as stable
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData

from centtrack import Event, __version__
from centtrack.errors import ConfigurationError, Rejected, RetryLater
from centtrack.event import COLUMNS
from centtrack.sinks import Batch, open_sink
from centtrack.sinks.otlp import sink as otlp
from centtrack.sinks.otlp.semantic_names import ATTRIBUTES, SYNTHETIC
from centtrack.testing import SinkContract, make_event
from receivers import Answer, raw_server, receiver
from servers import free_port, listens
from waiting import eventually

PROTOBUF = {"Content-Type": "application/x-protobuf"}
COLLECTOR = os.environ.get("CENTTRACK_TEST_COLLECTOR")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    for name in ("OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_LOGS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with receiver() as it:
        it.usual = Answer(200, PROTOBUF)
        yield it


@pytest.fixture
def sink_of(server):
    """Makes sinks for the server, and closes them."""
    made = []

    def make(url=None):
        made.append(open_sink(url or f"otlp+http://127.0.0.1:{server.port}"))
        return made[-1]

    yield make
    for one in made:
        one.close()


def resources_of(server):
    """What came, as its messages."""
    return [
        resource for one in server.requests for resource in ExportLogsServiceRequest.FromString(one.body).resource_logs
    ]


def records_of(resources):
    return [record for resource in resources for scope in resource.scope_logs for record in scope.log_records]


def value_of(any_value):
    kind = any_value.WhichOneof("value")
    assert kind != "kvlist_value" or not any_value.kvlist_value.values
    return {} if kind == "kvlist_value" else getattr(any_value, kind)


def attributes_of(record):
    pairs = [(attribute.key, value_of(attribute.value)) for attribute in record.attributes]
    assert len(dict(pairs)) == len(pairs), "an attribute is there twice"
    return dict(pairs)


def event_of(record):
    """The event that a record was made of."""
    assert record.observed_time_unix_nano == record.time_unix_nano
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    columns = {"time": epoch + dt.timedelta(microseconds=record.time_unix_nano // 1_000)}
    attributes = attributes_of(record)
    assert attributes.pop(SYNTHETIC, None) == ("bot" if attributes.get("centtrack.bot") else None)
    for column, key in ATTRIBUTES.items():
        if key in attributes:
            columns[column] = attributes.pop(key)
    for column in ("consent", "cookies", "props"):
        prefix = f"centtrack.{column}."
        entries = {key: attributes.pop(key) for key in list(attributes) if key.startswith(prefix)}
        if entries:
            columns[column] = {key.removeprefix(prefix): value for key, value in entries.items()}
    assert not attributes
    return Event(**columns)


class TestOtlpSink(SinkContract):
    """OTLP has nothing by which a receiver could tell that a batch comes again."""

    recognises_repeats = False

    @pytest.fixture(autouse=True)
    def _server(self, server, sink_of):
        self.server, self.sink_of = server, sink_of

    def make_sink(self, folder):
        return self.sink_of()

    def stored(self, folder):
        return [event_of(record) for record in records_of(resources_of(self.server))]


def full_event(**columns):
    """With something in every column."""
    examples = {column.name: column.example for column in COLUMNS}
    moment = dt.datetime(2026, 11, 22, 15, 30, 0, 123_456, tzinfo=dt.UTC)
    return Event(**{**examples, "time": moment, **columns})


def test_every_column_arrives(server, sink_of):
    events = [full_event(event_id="1", bot=True), full_event(event_id="2", bot=False, consent={}, cookies={}, props={})]
    sink_of().write(events)
    assert [event_of(record) for record in records_of(resources_of(server))] == events


def test_semantic_names(server, sink_of):
    sink_of().write([full_event(bot=True, consent={"analytics": "given"}, cookies={"necessary": 2}, props={"n": 1.5})])
    [record] = records_of(resources_of(server))
    attributes = attributes_of(record)
    assert record.event_name == "centtrack.request"
    expected = {
        "centtrack.name": "request",
        "log.record.uid": "6a1f0c52-93de-4d2b-8f0e-5b7c41d2a9e3",
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/products/{product}",
        "url.path": "/products/casco",
        "user_agent.name": "Chrome",
        "user_agent.version": "126",
        "user_agent.os.name": "Windows",
        "user_agent.synthetic.type": "bot",
        "geo.country.iso_code": "KZ",
        "geo.region.iso_code": "KZ-39",
        "geo.locality.name": "Qostanay",
        "centtrack.ip_network": "203.0.113.0/24",
        "centtrack.consent.analytics": "given",
        "centtrack.cookies.necessary": 2,
        "centtrack.props.n": 1.5,
        "centtrack.bot": True,
        "centtrack.duration_ms": 38.2,
    }
    assert {key: attributes.get(key) for key in expected} == expected
    assert not {"client.address", "url.full", "user_agent.original"} & set(attributes)


def test_names_that_are_not_ours_are_open_telemetrys():
    known = set()
    for package in (incubating, stable):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            known |= {value for value in vars(importlib.import_module(module.name)).values() if isinstance(value, str)}
    names = [*ATTRIBUTES.values(), SYNTHETIC]
    assert len(set(names)) == len(names) == len(COLUMNS)  # without `time`, with `bot` twice
    assert [name for name in names if not name.startswith("centtrack.") and name not in known] == []


def test_what_an_event_lacks_is_left_out(server, sink_of):
    sink_of().write([make_event()])
    [record] = records_of(resources_of(server))
    assert set(attributes_of(record)) == {
        "log.record.uid", "centtrack.name", "centtrack.schema_version", "centtrack.kind", "centtrack.time_precision"
    }  # fmt: skip


def test_times_tell_no_more_than_the_policy_allows(server, sink_of):
    """The only times in a request are the events' own."""
    moment = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    sink_of().write([make_event(time=moment, time_precision="day")])
    [record] = records_of(resources_of(server))
    nanoseconds = int(moment.timestamp()) * 1_000_000_000
    assert (record.time_unix_nano, record.observed_time_unix_nano) == (nanoseconds, nanoseconds)
    assert not record.trace_id


@pytest.mark.parametrize(
    ("service", "sites", "services"),
    [(None, ["a", "b", "a"], ["a", "b"]), (None, [None], ["centtrack"]), ("shop", ["a", None], ["shop"])],
)
def test_resources(service, sites, services, server, sink_of, monkeypatch):
    if service:
        monkeypatch.setenv("OTEL_SERVICE_NAME", service)
    sink_of().write([make_event(site=site) for site in sites])
    resources = resources_of(server)
    names = [attribute.value.string_value for one in resources for attribute in one.resource.attributes]
    assert names == services
    for resource in resources:
        [scope] = resource.scope_logs
        assert (scope.scope.name, scope.scope.version) == ("centtrack", __version__)
        assert scope.schema_url.startswith("https://opentelemetry.io/schemas/")


def test_the_request(server, sink_of):
    sink_of().write([make_event() for _ in range(100)])
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/v1/logs")
    assert request.headers["content-type"] == "application/x-protobuf"
    assert request.headers["content-encoding"] == "gzip"
    assert int(request.headers["content-length"]) < len(request.body) / 3


def test_what_is_packed_holds_no_time_of_day(sink_of):
    """As Python packs by itself, the header of gzip (RFC 1952) has one, at its fifth byte."""
    heads = []

    def behave(connection, over):
        came = b""
        while len(came.partition(b"\r\n\r\n")[2]) < 10:
            came += connection.recv(65_536)
        heads.append(came.partition(b"\r\n\r\n")[2][:10])
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        while connection.recv(65_536):
            pass

    with raw_server(behave) as port:
        sink = sink_of(f"otlp+http://127.0.0.1:{port}")
        sink.write([make_event()])
        sink.close()
    [head] = heads
    assert head[4:8] == bytes(4)


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("", {}),
        ("api-key=k3y", {"api-key": "k3y"}),
        (" Api-Key = k3y , x=a%20b%2Cc,", {"api-key": "k3y", "x": "a b,c"}),
        ("Authorization=Basic%20YTpi=", {"authorization": "Basic YTpi="}),
        ("authorization=Bearer a.b;c", {"authorization": "Bearer a.b;c"}),
    ],
)
def test_headers_of_the_environment(text, headers, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", text)
    assert otlp.read_headers() == headers


def test_headers_for_logs_go_before_those_for_all(server, sink_of, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=all,b=all")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "a=logs")
    sink_of().write([make_event()])
    assert server.requests[0].headers["a"] == "logs"
    assert "b" not in server.requests[0].headers


@pytest.mark.parametrize(
    "text",
    ["hunter2", "=hunter2", "a b=hunter2", "a=hunter2%0D%0Ab: c", "a=hunter2%00", "a=hunter2é", "a%0A=hunter2",
     "Host=hunter2", "content-length=hunter2", "Transfer-Encoding=hunter2", "Upgrade=hunter2", "TE=hunter2",
     "trailer=hunter2", "expect=hunter2", "accept-encoding=hunter2", "Keep-Alive=hunter2"],
)  # fmt: skip
def test_headers_that_are_refused(text, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", text)
    with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_HEADERS") as caught:
        open_sink("otlp+http://localhost")
    assert "hunter2" not in str(caught.value)


def test_a_name_of_the_service_that_cannot_be_sent_stops_the_start(monkeypatch):
    """Not each event, one by one."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop\udcff")  # a byte that is no UTF-8
    with pytest.raises(ConfigurationError, match="OTEL_SERVICE_NAME"):
        open_sink("otlp+http://localhost")


def test_credentials_are_never_shown(server, sink_of, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=h1dden")
    server.usual = Answer(401, body=b"h1dden is no key")
    sink = sink_of(f"otlp+http://Us3r:h1dden2@127.0.0.1:{server.port}/otlp/v1/logs")
    with pytest.raises(ConfigurationError, match="credentials") as caught:
        sink.write([make_event()])
    assert server.requests[0].headers["authorization"] == "Basic VXMzcjpoMWRkZW4y"
    assert sink.name == f"otlp+http://127.0.0.1:{server.port}/otlp/v1/logs"
    shown = str(caught.value) + sink.name + repr(list(sink.check()))
    assert "h1dden" not in shown
    assert "Us3r" not in shown


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("otlp+http://collector", "otlp+http://collector:4318/v1/logs"),
        ("otlp+https://otlp.example", "otlp+https://otlp.example:443/v1/logs"),
        ("otlp+http://[::1]:9/", "otlp+http://[::1]:9/v1/logs"),
        ("otlp+https://u:p@otlp.example/a/b?ca={ca}", "otlp+https://otlp.example:443/a/b"),
    ],
)
def test_urls(url, name, authority):
    assert otlp.OtlpSink(url.format(ca=authority.file)).name == name


@pytest.mark.parametrize("url", ["otlp+http:", "otlp+http://", "otlp://x", "otlp+http://a,b", "otlp+http://a?x=1"])
def test_urls_that_are_refused(url):
    with pytest.raises(ConfigurationError):
        otlp.OtlpSink(url)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, RetryLater) for status in (429, 502, 503, 504)),
        *((status, Rejected) for status in (400, 413)),
        *((status, ConfigurationError) for status in (301, 401, 403, 404, 408, 500, 501)),
    ],
)
def test_answers(status, error, server, sink_of):
    """OTLP names four after which a batch may be sent again, and no other."""
    server.usual = Answer(status, {"Retry-After": "7"}, b"visitor-4711 is not welcome")
    with pytest.raises(error, match=f"answers {status}") as caught:
        sink_of().write([make_event(path="/visitor-4711")])
    assert "visitor" not in str(caught.value)
    assert getattr(caught.value, "after_s", 7) == 7


def partial_success(rejected, message="visitor-4711 is too long"):
    said = {"partialSuccess": {"rejectedLogRecords": str(rejected), "errorMessage": message}}
    return ParseDict(said, ExportLogsServiceResponse()).SerializeToString()


@pytest.mark.parametrize(
    ("body", "left_out"),
    [
        (b"", 0),
        (partial_success(0), 0),
        (partial_success(2), 2),
        (partial_success(2**62), 3),
        (partial_success(-1), 0),
        (b"\xff no protobuf", 0),
    ],
)
def test_a_partial_success_is_final(body, left_out, server, sink_of, caplog):
    """Sent again, it would double what was taken. What was left out is counted, without the receiver's own words."""
    server.usual = Answer(200, PROTOBUF, body)
    with caplog.at_level(logging.WARNING, "centtrack"):
        sink_of().write(Batch([make_event() for _ in range(3)], stream="s", sequence=1))
    assert len(server.requests) == 1
    told = [record.centtrack["count"] for record in caplog.records if record.name == otlp.__name__]
    assert told == ([left_out] if left_out else [])
    assert "visitor" not in caplog.text


@pytest.mark.parametrize(
    "columns", [{"path": "a\ud800"}, {"props": {"n": 2**64}}, {"time": dt.datetime(1969, 1, 1, tzinfo=dt.UTC)}]
)
def test_values_that_cannot_be_sent(columns, server, sink_of):
    with pytest.raises(Rejected, match="can't be sent") as caught:
        sink_of().write([make_event(), make_event(**columns)])
    assert str(2**64) not in str(caught.value)
    assert not server.requests


def test_no_answer(sink_of, monkeypatch):
    monkeypatch.setattr(otlp, "_REQUEST_S", 0.5)
    with raw_server(lambda connection, over: over.wait()) as port, pytest.raises(RetryLater, match="does not answer"):
        sink_of(f"otlp+http://127.0.0.1:{port}").write([make_event()])


def test_tls(sink_of, authority):
    with receiver(authority.context("localhost")) as secure:
        sink_of(f"otlp+https://localhost:{secure.port}?ca={authority.file}").write([make_event()])
        with pytest.raises(ConfigurationError, match="isn't trusted"):
            sink_of(f"otlp+https://localhost:{secure.port}").write([make_event()])
    assert len(secure.requests) == 1


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(200, PROTOBUF), None),
        (Answer(200), None),  # some services say nothing
        (Answer(200, {"Content-Type": "text/html"}, b"<h1>Welcome"), "is the path right"),
        (Answer(404), "answers 404"),
        (Answer(503), "answers 503"),
    ],
)
def test_check(answer, problem, server, sink_of):
    server.usual = answer
    [finding] = sink_of().check()
    assert finding.problem is None if problem is None else problem in finding.problem
    assert ExportLogsServiceRequest.FromString(server.requests[0].body) == ExportLogsServiceRequest()


def test_import_needs_no_client():
    """The core install has none."""
    code = """
import sys
sys.modules["opentelemetry.proto"] = None
from centtrack.errors import MissingExtraError
from centtrack.sinks import open_sink
try:
    open_sink("otlp+http://localhost")
except MissingExtraError as error:
    assert "centtrack[otlp]" in str(error)
else:
    raise SystemExit(1)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


if COLLECTOR:  # the program that scripts/build_collector.sh builds
    CONFIGURATION = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{file: {{path: "{file}", flush_interval: 100ms}}}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
  pipelines: {{logs: {{receivers: [otlp], exporters: [file]}}}}
"""

    class TestCollector(SinkContract):
        """The same with OpenTelemetry's own collector, which writes what it got to a file."""

        recognises_repeats = False

        @pytest.fixture(autouse=True)
        def _collector(self, tmp_path_factory, sink_of):
            folder = tmp_path_factory.mktemp("collector")
            self.sink_of, self.port, self.file = sink_of, free_port(), folder / "logs.json"
            (folder / "collector.yaml").write_text(CONFIGURATION.format(port=self.port, file=self.file))
            self.process = subprocess.Popen([COLLECTOR, "--config", folder / "collector.yaml"])
            try:
                eventually(lambda: listens(self.port))
                yield
            finally:
                self.process.terminate()
                self.process.wait(30)

        def make_sink(self, folder):
            return self.sink_of(f"otlp+http://127.0.0.1:{self.port}")

        def stored(self, folder):
            """When it ends, all is written."""
            self.process.terminate()
            self.process.wait(30)
            resources = []
            for line in self.file.read_text().splitlines():
                resources += ParseDict(json.loads(line), LogsData()).resource_logs
            return [event_of(record) for record in records_of(resources)]

        def test_check(self, tmp_path):
            [finding] = self.make_sink(tmp_path).check()
            assert finding.problem is None
