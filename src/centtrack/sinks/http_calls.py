"""Calls over HTTP, for the sinks that make them, and what an answer means for a batch."""

from __future__ import annotations

import base64
import codecs
import datetime as dt
import os
import ssl
import threading
from collections.abc import Collection, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from centtrack import __version__
from centtrack.errors import ConfigurationError, MissingExtraError, Rejected, RetryLater
from centtrack.locks import no_fork
from centtrack.sinks.causes import find_cause
from centtrack.sinks.destination import look_up
from centtrack.sinks.tls import Tls
from centtrack.sinks.url import SinkUrl

if TYPE_CHECKING:
    from centtrack.sinks.network import Resolve

try:
    import httpcore  # what httpx connects with
    import httpx

    from centtrack.sinks.network import Network
except ImportError:
    httpx = None  # type: ignore[assignment]

_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})  # RFC 9110, 6585, 8470
_REFUSED = {400, 413, 415, 422}  # the batch, or an event of it
_LONGEST_WAIT_S = 3_600.0
_MAX_ANSWER = 65_536  # bytes that are read of an answer
_UNPACKED = {b"content-encoding", b"content-length", b"transfer-encoding"}  # don't hold for what was read

codecs.lookup("idna")  # loaded now: looking a name up needs it, and a fork must not find it half imported


def need_httpx(what: str, extra: str) -> None:
    """See that the client is installed.

    Raises:
        MissingExtraError: if it isn't.
    """
    if httpx is None:
        raise MissingExtraError(what, extra)


def authorization(url: SinkUrl) -> dict[str, str]:
    """The header for user and password of a URL (RFC 7617); none if it has none."""
    if url.user is None and url.password is None:
        return {}
    credentials = f"{url.user or ''}:{url.password or ''}".encode()
    return {"authorization": f"Basic {base64.b64encode(credentials).decode()}"}


class HttpCaller:
    """Sends requests to one place. Redirects aren't followed, no proxy of the environment is used, no cookie is kept.

    Args:
        name: of the sink, for errors.
        tls: for `https://`.
        timeout_s: for a request as a whole, in seconds, but for the look-up of a name, which the system limits.
        resolve: says which addresses may be connected to; by default all that the system knows.
    """

    def __init__(self, name: str, tls: Tls, timeout_s: float, resolve: Resolve = look_up) -> None:
        self._name = name
        self._tls = tls
        self._timeout_s = timeout_s
        self._resolve = resolve
        self._line: _Line | None = None

    def open(self) -> None:
        """Make the client. Does nothing if there is one, unless a parent process made it."""
        self._opened()

    def _opened(self) -> _Line:
        line = self._line
        if line is None or line.process != os.getpid():
            with no_fork():
                self._line = line = _Line(self._tls.context(), self._resolve)
        return line

    def close(self) -> None:
        """End it. A request that another thread is making fails."""
        line, self._line = self._line, None
        if line is not None and line.process == os.getpid():
            line.close()

    def post(
        self, url: str, content: bytes, headers: Mapping[str, str], *, params: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """POST something; the answer, whatever its status, with the first 64 KiB of its content.

        Args:
            url: in ASCII.
            content: the body.
            headers: beside the usual ones.
            params: for the query.

        Raises:
            RetryLater: if there is no answer in time.
            ConfigurationError: if the server's certificate isn't trusted, an address of it may not be connected to, or
                a header can't be sent.
        """
        line = self._opened()
        target = f"{url}?{urlencode(params)}" if params else url
        try:
            return line.post(target, content, headers, self._timeout_s)
        except httpcore.LocalProtocolError:
            raise ConfigurationError(
                f"{self._name}: user, password or a header holds a character that can't be sent"
            ) from None
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            raise RetryLater(f"{self._name} does not answer: {find_cause(error)}") from None


class _Line:
    """A client of one process. Requests of several threads follow each other; another thread may close it."""

    def __init__(self, context: ssl.SSLContext, resolve: Resolve) -> None:
        self.process = os.getpid()
        self._network = Network(resolve)
        self._pool = httpcore.ConnectionPool(context, max_connections=1, network_backend=self._network)
        self._using = threading.Lock()
        self._is_closed = False

    def post(self, url: str, content: bytes, headers: Mapping[str, str], timeout_s: float) -> httpx.Response:
        target = httpcore.URL(url)
        fields = {
            "host": _host_of(target),
            "user-agent": f"centtrack/{__version__}",
            "accept-encoding": "identity",
            **{name.lower(): value for name, value in headers.items()},
        }
        encoded = [(name.encode(), value.encode()) for name, value in fields.items()]
        try:
            with self._using:
                self._network.begin(timeout_s)
                with self._pool.stream("POST", target, headers=encoded, content=content) as answer:
                    kept = [(name, value) for name, value in answer.headers if name.lower() not in _UNPACKED]
                    response = httpx.Response(answer.status, headers=kept, content=_read_beginning(answer))
        finally:
            if self._is_closed:
                self.close()
        # Never what the answer names as its charset: to Python, `bz2` is a codec too, and 64 KB of it become gigabytes.
        response.encoding = "utf-8"
        return response

    def close(self) -> None:
        """End it: a request that is being made fails, and then closes the connection itself."""
        self._is_closed = True
        self._network.cut()
        if self._using.acquire(blocking=False):
            try:
                self._pool.close()
            finally:
                self._using.release()


def _host_of(url: httpcore.URL) -> str:
    """What the header Host says; httpcore's own lacks the brackets of IPv6."""
    host = url.host.decode()
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if url.port is None else f"{bracketed}:{url.port}"


def _read_beginning(answer: httpcore.Response) -> bytes:
    """What is read of an answer's content: the rest, were it endless, goes with the connection."""
    content = bytearray()
    for part in answer.iter_stream():
        content += part
        if len(content) >= _MAX_ANSWER:
            break
    return bytes(content[:_MAX_ANSWER])


def raise_for_answer(name: str, response: httpx.Response, later: Collection[int] = _LATER) -> None:
    """What a status says that isn't a success.

    Args:
        name: of the sink.
        response: the answer. Its text isn't shown: it may quote events.
        later: statuses after which the same batch is tried again.

    Raises:
        RetryLater: if it may work again, after `Retry-After` (RFC 9110, 10.2.3).
        Rejected: if the batch, or an event of it, will never be accepted.
        ConfigurationError: if somebody must mend something, as credentials or the address.
    """
    status = response.status_code
    if response.is_success:
        return
    if status in later:
        raise RetryLater(f"{name} answers {status}", after_s=retry_after(response))
    if status in _REFUSED:
        raise Rejected(f"{name} answers {status}")
    if 300 <= status < 400:
        raise ConfigurationError(
            f"{name} answers {status}, a redirect: redirects aren't followed, name the new address"
        )
    means = {401: "credentials are missing or wrong", 403: "this isn't permitted", 404: "there is nothing there"}
    raise ConfigurationError(f"{name} answers {status}: {means.get(status, 'it does not take events this way')}")


def retry_after(response: httpx.Response) -> float | None:
    """How long the server wants to be left alone, in seconds, an hour at most; None if it doesn't say."""
    text = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(text) if text.isdecimal() else _seconds_until(text)
    except (OverflowError, TypeError, ValueError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT_S)


def _seconds_until(text: str) -> float:
    moment = parsedate_to_datetime(text)
    return (moment.astimezone(dt.UTC) - dt.datetime.now(dt.UTC)).total_seconds()
