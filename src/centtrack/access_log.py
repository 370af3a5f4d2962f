"""Access logs in Combined and Common Log Format: a line becomes the observation that the middleware would have made."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from centtrack.capture.observation import Observation
from centtrack.errors import CenttrackError, MissingExtraError

if TYPE_CHECKING:
    from apachelogs import LogEntry, LogParser

_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PROPFIND"])
_HEADERS = {"Referer": b"referer", "User-Agent": b"user-agent"}


class LineError(CenttrackError):
    """A line of a log that makes no event. Says why, without any of the line's text."""


@cache
def _parsers() -> tuple[LogParser, ...]:
    try:
        from apachelogs import COMBINED, COMMON, LogParser
    except ImportError:
        raise MissingExtraError("Importing logs", "cli") from None
    return LogParser(COMBINED), LogParser(COMMON)


def read_line(line: bytes) -> Observation:
    """The observation that a line stands for.

    Args:
        line: one line, in Combined or Common Log Format, as Apache and nginx write them.

    Raises:
        LineError: if it is in neither format, or holds no HTTP request.
        MissingExtraError: if apachelogs isn't installed.
    """
    entry = _parse(line.decode("latin-1").strip("\r\n"))
    parts = (entry.request_line or "").split(" ")
    if len(parts) not in {2, 3} or parts[0] not in _METHODS:
        raise LineError("no HTTP request in it")
    path, query = _split_target(parts[1])
    headers = getattr(entry, "headers_in", {})
    return Observation(
        protocol="http",
        peer=entry.remote_host,
        headers=[
            (name, headers[key].encode("latin-1", "replace")) for key, name in _HEADERS.items() if headers.get(key)
        ],
        time=entry.request_time.timestamp(),
        path=unquote(path, errors="replace"),
        query=query.encode("latin-1", "replace"),
        method=parts[0],
        status=entry.final_status,
        response_bytes=entry.bytes_sent or 0,
    )


def _split_target(target: str) -> tuple[str, str]:
    """Path and query of a request's target (RFC 9112, 3.2); a path may begin with two slashes."""
    if not target.startswith("/"):
        try:
            parts = urlsplit(target)
        except ValueError:
            raise LineError("the request's target is no URL") from None
        return parts.path, parts.query
    path, _, query = target.partition("#")[0].partition("?")
    return path, query


def _parse(line: str) -> LogEntry:
    for parser in _parsers():
        try:
            return parser.parse(line)
        except ValueError:  # apachelogs' InvalidEntryError is one
            continue
    raise LineError("neither Combined nor Common Log Format")
