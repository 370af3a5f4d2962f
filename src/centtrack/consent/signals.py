"""What a browser says by itself of what its user wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Signals(NamedTuple):
    """Global Privacy Control (https://www.w3.org/TR/gpc/), and its forerunner Do Not Track."""

    gpc: bool
    dnt: bool


_NO_SIGNALS = Signals(gpc=False, dnt=False)


def read_signals(headers: Mapping[bytes, bytes]) -> Signals:
    """Which signals are on: a value that is exactly `1`."""
    if b"sec-gpc" not in headers and b"dnt" not in headers:
        return _NO_SIGNALS
    return Signals(_is_on(headers.get(b"sec-gpc", b"")), _is_on(headers.get(b"dnt", b"")))


def _is_on(value: bytes) -> bool:
    return any(part.strip(b" \t") == b"1" for part in value.split(b"\n"))
