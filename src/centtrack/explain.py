"""Why an event looks as it does: which address was believed, which limits applied, what came out."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from centtrack.capture.capture import ANALYTICS, Capture, Excluded
from centtrack.capture.headers import read_headers
from centtrack.capture.observation import Observation
from centtrack.errors import ConfigurationError
from centtrack.event import COLUMNS, Event
from centtrack.policy.model import LIMIT_NAMES


class LimitRow(NamedTuple):
    """One limit and what it left.

    Attributes:
        limit: name of the limit.
        level: the level in force.
        set_to: the level that the file sets for this tier; finer than `level` if the ceiling or a waiver's end cut it.
        columns: the event's columns under this limit that hold something.
    """

    limit: str
    level: str
    set_to: str
    columns: dict[str, Any]


class Explanation(NamedTuple):
    """The way of one request.

    Attributes:
        address: the address that was believed, as text.
        reason: why.
        tier: `default` or `consented`.
        consent_source: where the consent came from.
        limits: each limit that applied.
        event: the event; or why there is none.
    """

    address: str | None
    reason: str
    tier: str
    consent_source: str
    limits: list[LimitRow]
    event: Event | Excluded


def explain(capture: Capture, seen: Observation) -> Explanation:
    """Explain one request under a policy."""
    client = capture.proxies.resolve(seen.peer, capture.proxies.read_chain(read_headers(seen.headers)))
    consent = capture.consent_of(seen.headers)
    consented = consent.allows(ANALYTICS)
    event = capture.capture(seen)
    limits = capture.policy.limits(consented=consented)
    tiers = capture.policy.document.limits
    written = (tiers.consented or tiers.default) if consented else tiers.default
    rows = [
        LimitRow(name, getattr(limits, name).label, getattr(written, name).label, _columns_under(name, event))
        for name in LIMIT_NAMES
    ]
    address = str(client.address) if client.address else None
    return Explanation(address, client.reason, "consented" if consented else "default", consent.source, rows, event)


def _columns_under(limit: str, event: Event | Excluded) -> dict[str, Any]:
    if isinstance(event, Excluded):
        return {}
    values = {column.name: getattr(event, column.name) for column in COLUMNS if column.limit == limit}
    return {name: value for name, value in values.items() if value is not None}


_WITH_VALUE = {
    "-X": "method", "--request": "method", "-H": "header", "--header": "header", "-A": "user-agent",
    "--user-agent": "user-agent", "-e": "referer", "--referer": "referer", "-b": "cookie", "--cookie": "cookie",
    "-d": "data", "--data": "data", "--data-raw": "data", "-o": "", "--output": "", "-m": "", "--max-time": "",
}  # fmt: skip
_FLAGS = {
    "-s", "-S", "-sS", "-v", "-k", "-L", "-i", "--silent", "--verbose", "--insecure", "--location", "--compressed",
    "--http1.1", "--http2", "--include",
}  # fmt: skip


def read_curl(line: str, peer: str | None) -> Observation:
    """The observation of a request that is written as a curl command, as browsers copy it.

    Args:
        line: the command, with or without `curl` in front.
        peer: who connects to the app; None for a Unix socket.

    Raises:
        ConfigurationError: if there is no URL in it, or an option that isn't known.
    """
    try:
        words = iter(shlex.split(line.replace("\\\n", " ")))
    except ValueError as error:
        raise ConfigurationError(f"the curl command can't be read: {error}: is a quote missing?") from None
    method, url, headers = "", "", []
    for word in words:
        option, joined, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if option in {"-I", "--head"}:
            method = "HEAD"
        elif option in _WITH_VALUE:
            kind = _WITH_VALUE[option]
            value = value if joined else next(words, "")
            method = {"method": value, "data": method or "POST"}.get(kind, method)
            headers += _header(kind, value)
        elif word.startswith("-") and word not in _FLAGS:
            raise ConfigurationError(f"curl option {word} is not known here; use -X, -H, -A, -e, -b, -d, -I and a URL")
        elif not word.startswith("-") and word != "curl":
            url = word
    if not url:
        raise ConfigurationError("there is no URL in the curl command")
    return _observation(url, method or "GET", headers, peer)


def _header(kind: str, value: str) -> list[tuple[str, str]]:
    if kind == "header":
        name, _, content = value.partition(":")
        return [(name.strip().lower(), content.strip())]
    return [(kind, value)] if kind in {"user-agent", "referer", "cookie"} else []


def _observation(url: str, method: str, headers: Sequence[tuple[str, str]], peer: str | None) -> Observation:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    given = {name for name, _ in headers}
    host = [] if "host" in given else [("host", parts.netloc.rpartition("@")[2])]
    return Observation(
        protocol="http",
        peer=peer,
        headers=[(name.encode("latin-1", "replace"), value.encode("utf-8")) for name, value in [*host, *headers]],
        time=time.time(),
        path=unquote(parts.path or "/", errors="replace"),
        query=parts.query.encode(),
        method=method.upper(),
    )


def read_scope(text: str) -> Observation:
    """The observation of an ASGI scope that is written as JSON; headers as pairs of strings.

    Raises:
        ConfigurationError: if it is no JSON object of that form.
    """
    try:
        scope: Mapping[str, Any] = msgspec.json.decode(text, type=dict)
        client = scope.get("client")
        return Observation(
            protocol="websocket" if scope.get("type") == "websocket" else "http",
            peer=client[0] if client else None,
            headers=[
                (str(name).lower().encode("latin-1"), str(value).encode()) for name, value in scope.get("headers", [])
            ],
            time=time.time(),
            path=str(scope.get("path", "/")),
            query=str(scope.get("query_string", "")).encode(),
            route=scope.get("route") if isinstance(scope.get("route"), str) else None,
            method=str(scope.get("method", "GET")),
        )
    except (msgspec.DecodeError, TypeError, ValueError, LookupError) as error:
        raise ConfigurationError(f"no ASGI scope in JSON: {error}") from None
