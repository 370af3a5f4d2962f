"""A real server of S3's protocol for the tests, and a front that can take something out of what is sent to it."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Self
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
import trustme

from servers import free_port, listens
from waiting import eventually

SECRET = "geheim-4711"
# One request at a time: moto looks whether an object is there, and then makes it, and others could come in between.
_SERVER = """
import sys
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app))
"""


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The URL of a server."""
    if given := os.environ.get("CENTTRACK_TEST_S3_URL"):
        yield given.rstrip("/")
        return
    pytest.importorskip("moto.server", reason="needs moto[server], or CENTTRACK_TEST_S3_URL")
    port = free_port()
    command = [sys.executable, "-c", _SERVER, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: process.poll() is not None or listens(port))
        assert process.poll() is None
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def settings(url: str) -> dict[str, str]:
    """The environment's variables with which clients find a server."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": os.environ.get("CENTTRACK_TEST_S3_KEY", "key-4711"),
        "AWS_SECRET_ACCESS_KEY": os.environ.get("CENTTRACK_TEST_S3_SECRET", SECRET),
    }


def make_bucket(url: str) -> str:
    """The name of a new bucket of the test's own."""
    bucket = f"test-{uuid4().hex[:12]}"
    place = (
        "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>"
    )
    httpx.put(f"{url}/{bucket}", content=place, timeout=60).raise_for_status()  # the first one takes a while
    return bucket


class Front:
    """A server in front of another one.

    Args:
        server: the other one's URL.
        certificate: for TLS; none: without.

    Attributes:
        url: where it is.
        without: names of headers that it doesn't pass on, in small letters.
        answer: status and body of its own for requests with these methods; the server gets none of them.
        requests: method and path of what came, in order.
        swallows: whether the next answer to a commit is thrown away: the server has done it, and nobody hears of that.
        meeting: where commits wait for each other before they are passed on.
    """

    def __init__(self, server: str, certificate: trustme.LeafCert | None = None) -> None:
        self.without: set[str] = set()
        self.answer: dict[str, tuple[int, bytes]] = {}
        self.requests: list[str] = []
        self.swallows = False
        self.meeting: threading.Barrier | None = None
        self.server = urlsplit(server).netloc
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else an answer's body waits 40 ms for its head to be acknowledged

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                front.requests.append(f"{self.command} {self.path}")
                is_commit = self.command == "PUT" and self.path.endswith(".json")
                if is_commit and front.meeting:
                    front.meeting.wait(30)
                given = front.answer.get(self.command)
                status, headers, content = (given[0], [], given[1]) if given else front.ask(self, body)
                if front.swallows and is_commit:
                    front.swallows = False
                    self.close_connection = True
                    return
                with contextlib.suppress(ConnectionError):  # who asked is gone
                    self.reply(status, headers or [("Content-Length", str(len(content)))], content)

            def reply(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = pass_on  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._listener.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            self._listener.socket = context.wrap_socket(self._listener.socket, server_side=True)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._listener.server_port}"

    def ask(self, request: http.server.BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """What the server answers."""
        headers = {name: value for name, value in request.headers.items() if name.lower() not in self.without}
        connection = http.client.HTTPConnection(self.server, timeout=30)
        with contextlib.closing(connection):
            connection.request(request.command, request.path, body, headers)
            response = connection.getresponse()
            kept = [
                (name, value) for name, value in response.getheaders() if name.lower() not in {"connection", "date"}
            ]
            return response.status, kept, response.read()

    def __enter__(self) -> Self:
        threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()
