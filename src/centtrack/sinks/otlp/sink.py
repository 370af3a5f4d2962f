"""`otlp+http://` and `otlp+https://` send events as OpenTelemetry logs, to a collector or to what takes the same."""

from __future__ import annotations

import gzip
import logging
import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from centtrack.errors import CenttrackError, ConfigurationError, MissingExtraError, Rejected
from centtrack.event import Event
from centtrack.logs import report
from centtrack.sinks import tls
from centtrack.sinks.finding import Finding
from centtrack.sinks.http_calls import HttpCaller, authorization, need_httpx, raise_for_answer
from centtrack.sinks.tls import Tls
from centtrack.sinks.url import read_url

if TYPE_CHECKING:
    import httpx

try:
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

    from centtrack.sinks.otlp.log_records import make_request
except ImportError:
    ExportLogsServiceResponse = None  # type: ignore[assignment,misc]

logger = logging.getLogger(__name__)

_PORTS = {"otlp+http": 4318, "otlp+https": 443}  # the protocol's own, and what the URLs of services mean
_PATH = "v1/logs"
_REQUEST_S = 50.0
_LATER = {429, 502, 503, 504}  # OTLP 1.x, "Retryable Response Codes": these, and no other
_CONTENT_TYPE = "application/x-protobuf"
_VARIABLES = ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_SERVICE = "OTEL_SERVICE_NAME"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
# What says where a request ends, how its answer comes, or what becomes of the connection.
_OWN = {
    "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host",
    "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}  # fmt: skip


class OtlpSink:
    """Sends each batch as one request. A receiver can't tell a batch that comes again, but for each record's uid."""

    linger_s = 1.0
    timeout_s = 60.0

    def __init__(self, url: str) -> None:
        need_httpx("The otlp+http: sink", "otlp")
        if ExportLogsServiceResponse is None:
            raise MissingExtraError("The otlp+http: sink", "otlp")
        scheme = url.partition("://")[0]
        parts = read_url(url, schemes=tuple(_PORTS), port=_PORTS.get(scheme, 0), options=tls.OPTIONS)
        if len(parts.hosts) > 1:
            raise ConfigurationError(f"the URL of {scheme}: names several hosts; give each a URL of its own")
        path = parts.path or _PATH
        self.name = f"{scheme}://{parts.servers}/{path}"
        self._url = f"{scheme.removeprefix('otlp+')}://{parts.servers}/{quote(path)}"
        self._headers = {**authorization(parts), **read_headers()}
        self._service = _read_service()
        self._caller = HttpCaller(self.name, Tls.read(scheme, parts.options), _REQUEST_S)

    def open(self) -> None:
        """Make the client; it connects with the first request.

        Raises:
            ConfigurationError: if a file can't be used for TLS.
        """
        self._caller.open()

    def write(self, events: Sequence[Event]) -> None:
        """Send a batch. What the receiver leaves out of one that it takes is counted in a line of the log.

        Raises:
            Rejected: if a value can't be sent, or the receiver doesn't take it.
            ConfigurationError: if somebody must mend something; also if the server has an error of its own, after which
                OTLP allows no other attempt: the batch waits.
            RetryLater: if there is no answer, or one after which the same batch may be sent again.
        """
        try:
            request = make_request(events, self._service)
        except (TypeError, ValueError) as error:  # their texts show the value
            raise Rejected(f"a value can't be sent over OTLP: {type(error).__name__}") from None
        response = self._post(request)
        if left_out := min(_left_out(response.content), len(events)):
            message = "%s took a batch without %d of its %d events, for good: its own log says why"
            values = (self.name, left_out, len(events))
            report(logger, logging.WARNING, "otlp_partial_success", message, *values, sink=self.name, count=left_out)

    def _post(self, request: bytes) -> httpx.Response:
        headers = {**self._headers, "content-type": _CONTENT_TYPE, "content-encoding": "gzip"}
        response = self._caller.post(self._url, gzip.compress(request, compresslevel=1, mtime=0), headers)
        raise_for_answer(self.name, response, _LATER)
        return response

    def close(self) -> None:
        """Close the connection."""
        self._caller.close()

    def check(self) -> Iterator[Finding]:
        """What `centtrack sink check` tells. Sends a request without events."""
        what = "the receiver takes logs over OTLP"
        try:
            kind = self._post(b"").headers.get("content-type", _CONTENT_TYPE).partition(";")[0]
            problem = None if kind == _CONTENT_TYPE else "its answer isn't one of OTLP: is the path right?"
            yield Finding(what, problem)
        except CenttrackError as error:
            yield Finding(what, str(error))
        finally:
            self.close()


def _left_out(answer: bytes) -> int:
    """How many records a receiver rejected of a request that it took, by what it says."""
    try:
        rejected: int = ExportLogsServiceResponse.FromString(answer).partial_success.rejected_log_records
    except DecodeError:
        return 0
    return max(0, rejected)


def _read_service() -> str | None:
    name = os.environ.get(_SERVICE)
    try:
        (name or "").encode()
    except UnicodeEncodeError:  # it would stand in each request: no event could be sent, and all were dead letters
        raise ConfigurationError(f"${_SERVICE} isn't UTF-8") from None
    return name


def read_headers() -> dict[str, str]:
    """The headers in the environment, names in small letters; those for logs alone go before those for all.

    Raises:
        ConfigurationError: if they aren't as in `name=value,other=value`, percent-encoded; without showing them.
    """
    for variable in _VARIABLES:
        if text := os.environ.get(variable, "").strip():
            return dict(_read_header(variable, pair) for pair in text.split(",") if pair.strip())
    return {}


def _read_header(variable: str, pair: str) -> tuple[str, str]:
    name, separator, value = (unquote(part.strip()) for part in pair.partition("="))
    if not separator or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ConfigurationError(
            f"${variable} has headers as name=value, joined by commas; other characters than letters and digits of a "
            "value are written as %20 and so on"
        )
    if name.lower() in _OWN:
        raise ConfigurationError(f"${variable} can't set {name.lower()}: that is for the sink to say")
    return name.lower(), value
