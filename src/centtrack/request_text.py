"""A request that is written as text: a curl command, as browsers copy it, or an ASGI scope in JSON."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from centtrack.capture.observation import Observation
from centtrack.errors import ConfigurationError

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
    if parts.scheme not in {"http", "https"}:
        raise ConfigurationError(f"{parts.scheme}:// isn't what an app is asked by: http or https")
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
