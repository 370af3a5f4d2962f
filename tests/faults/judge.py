"""Counting sinks, which keep the ids of events: in memory, in a file, and in a server that can misbehave."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec

from centtrack import Event
from centtrack.errors import ConfigurationError, Rejected, RetryLater
from centtrack.sinks.base import Batch

TESTS = Path(__file__).parent.parent
"""An app in a process of its own puts it first in `sys.path`, to say `from faults.judge import …`."""


class _Seen(msgspec.Struct):
    event_id: str
    path: str | None = None


_decoder = msgspec.json.Decoder(_Seen)


class Verdict(NamedTuple):
    """What arrived.

    Attributes:
        delivered: events, repeated ones counted each time.
        distinct: different events.
        batches: batches taken.
    """

    delivered: int
    distinct: int
    batches: int

    @property
    def doubled(self) -> int:
        """Events beyond the first of their id."""
        return self.delivered - self.distinct


class CountingSink:
    """Keeps ids in memory. `stores`, so that what is true of a sink that keeps events is true of it.

    Args:
        before: called with each batch before it is taken; may raise or wait.
        name: its own.
    """

    linger_s = 0.0

    def __init__(self, before: Callable[[Batch], object] = lambda _: None, *, name: str = "counting") -> None:
        self.name = name
        self.before = before
        self.ids: Counter[str] = Counter()
        self.paths: Counter[str | None] = Counter()
        self.batches = 0

    def write(self, batch: Sequence[Event]) -> None:
        """Take a batch."""
        assert isinstance(batch, Batch)
        self.before(batch)
        seen = _decoder.decode_lines(batch.lines)
        self.ids.update(event.event_id for event in seen)
        self.paths.update(event.path for event in seen)
        self.batches += 1

    @property
    def verdict(self) -> Verdict:
        """What arrived."""
        return Verdict(self.ids.total(), len(self.ids), self.batches)


class Taken(NamedTuple):
    """An event that an `IdFile` took.

    Attributes:
        event_id: its id.
        path: its path.
        sequence: of the batch it came in; a repeated batch has the same.
        pid: the process that delivered it.
    """

    event_id: str
    path: str
    sequence: int
    pid: int


class IdFile:
    """Appends a line for each event to a file: for processes that are killed.

    A batch is one write, so that it is there as a whole or not at all.
    """

    linger_s = 0.0

    def __init__(self, path: Path, *, name: str = "id-file") -> None:
        self.name = name
        self.path = path

    def write(self, batch: Sequence[Event]) -> None:
        """Take a batch."""
        assert isinstance(batch, Batch)
        end = f"{batch.sequence} {os.getpid()}\n"
        lines = "".join(f"{event.event_id} {event.path} {end}" for event in _decoder.decode_lines(batch.lines)).encode()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            written = os.write(descriptor, lines)
        finally:
            os.close(descriptor)
        assert written == len(lines)

    def taken(self) -> list[Taken]:
        """What arrived, in its order. A line that is still being written has no end yet."""
        lines = self.path.read_text().split("\n")[:-1] if self.path.exists() else []
        return [Taken(words[0], words[1], int(words[2]), int(words[3])) for words in map(str.split, lines)]

    def ids(self) -> Counter[str]:
        """Id → how often it arrived."""
        return Counter(taken.event_id for taken in self.taken())

    def paths(self) -> Counter[str]:
        """Path → how often it arrived."""
        return Counter(taken.path for taken in self.taken())

    def doubled_batches(self) -> set[int]:
        """Batches that hold an event that arrived before."""
        seen: set[str] = set()
        doubled: set[int] = set()
        for taken in self.taken():
            if taken.event_id in seen:
                doubled.add(taken.sequence)
            seen.add(taken.event_id)
        return doubled


class JudgeSink:
    """Posts batches to a `Judge`, as a client of some service would: from another process, over a socket.

    Args:
        port: of the judge.
        linger_s: how long events gather.
        timeout_s: see `centtrack.sinks.base`; the client itself waits for ever.
    """

    def __init__(
        self, port: int, *, name: str = "judge", linger_s: float = 0.0, timeout_s: float | None = 30.0
    ) -> None:
        self.name = name
        self.linger_s = linger_s
        self.timeout_s = timeout_s
        self._port = port
        self._connection: http.client.HTTPConnection | None = None

    def write(self, batch: Sequence[Event]) -> None:
        """Post a batch."""
        assert isinstance(batch, Batch)
        connection = self._connection = http.client.HTTPConnection("127.0.0.1", self._port)
        try:
            connection.request("POST", "/", batch.lines)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status == 429:
            raise RetryLater(text, after_s=float(response.headers["Retry-After"]))
        if response.status == 401:
            raise ConfigurationError(text)
        if response.status == 400:
            raise Rejected(text)
        assert response.status == 200

    def close(self) -> None:
        """Give up a request that is under way."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            connection.sock.shutdown(2)


class Judge:
    """The server of `JudgeSink`s, in a process of its own.

    Attributes:
        port: where batches go.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("judge_server.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.port = int(self._answer()["port"])

    def behave(self, how: str, *, times: int = -1, text: str = "") -> None:
        """Say what it does from now on.

        Args:
            how: `take`; `hang`: take the request and never answer; `refuse`: don't listen; `429` with `text` as
                Retry-After; `401`; `400` if the batch has `text` in it, else it is taken; `drop`: take the batch and
                close the connection without an answer; `slow`: take `text` events a second.
            times: for how many batches, then it takes them; -1: for ever.
            text: see above.
        """
        self._ask("behave", how, str(times), text)

    def verdict(self) -> Verdict:
        """What arrived."""
        answer = self._ask("verdict")
        return Verdict(answer["delivered"], answer["distinct"], answer["batches"])

    def attempts(self) -> int:
        """Batches that were offered, taken or not."""
        return int(self._ask("verdict")["attempts"])

    def ids(self) -> Counter[str]:
        """Id → how often it arrived."""
        return Counter(self._ask("ids")["ids"])

    def arrivals(self) -> list[tuple[float, int]]:
        """(seconds by the monotonic clock, events) of each batch that it took."""
        return [(when, count) for when, count in self._ask("arrivals")["arrivals"]]

    def _ask(self, *words: str) -> Any:
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(msgspec.json.encode(words).decode() + "\n")
            self._process.stdin.flush()
            return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return msgspec.json.decode(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with self._process:
            self._process.wait(30)
