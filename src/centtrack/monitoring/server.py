"""Health and metrics over HTTP, for a process that serves nothing else."""

from __future__ import annotations

import json
import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from centtrack.errors import ConfigurationError
from centtrack.logs import describe, report
from centtrack.monitoring.health import Health

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_CLIENT_WITHIN_S = 10.0
_MAX_PORT = 65_535
_MAX_THREADS = 32


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_address(text: str) -> Address:
    """An address as it is written: `127.0.0.1:9464`, `[::1]:9464`; a port alone is one of the loopback.

    Raises:
        ConfigurationError: if it is none.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= _MAX_PORT):
        raise ConfigurationError(f'"{text}" is no address to listen on: write it as in 127.0.0.1:9464, or a port alone')
    return Address(host.removeprefix("[").removesuffix("]") or LOOPBACK, int(port))


class MonitoringServer:
    """Answers `GET /healthz` and `GET /metrics`, in threads of its own, until it is closed.

    Args:
        address: where to listen.
        health: for `/healthz`: 200, and 503 if it fails.
        metrics: for `/metrics`: from the header Accept to the text and its content type.

    Raises:
        ConfigurationError: if it can't listen there.
    """

    def __init__(
        self, address: Address, health: Callable[[], Health], metrics: Callable[[str], tuple[bytes, str]]
    ) -> None:
        answers: _Answers = {
            "/healthz": lambda _: _write_health(health()),
            "/metrics": lambda accept: (200, *metrics(accept)),
        }
        try:
            self._server = _Server(address, answers)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(f"can't listen on {address}: {getattr(error, 'strerror', error)}") from None
        self.address = Address(address.host, int(self._server.server_address[1]))
        self._thread = threading.Thread(target=self._server.serve_forever, name="centtrack-monitoring", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


_Answer = tuple[int, bytes, str]
"""Status, body and content type."""

_Answers = dict[str, Callable[[str], _Answer]]
"""Path → what answers it, given the header Accept."""


def _write_health(health: Health) -> _Answer:
    status = 503 if health.status == "failing" else 200
    return status, json.dumps(health.as_dict(), ensure_ascii=False).encode() + b"\n", "application/json"


def _write_missing(accept: str) -> _Answer:
    return 404, b"there are /healthz and /metrics\n", "text/plain"


_Request = socket.socket | tuple[bytes, socket.socket]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that takes its time must not hold up the end of the process

    def __init__(self, address: Address, answers: _Answers) -> None:
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self.answers = answers
        self._places = threading.BoundedSemaphore(_MAX_THREADS)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # the HTTP server's own asks the DNS for a name that nobody reads

    def process_request(self, request: _Request, client_address: object) -> None:
        """Answer in a thread of its own; beyond so many, a connection is closed unanswered."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started
            self._places.release()
            raise

    def process_request_thread(self, request: _Request, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):  # those mean that the client went away
            report(logger, logging.ERROR, "monitoring_failed", "monitoring can't answer: %s", describe(error))


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _CLIENT_WITHIN_S

    def do_GET(self) -> None:
        answer = self.server.answers.get(self.path.partition("?")[0], _write_missing)
        status, body, content_type = answer(self.headers.get("Accept", ""))
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def version_string(self) -> str:
        return "centtrack"

    def log_message(self, *_: object) -> None:
        """Say nothing: who asks is a machine, every few seconds."""
