"""Real servers on the loopback, each with a folder of its own, always ended."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from centtrack.delivery.journal.counters import Counts, WorkerCounts, read_counts
from processes import kill_group
from waiting import eventually

LOOPBACK = "127.0.0.1"

POLICY = """
[limits.default]
time = "second"
page = "path"
"""

APP = """
import os
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from centtrack import TelemetryMiddleware

async def page(request):
    return PlainTextResponse(str(os.getpid()))

app = Starlette(routes=[Route("/{number}", page)])
app.add_middleware(
    TelemetryMiddleware, policy="privacy.toml", sink=["delta:lake", "jsonl:events.jsonl"], journal="state/journal.db"
)
"""


class Site:
    """A folder with an app, its policy, its journal and its sinks."""

    def __init__(self, folder: Path, *, policy: str = POLICY, app: str = APP) -> None:
        self.folder = folder
        (folder / "privacy.toml").write_text(policy)
        (folder / "app.py").write_text(app)

    def counts(self) -> Counts:
        """The counters of its journal."""
        return read_counts(self.folder / "state" / "journal.db")

    def workers(self) -> list[WorkerCounts]:
        """What each worker counted; none before there is a journal."""
        return self.counts().workers if (self.folder / "state" / "journal.db").exists() else []

    def accepted(self) -> int:
        """Events that all workers committed."""
        return sum(worker.accepted for worker in self.workers())

    def wait_for_delivery(self) -> None:
        """Wait until nothing is pending for any sink."""
        eventually(lambda: all(sink.pending == 0 for sink in self.counts().sinks))


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self._log = log

    def get(self, path: str) -> str:
        """The body of an answer with status 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            assert response.status == 200
            return response.read().decode()

    def log(self) -> str:
        """What it printed so far."""
        return self._log.read_text()

    def stop(self, within_s: float = 30) -> int:
        """Ask it to end, and wait until it has, and its workers."""
        self.process.terminate()
        code = self.process.wait(within_s)
        eventually(lambda: not self.is_there())
        return code

    def is_there(self) -> bool:
        """Whether any of its processes lives."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True


class Way(NamedTuple):
    """A way to run an app.

    Attributes:
        command: arguments of Python's `-m`; `{port}` stands for the port.
        workers: how many there are.
        tells: whether each worker tells the app when it is to end, so that nothing waits for the next start.
        grace: how it is told to end within a second.
        ready: what it prints when a worker is; before, some don't take notice of a signal.
    """

    command: str
    workers: int = 1
    tells: bool = True
    grace: str = ""
    ready: str = ""


_UVICORN = "uvicorn app:app --port {port} --no-access-log"
_GUNICORN = "gunicorn app:app --bind 127.0.0.1:{port} --no-control-socket --workers"
_HYPERCORN = "hypercorn app:app --bind 127.0.0.1:{port}"
_GRANIAN = "granian app:app --host 127.0.0.1 --port {port} --interface"
WAYS = {
    "uvicorn": Way(_UVICORN, grace="--timeout-graceful-shutdown 1"),
    "uvicorn, workers": Way(_UVICORN + " --workers 2", 2),
    "uvicorn, reload": Way(_UVICORN + " --reload"),
    "uvicorn, no lifespan": Way(_UVICORN + " --lifespan off", tells=False),
    "gunicorn, uvicorn workers": Way(_GUNICORN + " 2 -k uvicorn_worker.UvicornWorker", 2, grace="--graceful-timeout 1"),
    "gunicorn, preload": Way(_GUNICORN + " 4 -k uvicorn_worker.UvicornWorker --preload", 4),
    "gunicorn, asgi workers": Way(_GUNICORN + " 2 -k asgi", 2, grace="--graceful-timeout 1"),
    "hypercorn": Way(_HYPERCORN, grace="--graceful-timeout 1"),
    "hypercorn, trio": Way(_HYPERCORN + " -k trio", grace="--graceful-timeout 1"),
    "hypercorn, workers": Way(_HYPERCORN + " -w 2", 2, tells=False),  # the first that has ended ends the others
    "granian": Way(_GRANIAN + " asgi", grace="--workers-kill-timeout 1", ready="Started worker"),
    "granian, workers": Way(_GRANIAN + " asgi --workers 2", 2, ready="Started worker"),
    "granian, no lifespan": Way(_GRANIAN + " asginl", tells=False, ready="Started worker"),
}


_given: set[int] = set()  # some are bound only later


def free_port() -> int:
    """A port that nobody listens on, and that no other socket is given by itself: it is free when it is bound again."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)  # systems give those from 32,768 on
        if port in _given:
            continue
        with contextlib.suppress(OSError), socket.create_server((LOOPBACK, port)):
            _given.add(port)
            return port


def uvicorn(
    site: Site, *options: str, waits: bool = True, host: str = LOOPBACK
) -> contextlib.AbstractContextManager[Server]:
    """Run the site's app under uvicorn until the end of the block.

    Args:
        site: what to run.
        *options: more of uvicorn's options.
        waits: whether to wait until it listens.
        host: the address that it listens on.
    """
    return serve(site, "uvicorn", *options, *(["--host", host] if host != LOOPBACK else []), waits=waits, host=host)


@contextlib.contextmanager
def serve(site: Site, way: str, *options: str, waits: bool = True, host: str = LOOPBACK) -> Iterator[Server]:
    """Run the site's app until the end of the block.

    Args:
        site: what to run.
        way: how, of `WAYS`.
        *options: more of that server's options.
        waits: whether to wait until it listens.
        host: the address that it listens on, if the options say so.
    """
    port, log = free_port(), site.folder / "server.log"
    command = [sys.executable, "-m", *WAYS[way].command.format(port=port).split(), *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=site.folder, stdout=output, stderr=output, text=True, start_new_session=True, env=environment
        )
    server = Server(process, port, log)
    try:
        if waits:
            eventually(lambda: process.poll() is not None or (listens(port, host) and is_ready(server, WAYS[way])))
            assert process.poll() is None, server.log()
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        kill_group(process)


def is_ready(server: Server, way: Way) -> bool:
    """Whether all its workers said so, if they do."""
    return not way.ready or server.log().count(way.ready) >= way.workers


def listens(port: int, host: str = LOOPBACK) -> bool:
    """Whether somebody answers on a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


class Load:
    """Visits from several threads at once, each to a path of its own, until told to stop or all are done."""

    def __init__(self, server: Server, *, threads: int = 4, each: int, prefix: str = "") -> None:
        self.answered: list[str] = []
        self.workers: set[str] = set()
        self._server = server
        self._prefix = prefix
        self._threads = [
            threading.Thread(target=self._visit, args=(range(number * each, (number + 1) * each),))
            for number in range(threads)
        ]

    def start(self) -> Load:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def finish(self) -> Load:
        """Wait until all is visited, or the server is gone."""
        for thread in self._threads:
            thread.join(120)
        return self

    def _visit(self, numbers: range) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):  # the server was killed
            for number in numbers:
                self.workers.add(self._server.get(f"{self._prefix}/{number}"))
                self.answered.append(f"{self._prefix}/{number}")
