"""Waiting for what other threads and processes do: with a generous deadline, never a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], within_s: float = 60.0) -> T:
    """The first true result of a condition; fails if there is none in time."""
    until = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < until, f"not within {within_s} s; last result: {result!r}"
        time.sleep(0.02)
    return result
