"""A site for load, with and without the middleware, and what its processes use."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

import psutil

from faults.apps import accepted, dropped, offered
from faults.judge import TESTS, IdFile
from servers import Server, Site

APP = f'''
import os, sys, time
from pathlib import Path
sys.path.insert(0, {str(TESTS)!r})
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from centtrack import TelemetryMiddleware
from faults.judge import IdFile

served = 0

class SlowFile(IdFile):
    timeout_s = None  # a batch may take longer than any time-out
    taken = 0

    def write(self, batch):
        """As slow as the load wants it: else what comes of it would depend on how fast the machine is."""
        while served < 10 * self.taken:
            time.sleep(0.01)
        super().write(batch)
        self.taken += len(batch)

async def page(request):
    global served
    served += 1
    return HTMLResponse("<!doctype html><title>page</title>" + "<p>x</p>" * 50)

app = Starlette(routes=[Route("/", page), Route("/{{rest:path}}", page)])
if "BARE" not in os.environ:
    options = {{"max_bytes": int(os.environ["MAX_BYTES"])}} if "MAX_BYTES" in os.environ else {{}}
    kind = SlowFile if "SLOW_SINK" in os.environ else IdFile
    app.add_middleware(
        TelemetryMiddleware, policy="privacy.toml", sink=kind(Path("ids")), journal="state/journal.db",
        trusted_proxies=1, **options,
    )
'''
POLICY = """
[limits.default]
time = "second"
page = "path"
referrer = "domain"
browser = "full"
language = "primary"
"""


class LoadedSite(Site):
    """A site whose sink keeps ids in a file.

    Args:
        folder: of its own.
        policy: its text.
    """

    def __init__(self, folder: Path, policy: str = POLICY) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder, policy=policy, app=APP)
        self.ids = IdFile(folder / "ids")

    def totals(self) -> dict[str, int]:
        """What all workers offered, accepted and, by reason, dropped."""
        counts = self.counts()
        return {"offered": offered(counts), "accepted": accepted(counts), **dropped(counts)}


def page_requests(count: int, first: int = 0) -> list[bytes]:
    """Visits, each to a path of its own."""
    return [_HEAD.format(number=number).encode() for number in range(first, first + count)]


_HEAD = "\r\n".join((
    "GET /{number} HTTP/1.1",
    "host: shop.example",
    "user-agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "accept: text/html",
    "accept-language: ru-KZ,ru;q=0.9,kk;q=0.8,en;q=0.7",
    "referer: https://www.google.com/",
    "x-forwarded-for: 203.0.113.77",
    "\r\n",
))  # fmt: skip


class Usage(NamedTuple):
    """What the processes of a server use together."""

    rss: int
    descriptors: int
    threads: int


def usage_of(server: Server) -> Usage:
    """What a server and its workers use now."""
    parent = psutil.Process(server.process.pid)
    found = [Usage(0, 0, 0)]
    for process in (parent, *parent.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess), process.oneshot():
            found.append(Usage(process.memory_info().rss, process.num_fds(), process.num_threads()))
    return Usage(*map(sum, zip(*found, strict=True)))
