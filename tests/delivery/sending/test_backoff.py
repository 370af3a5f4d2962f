"""Waits after failures."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.delivery.sending import backoff as module
from centtrack.delivery.sending.backoff import LONGEST_S, Backoff


@pytest.fixture
def longest(monkeypatch):
    """The dice always show the longest wait, and time stands still."""
    monkeypatch.setattr(module.random, "uniform", lambda _, most: most)
    monkeypatch.setattr(module.time, "monotonic", lambda: 100.0)


@pytest.mark.usefixtures("longest")
def test_waits_double_up_to_the_longest():
    backoff, waits = Backoff(), []
    for _ in range(10):
        backoff.fail()
        waits.append(backoff.left_s)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]
    backoff.succeed()
    assert (backoff.left_s, backoff.has_failed) == (0, False)
    backoff.fail()
    assert (backoff.left_s, backoff.has_failed) == (0.5, True)


@pytest.mark.usefixtures("longest")
@pytest.mark.parametrize(
    ("asked_s", "expected"),
    [(None, 0.5), (0.1, 0.5), (7, 7), (3_600, 3_600), (-1, 0.5), (math.inf, math.inf), (math.nan, 0.5)],
)
def test_what_the_sink_asks_for_is_the_least(asked_s, expected):
    """Also if it is longer than any wait of ours."""
    backoff = Backoff()
    backoff.fail(asked_s)
    assert backoff.left_s == expected


@pytest.mark.usefixtures("longest")
def test_a_pause_is_as_long_as_said():
    backoff = Backoff()
    backoff.pause(30)
    assert (backoff.left_s, backoff.has_failed) == (30, True)


@given(failures=st.integers(1, 2_000))
def test_no_wait_is_longer_than_the_longest(failures):
    backoff = Backoff()
    for _ in range(failures):
        backoff.fail()
    assert 0 <= backoff.left_s <= LONGEST_S


def test_two_hosts_that_failed_together_come_back_apart():
    """Full jitter: waits are spread from nothing to the longest, not around it."""
    waits = []
    for _ in range(500):
        backoff = Backoff()
        for _ in range(7):
            backoff.fail()
        waits.append(backoff.left_s)
    assert min(waits) < LONGEST_S / 10
    assert max(waits) > LONGEST_S * 9 / 10
