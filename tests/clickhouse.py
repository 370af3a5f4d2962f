"""A ClickHouse for the tests: chdb, the engine itself, behind as much of the HTTP interface as a client needs.

    python tests/clickhouse.py FOLDER PORT [CERTIFICATE_AND_KEY]

chdb has one user who may do everything, no quotas and no replicas: what these refuse is not shown by it. User and
password are compared by the front. Requests are served one after another.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import re
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import pytest

from servers import free_port, listens
from waiting import eventually

USER, PASSWORD = "centtrack", "s3cret/ö"


@contextlib.contextmanager
def clickhouse_server() -> Iterator[str]:
    """The URL of a database in a ClickHouse."""
    if given := os.environ.get("CENTTRACK_TEST_CLICKHOUSE_URL"):
        yield given
        return
    with own_clickhouse_server() as server:
        yield server.url


@contextlib.contextmanager
def own_clickhouse_server(*, tls: tuple[Path, Path] | None = None) -> Iterator[ClickHouseServer]:
    """A ClickHouse of the test's own, which it may restart.

    Args:
        tls: file of its certificate and key, and that of the authority.
    """
    if not find_spec("chdb"):  # it isn't imported here: tests fork
        pytest.skip("needs chdb, or CENTTRACK_TEST_CLICKHOUSE_URL")
    folder = Path(tempfile.mkdtemp(prefix="centtrack-clickhouse-"))
    try:
        with ClickHouseServer(folder, tls) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def own_database(url: str) -> Iterator[str]:
    """The URL of a new database beside that of a URL, gone at the end."""
    name = f"test_{secrets.token_hex(8)}"
    run_statement(url, f"create database {name}")
    yield url_of(url, database=name)
    run_statement(url, f"drop database {name}")


def url_of(url: str, *, database: str | None = None, port: int | None = None, **options: str) -> str:
    """A URL with another database, another port, more options."""
    parts = urlsplit(url)
    host = parts.netloc if port is None else f"{parts.netloc.rpartition(':')[0]}:{port}"
    query = "&".join([*filter(None, [parts.query]), *(f"{name}={value}" for name, value in options.items())])
    return parts._replace(netloc=host, path=f"/{database}" if database else parts.path, query=query).geturl()


def run_statement(url: str, statement: str) -> list[dict[str, Any]]:
    """Run one, without our code; rows of a query, which are written as JSON."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    verify = ssl.create_default_context(cafile=options.get("ca")) if options.get("tls") == "yes" else False
    scheme = "https" if verify else "http"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    with httpx.Client(auth=(user, password), verify=verify, timeout=60) as client:
        parameters = {
            "database": parts.path.strip("/"),
            "query": statement,
            "output_format_json_quote_64bit_integers": "0",
        }
        answer = client.post(f"{scheme}://{parts.hostname}:{parts.port}/", params=parameters)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()] if "format JSONEachRow" in statement else []


class ClickHouseServer:
    """A ClickHouse that can be stopped and started again on the same port. What was inserted, it keeps."""

    def __init__(self, folder: Path, tls: tuple[Path, Path] | None = None) -> None:
        self.port = free_port()
        self._folder, self._tls = folder, tls
        self._process: subprocess.Popen[bytes] | None = None
        options = f"?tls=yes&ca={tls[1]}" if tls else ""
        self.url = f"clickhouse://{USER}:s3cret%2F%C3%B6@127.0.0.1:{self.port}/default{options}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        files = [str(self._tls[0])] if self._tls else []
        self._process = subprocess.Popen([sys.executable, __file__, str(self._folder), str(self.port), *files])
        eventually(self._answers)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it; with SIGKILL as if the machine took it away."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def freeze(self) -> None:
        """Connections are still made, and nothing is answered, until `thaw()`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None
        return listens(self.port)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


# The front, in a process of its own: chdb can't be forked, and holds its folder until the process ends

_OWN = {"query", "database", "wait_end_of_query"}  # parameters that are no settings
_STATUS = {60: 404, 81: 404, 115: 404, 194: 401, 516: 403, 497: 403}
_STATUS |= dict.fromkeys([6, 25, 26, 27, 38, 41, 53, 62, 72, 117, 321, 376], 400)
_CODE = re.compile(r"Code: (\d+)\.")
_INSERT = re.compile(r"\s*(insert\s.+?)\sformat\s+(\w+)\s*", re.IGNORECASE | re.DOTALL)


class _Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    folder: Path
    turn = threading.Lock()

    def do_POST(self) -> None:
        """Do what a statement says."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        parameters = dict(parse_qsl(urlsplit(self.path).query, strict_parsing=True))
        try:
            self._check_user(parameters)
            with self.turn:
                answer = self._run(parameters, body)
            self._answer(200, answer)
        except RuntimeError as error:
            text = str(error).removeprefix("Streaming insert append failed: ")
            text = text.removeprefix("Streaming insert finish failed: ")
            found = _CODE.search(text)
            code = int(found[1]) if found else 1002
            self._answer(_STATUS.get(code, 500), text.encode(), code)

    def _check_user(self, parameters: dict[str, str]) -> None:
        assert "password" not in parameters, "a password in a URL ends in logs"
        _, _, encoded = self.headers.get("authorization", "").partition("Basic ")
        if base64.b64decode(encoded).decode() != f"{USER}:{PASSWORD}":
            raise RuntimeError("Code: 516. DB::Exception: Authentication failed: password is incorrect.")

    def _run(self, parameters: dict[str, str], body: bytes) -> bytes:
        from chdb.session import Session

        session = Session(str(self.folder))  # settings are those of a session
        try:
            for name, value in parameters.items():
                if name not in _OWN and not name.startswith("param_"):
                    session.query(f"set {name} = {_literal(value)}")
            if database := parameters.get("database"):
                session.query(f"use `{database}`")
            query = parameters.get("query", "")
            if found := _INSERT.fullmatch(query):
                with session.send_insert(found[1], found[2]) as insert:
                    insert.append(body)
                    insert.finish()
                return b""
            values = {name[6:]: value for name, value in parameters.items() if name.startswith("param_")}
            return session.query(query + body.decode(), "TabSeparated", params=values).bytes()
        finally:
            session.close()

    def _answer(self, status: int, body: bytes, code: int | None = None) -> None:
        self.send_response(status)
        self.send_header("X-ClickHouse-Server-Display-Name", "chdb")
        if code is not None:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.send_header("Content-Length", str(len(body)))
        with contextlib.suppress(ConnectionError):  # a client that gave up
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _serve(folder: str, port: str, certificate: str | None = None) -> None:
    from chdb.session import Session

    _Front.folder = Path(folder) / "data"
    with Session(str(_Front.folder)):  # the engine runs as long as one session is open
        server = ThreadingHTTPServer(("127.0.0.1", int(port)), _Front)
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
        _Front.turn.acquire()  # what runs is let end


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    _serve(*sys.argv[1:])
