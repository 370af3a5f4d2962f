"""A wall clock that doesn't jump."""

from __future__ import annotations

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)  # goes on while the machine sleeps


def _running() -> float:
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


_STARTED = time.time() - _running()


def now() -> float:
    """Seconds since 1970, by the wall clock as it was when this process began, and the time that passed since.

    What is released, expires or is deleted goes by this one: a clock that is set must not move it.
    """
    return _STARTED + _running()
