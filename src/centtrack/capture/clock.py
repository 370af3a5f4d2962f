"""Time and duration, reduced."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

from centtrack.policy.levels import Duration, Time

_STEP_S = {Time.DAY: 86_400, Time.HOUR: 3_600, Time.MINUTE: 60, Time.SECOND: 1}


def reduce_time(seconds: float, level: Time) -> dt.datetime:
    """The begin of the day, hour, minute or second, UTC.

    Args:
        seconds: since 1970, UTC.
        level: how fine it may be.
    """
    step = _STEP_S[level]
    return _moment(seconds // step * step)


@lru_cache(maxsize=16)
def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def reduce_duration(seconds: float | None, level: Duration) -> float | None:
    """Milliseconds: to the microsecond, or to one significant digit."""
    if seconds is None or level is Duration.NONE:
        return None
    exact = round(seconds * 1_000, 3)
    return exact if level is Duration.EXACT else float(one_digit(exact))


def one_digit(value: float) -> int:
    """A number rounded to one significant digit: 1,234 becomes 1,000; below one it is 0."""
    whole = int(value)
    if whole < 10:
        return max(whole, 0)
    step: int = 10 ** (len(str(whole)) - 1)
    return (whole + step // 2) // step * step
