"""An HTTP client for load: keep-alive connections, full speed or a steady rate, and how long each answer took."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from typing import NamedTuple


class Load(NamedTuple):
    """What a server was asked, and how it answered.

    Attributes:
        latencies: seconds that each answer took, in order of the answers.
        failed: requests that had no answer, or one that isn't 200.
        seconds: how long all of it took.
    """

    latencies: list[float]
    failed: int
    seconds: float

    @property
    def answered(self) -> int:
        """Requests that were answered with 200."""
        return len(self.latencies)

    def percentile(self, share: float) -> float:
        """The time, in seconds, that this share of the answers didn't take longer than."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[bool] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if not length:
            return  # a refusal, which lasts until the server closes the connection
        if len(body) >= int(length):
            self._received = b""
            self._finish(head.startswith(b"HTTP/1.1 200"))
        elif self._transport is not None:
            _acknowledge(self._transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._finish(False)

    def _finish(self, is_good: bool) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(is_good)

    async def ask(self, host: str, port: int, request: bytes) -> bool:
        """Send a request; whether the answer is 200."""
        if self._transport is None:
            try:
                await asyncio.get_running_loop().create_connection(lambda: self, host, port)
            except OSError:
                return False
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _acknowledge(transport: asyncio.Transport) -> None:
    """Acknowledge what came at once. A server of several workers sends head and body apart, and waits for that."""
    if hasattr(socket, "TCP_QUICKACK"):  # Linux
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


async def load(
    port: int,
    requests: Sequence[bytes],
    *,
    host: str = "127.0.0.1",
    connections: int = 8,
    per_second: float | None = None,
) -> Load:
    """Send requests, each once.

    Args:
        port: of the server, on the loopback.
        requests: as bytes, complete.
        host: the server's address.
        connections: how many at once.
        per_second: the rate; None: as fast as the answers come.
    """
    visit = _Visit(host, port, requests, connections, per_second)
    await asyncio.gather(*map(visit.go, range(connections)))
    return Load(visit.latencies, visit.failed, time.perf_counter() - visit.started)


class _Visit:
    """Requests dealt out to connections.

    At a rate, an answer's time counts from when its request was due if the connection still waited for another answer
    then: else a stall would hide what it delays.
    """

    def __init__(
        self, host: str, port: int, requests: Sequence[bytes], connections: int, per_second: float | None
    ) -> None:
        self.latencies: list[float] = []
        self.failed = 0
        self.started = time.perf_counter()
        self._host, self._port, self._requests = host, port, requests
        self._connections, self._per_second = connections, per_second

    async def go(self, first: int) -> None:
        """Send each so many-th request, from the first on."""
        client, free_since = _Connection(), self.started
        for place in range(first, len(self._requests), self._connections):
            begun = await self._begin(place, free_since)
            if await client.ask(self._host, self._port, self._requests[place]):
                self.latencies.append(time.perf_counter() - begun)
            else:
                self.failed += 1
            free_since = time.perf_counter()
        client.close()

    async def _begin(self, place: int, free_since: float) -> float:
        """Wait until a request is due; when its time begins to count."""
        if self._per_second is None:
            return time.perf_counter()
        due = self.started + place / self._per_second
        if due < free_since:
            return due
        await asyncio.sleep(due - time.perf_counter())
        return time.perf_counter()
