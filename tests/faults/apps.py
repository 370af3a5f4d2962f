"""An app behind the middleware in this process, and visits to it."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from asgi import body, sending, start
from centtrack import PrivacyPolicy, TelemetryMiddleware
from centtrack.delivery.journal.counters import Counts, read_counts
from centtrack.sinks.base import Sink
from centtrack.testing import make_scope

POLICY = """
[limits.default]
time = "second"
page = "path"
"""
open_hosts: list[Host] = []
"""Those that a test that fails leaves behind."""

_ANSWER = [start(200), body(b"hello ", more=True), body(b"world")]


class Host:
    """Answers every path, and counts the visits.

    Attributes:
        visited: path → visits. Each was answered as if the middleware weren't there.
        journal: its journal's file.
    """

    def __init__(self, folder: Path, *sinks: Sink, policy: str = POLICY, **options: Any) -> None:
        self.visited: Counter[str] = Counter()
        self.journal = folder / "state" / "journal.db"
        settings = {"policy": PrivacyPolicy.parse(policy), "sink": list(sinks), "journal": self.journal, **options}
        self.app = TelemetryMiddleware(sending(*_ANSWER), **settings)
        assert self.app.problem is None, self.app.problem
        open_hosts.append(self)
        self._runner = asyncio.Runner()  # its descriptors are there before a test takes them away

    @property
    def pipeline(self) -> Any:
        """Its pipeline."""
        return self.app.pipeline

    def visit(self, count: int, prefix: str = "/") -> None:
        """Visit that many paths that nobody visited before."""
        first = self.visited.total()
        self._runner.run(self._visit([f"{prefix}{number}" for number in range(first, first + count)]))

    def visit_all(self, count: int, prefix: str = "/", *, at_once: int = 1_000) -> None:
        """The same, but never faster than the recorder commits."""
        for done in range(0, count, at_once):
            self.visit(min(at_once, count - done), prefix)
            assert self.pipeline.flush(60)

    async def _visit(self, paths: list[str]) -> None:
        for path in paths:
            sent: list[dict[str, Any]] = []

            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": b"", "more_body": False}

            async def send(message: Any, sent: list[dict[str, Any]] = sent) -> None:
                sent.append(message)

            await self.app(make_scope(path=path), receive, send)
            assert [{**message, "headers": None} for message in sent] == [
                {**message, "headers": None} for message in _ANSWER
            ]
            self.visited[path] += 1

    def counts(self) -> Counts:
        """The journal's counters."""
        return read_counts(self.journal)

    def close(self) -> None:
        """End as a server would end it."""
        open_hosts.remove(self)
        with self._runner:
            self._runner.run(self.app.aclose())


def offered(counts: Counts) -> int:
    """By all workers."""
    return sum(worker.offered for worker in counts.workers)


def accepted(counts: Counts) -> int:
    """By all workers."""
    return sum(worker.accepted for worker in counts.workers)


def dropped(counts: Counts) -> dict[str, int]:
    """Reason → events, of all workers."""
    return dict(sum((Counter(worker.dropped) for worker in counts.workers), Counter()))
