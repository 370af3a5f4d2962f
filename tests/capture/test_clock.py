import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.capture.clock import one_digit, reduce_duration, reduce_time
from centtrack.policy.levels import Duration, Time

SECONDS = st.floats(0, 4_102_444_800, allow_nan=False)
MOMENT = dt.datetime(2026, 2, 28, 23, 59, 58, 987_654, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (Time.DAY, "2026-02-28T00:00:00+00:00"),
        (Time.HOUR, "2026-02-28T23:00:00+00:00"),
        (Time.MINUTE, "2026-02-28T23:59:00+00:00"),
        (Time.SECOND, "2026-02-28T23:59:58+00:00"),
    ],
)
def test_time_is_cut_never_rounded_up_and_utc(level, expected):
    assert reduce_time(MOMENT.timestamp(), level).isoformat() == expected


@given(SECONDS)
def test_each_level_is_a_cut_of_the_next_finer_one(seconds):
    times = [reduce_time(seconds, level) for level in Time]
    assert times == sorted(times)
    for level, finer in zip(Time, list(Time)[1:], strict=False):
        assert reduce_time(reduce_time(seconds, finer).timestamp(), level) == reduce_time(seconds, level)


@pytest.mark.parametrize(
    ("seconds", "exact", "rounded"),
    [
        (None, None, None),
        (0.0, 0.0, 0),
        (0.000_4, 0.4, 0),
        (0.009_9, 9.9, 9),
        (0.012_3, 12.3, 10),
        (0.095, 95.0, 100),
        (1.234_567_8, 1234.568, 1000),
        (1.5, 1500.0, 2000),
    ],
)
def test_duration(seconds, exact, rounded):
    assert reduce_duration(seconds, Duration.NONE) is None
    assert reduce_duration(seconds, Duration.ROUNDED) == rounded
    assert reduce_duration(seconds, Duration.EXACT) == exact


@given(st.integers(0, 10**15))
def test_one_digit_is_one_significant_digit(value):
    digits = str(one_digit(value))
    assert digits[1:].strip("0") == ""
    assert abs(one_digit(value) - value) <= value / 2
