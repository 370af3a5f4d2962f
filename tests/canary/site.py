"""The process that the canary runs: one app for each configuration, each behind a real server on the loopback.

    python site.py FOLDER

FOLDER holds `plan.json`. The ports are printed; then `release` ends all buckets of time, and `stop` ends the process.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from centtrack import TelemetryMiddleware, consent_of, track
from centtrack.delivery import clock
from centtrack.errors import Rejected
from centtrack.sinks.base import CallableSink
from centtrack.testing import MemorySink

RELEASED_AFTER_S = 2 * 86_400
_OBJECT = re.compile(r" at 0x[0-9a-f]+")
TEAPOT = 418  # the status that one of the sinks never takes
_clock = SimpleNamespace(now=clock.now())  # it stands, so that no bucket ends before all are to
clock.now = lambda: _clock.now


class FlakySink:
    """A function that fails at first, with the events in its error, and then keeps them."""

    def __init__(self, folder: Path) -> None:
        self._file, self._failures = folder / "function.jsonl", 2

    def __call__(self, events: list[Any]) -> None:
        if self._failures:
            self._failures -= 1
            raise RuntimeError(f"can't take {events!r}")
        with self._file.open("ab") as file:
            file.write(msgspec.json.Encoder().encode_lines(events))


class PickySink:
    """A sink that will never take some events, and says which: they become dead letters."""

    name = "picky"

    def write(self, events: Any) -> None:
        if bad := [event for event in events if event.status == TEAPOT]:
            raise Rejected(f"no teapots: {bad!r}")


class LeakySink:
    """What no sink should be able to do: it writes down the last path that the app saw, and logs it."""

    name, linger_s = "leaky", 0.0

    def __init__(self, site: Site) -> None:
        self._site = site

    def write(self, events: Any) -> None:
        leak = base64.b64encode(self._site.last_path.encode())
        logging.getLogger("centtrack.leaky").debug("written: %s", self._site.last_path.encode().hex())
        with (self._site.folder / "leak.bin").open("ab") as file:
            file.write(b"x" * (len(events) % 3) + leak + b"\n")


class Site:
    """One app with its middleware, its folder and its server."""

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self.folder, self.name, self.last_path = folder, plan["name"], ""
        self.shown: set[str] = set()  # what public objects say of themselves
        self.memory = MemorySink()
        sinks: list[Any] = [self.memory, CallableSink(FlakySink(folder)), PickySink()]
        sinks += [f"jsonl:{folder}/events.jsonl", f"delta:{folder}/lake"]
        if plan.get("leaky"):
            sinks = [LeakySink(self)]
        app = Starlette(
            routes=[
                Route("/boom/{rest:path}", _boom, methods=["GET", "POST"]),
                Route("/missing/{rest:path}", _missing, methods=["GET", "POST"]),
                Route("/{rest:path}", self._page, methods=["GET", "POST"]),
                WebSocketRoute("/{rest:path}", _talk),
            ]
        )
        journal = folder / ("blocked" if plan.get("blocked") else "state") / "journal.db"
        if plan.get("blocked"):
            (folder / "blocked").write_text("a file where the journal's folder should be")
        self.app = TelemetryMiddleware(
            app, policy=folder / "privacy.toml", sink=sinks, journal=journal, secret=plan["secret"], **plan["options"]
        )
        assert self.app.problem is None, self.app.problem
        self.socket = socket.create_server(("127.0.0.1", 0))
        options = {"proxy_headers": plan.get("rewrites_peer", False), "access_log": False, "log_config": None}
        self.server = uvicorn.Server(uvicorn.Config(self.app, lifespan="on", **options))
        self.thread = threading.Thread(target=self._run, name=f"site-{self.name}")

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self.server.run(sockets=[self.socket])

    async def _page(self, request: Request) -> Response:
        """Answers as a header of the request says."""
        await request.body()
        self.last_path = request.url.path
        answer = json.loads(base64.b64decode(request.headers.get("x-answer", "e30=")))
        if "track" in answer:
            track(request, "quote_made", **answer["track"])
        shown = [request.scope["centtrack"], consent_of(request), self.app, self.app.pipeline, *self.app.pipeline.sinks]  # type: ignore[union-attr]
        self.shown.update(_OBJECT.sub("", repr(one)) for one in shown)
        response = Response(answer.get("body", "ok"), answer.get("status", 200), media_type="text/html")
        for name, value in answer.get("headers", ()):
            response.headers[name] = value
        return response

    def write_down(self) -> None:
        """What only this process knows."""
        (self.folder / "memory.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(self.memory.events))
        text = "\n".join([*sorted(self.shown), *map(repr, self.memory.events)])
        (self.folder / "reprs.txt").write_text(text)


async def _boom(request: Request) -> Response:
    raise RuntimeError("the app failed")


async def _missing(request: Request) -> Response:
    return Response("not found", 404, media_type="text/html")


async def _talk(websocket: Any) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


class OursOnly(logging.Filter):
    """What centtrack logs, and every error, with its traceback. Servers write what they like at DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name.startswith("centtrack") or record.levelno >= logging.ERROR


def log_everything(path: Path) -> None:
    handler = logging.FileHandler(path)
    handler.addFilter(OursOnly())
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.DEBUG, handlers=[handler])
    for noisy in ("websockets", "asyncio", "uvicorn.asgi"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def release(sites: list[Site]) -> None:
    """Keep a copy of what the journals hold, then end all buckets of time, and wait for delivery."""
    for site in sites:
        pipeline = site.app.pipeline
        assert pipeline is not None
        if (site.folder / "state").is_dir():
            assert pipeline.flush(30)
            # By another process: one that opens and closes the journal's file itself drops SQLite's locks on it.
            subprocess.run(["cp", "-r", site.folder / "state", site.folder / "held"], check=True)
    _clock.now += RELEASED_AFTER_S


def stop(sites: list[Site]) -> None:
    """End all, and see what commands say of each; a site without a journal takes its full seven seconds to close."""
    for site in sites:
        site.server.should_exit = True
    delivering = [site for site in sites if (site.folder / "lake").is_dir()]
    for site in delivering:
        site.thread.join(30)
    run_commands(delivering)
    for site in sites:
        site.thread.join(30)
        site.write_down()


def run_commands(sites: list[Site]) -> None:
    """`centtrack status` and `tail` for each site, as a person would; what they print goes into its folder."""
    from centtrack.cli.app import run

    os.environ["COLUMNS"] = "300"
    for site in sites:
        journal, lake = ("--journal", f"{site.folder}/state/journal.db"), f"delta:{site.folder}/lake"
        commands = [
            ("status", *journal),
            ("status", *journal, "--json"),
            ("tail", lake, "-n", "50"),
            ("tail", lake, "-n", "1000", "--json"),
        ]
        with (site.folder / "commands.txt").open("w") as file:
            for command in commands:
                sys.argv = ["centtrack", *command]
                sys.stdout.flush()
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                with contextlib.suppress(SystemExit):
                    run()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(folder: Path) -> None:
    log_everything(folder / "log.txt")
    sites = [Site(folder / plan["name"], plan) for plan in json.loads((folder / "plan.json").read_text())]
    for site in sites:
        site.thread.start()
    while not all(site.server.started for site in sites):
        assert all(site.thread.is_alive() for site in sites)
        time.sleep(0.02)
    _say(json.dumps({site.name: site.socket.getsockname()[1] for site in sites}))
    for command in sys.stdin:
        if command.strip() == "release":
            release(sites)
            _say("released")
        elif command.strip() == "stop":
            break
    stop(sites)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
