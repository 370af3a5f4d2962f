"""Receivers for sinks that send over HTTP: real servers on the loopback, with or without TLS, kind or hostile."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import trustme


class Request(NamedTuple):
    """What came; header names in small letters, the body unpacked."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What goes back."""

    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""


class Receiver:
    """What a server got, and what it is to answer.

    Attributes:
        port: where it listens on 127.0.0.1.
        requests: what came so far.
        answers: what is answered next; when there is nothing, `usual` is.
        usual: what is answered else.
    """

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[Request] = []
        self.answers: deque[Answer] = deque()
        self.usual = Answer()

    def take(self, request: Request) -> Answer:
        """Note a request; what to answer."""
        self.requests.append(request)
        return self.answers.popleft() if self.answers else self.usual


class Authority:
    """An authority that signs certificates for tests.

    Args:
        folder: for files.

    Attributes:
        file: its own certificate, for option `ca`.
    """

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.folder = folder
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def context(self, *hosts: str, needs_certificate: bool = False) -> ssl.SSLContext:
        """What a server with a certificate for these hosts uses."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._ca.issue_cert(*hosts).configure_cert(context)
        if needs_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            self._ca.configure_trust(context)
        return context

    def certificate(self) -> tuple[Path, Path]:
        """Files of a client's certificate and its key."""
        issued = self._ca.issue_cert("client@example.com")
        certificate, key = self.folder / "client.pem", self.folder / "client.key"
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        return certificate, key


@contextlib.contextmanager
def receiver(context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Receiver]:
    """A server that keeps what it gets.

    Args:
        context: for TLS; None: plain.
        host: the address it listens on.
    """
    it = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = it.take(Request(self.command, self.path, headers, body))
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def handle_error(self, *_: object) -> None:
            pass  # a client that went away

    server = Server((host, 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    it.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield it
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def raw_server(
    behave: Callable[[socket.socket, threading.Event], None], context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """A server that does with a connection whatever it is told; its port.

    Args:
        behave: gets the connection, and an event that is set when the test is over.
        context: for TLS; None: plain.
    """
    over = threading.Event()
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(30)
            with context.wrap_socket(connection, server_side=True) if context else contextlib.nullcontext() as secure:
                behave(secure or connection, over)

    def accept() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                thread = threading.Thread(target=serve, args=(listener.accept()[0],))
                threads.append(thread)
                thread.start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        threads.append(threading.Thread(target=accept))
        threads[0].start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            for thread in tuple(threads):
                thread.join()
