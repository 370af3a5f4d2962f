"""Connections of calls over HTTP: to addresses that were looked at before, and with one deadline over all that is done.

httpx's own time-outs are for one step: who sends a byte now and then would hold a thread for as long as he likes.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence

import httpcore

from centtrack.errors import ConfigurationError

CONNECT_S = 5.0
_PIECE = 65_536  # bytes that are written under one look at the clock
_OUT_OF_TIME = "the whole request takes too long"

Resolve = Callable[[str, int], Sequence[str]]
"""From a host's name and port to the addresses that may be connected to, in order."""


class Network(httpcore.NetworkBackend):
    """Connects for one client.

    Args:
        resolve: says which addresses may be connected to.
    """

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._backend = httpcore.SyncBackend()
        self._streams: set[_Stream] = set()
        self._until = 0.0

    def begin(self, within_s: float) -> None:
        """Set the deadline for what comes."""
        self._until = time.monotonic() + within_s

    @property
    def left_s(self) -> float:
        """Seconds until the deadline; 0 when it has passed."""
        return max(0.0, self._until - time.monotonic())

    def cut(self) -> None:
        """Make whoever connects, reads or writes fail soon.

        The descriptors stay open: closed under a thread that waits for them, they could be those of another file next.
        """
        self._until = 0.0
        for stream in tuple(self._streams):
            stream.cut()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers."""
        refused: Exception = httpcore.ConnectError("there is no address")
        for address in self._resolve(host, port):
            try:
                limit_s = min(CONNECT_S, self.left_s)
                if not limit_s:
                    raise httpcore.ConnectTimeout(_OUT_OF_TIME)
                stream = self._backend.connect_tcp(address, port, limit_s, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refused = error
            else:
                return self._note(_Stream(stream, self))
        raise refused

    def _note(self, stream: _Stream) -> _Stream:
        self._streams.add(stream)
        return stream

    def replace(self, stream: _Stream, by: _Stream | None) -> None:
        """Note that a stream is over, and what goes on in its place."""
        self._streams.discard(stream)
        if by is not None:
            self._note(by)


class _Stream(httpcore.NetworkStream):
    """A connection that ends with its network's deadline, whatever time-out a step has."""

    def __init__(self, inner: httpcore.NetworkStream, network: Network) -> None:
        self._inner = inner
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left_s(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        for start in range(0, len(view), _PIECE):
            self._inner.write(bytes(view[start : start + _PIECE]), self._left_s(httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            secure = self._inner.start_tls(ssl_context, server_hostname, self._left_s(httpcore.ConnectTimeout))
        except Exception as error:
            self.close()
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                said = error.__cause__.verify_message.rstrip(".")
                raise ConfigurationError(
                    f"the certificate of {server_hostname} isn't trusted: {said}. Option ca names another authority"
                ) from None
            raise
        stream = _Stream(secure, self._network)
        self._network.replace(self, by=stream)
        return stream

    def close(self) -> None:
        self._network.replace(self, by=None)
        self._inner.close()

    def cut(self) -> None:
        """See `Network.cut`."""
        with contextlib.suppress(OSError):
            # Not the method of a socket with TLS: it takes TLS off first, and another thread could write in the clear.
            socket.socket.shutdown(self._inner.get_extra_info("socket"), socket.SHUT_RDWR)

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)

    def _left_s(self, too_late: type[Exception]) -> float:
        left_s = self._network.left_s
        if not left_s:
            raise too_late(_OUT_OF_TIME)
        return left_s
