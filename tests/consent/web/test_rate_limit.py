import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.consent.web.rate_limit import WriteLimit


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def taken(limit, address, times):
    """How many of so many calls may be written."""
    return sum(limit.take(address) == 0 for _ in range(times))


def test_a_burst_then_one_every_six_seconds(clock):
    limit = WriteLimit(clock=clock)
    assert taken(limit, "203.0.113.7", 99) == 60
    clock.now += 5.9
    assert taken(limit, "203.0.113.7", 50) == 0
    clock.now += 0.2
    assert taken(limit, "203.0.113.7", 50) == 1
    clock.now += 3_600
    assert taken(limit, "203.0.113.7", 99) == 60


def test_says_how_long_to_wait(clock):
    limit = WriteLimit(burst=2, refill_s=10, clock=clock)
    assert [limit.take("a"), limit.take("a"), limit.take("a")] == [0, 0, 10]
    clock.now += 7.5
    assert limit.take("a") == 3
    clock.now += 2.5
    assert limit.take("a") == 0


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8::1", "2001:db8:0:0:ffff::2", True),  # one /64
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.8", False),  # they are in one /64, and two visitors
        ("fe80::1%eth0", "fe80::2%eth0", True),
        (None, None, True),
        (None, "", True),
        ("unix", "unix", True),
        ("unix", "203.0.113.7", False),
    ],
)
def test_who_shares_a_bucket(clock, one, other, is_same):
    limit = WriteLimit(burst=1, clock=clock)
    assert limit.take(one) == 0
    assert (limit.take(other) > 0) is is_same


def test_remembers_so_many_addresses_and_no_more(clock):
    limit = WriteLimit(burst=1, max_addresses=100, clock=clock)
    assert taken(limit, "203.0.113.7", 1) == 1
    for number in range(99):
        limit.take(f"198.51.100.{number}")
    assert taken(limit, "203.0.113.7", 1) == 0  # which makes it the last that wrote
    for number in range(99):
        limit.take(f"192.0.2.{number}")
    assert taken(limit, "203.0.113.7", 1) == 0
    for number in range(100):
        limit.take(f"198.51.100.{number}")
    assert taken(limit, "203.0.113.7", 1) == 1


def test_keeps_no_address(clock):
    limit = WriteLimit(clock=clock)
    limit.take("203.0.113.7")
    assert "203.0.113.7" not in repr(vars(limit))
    assert b"203.0.113.7" not in b"".join(limit._full_at)


@given(st.lists(st.floats(0, 30), max_size=200), st.integers(1, 5), st.integers(1, 20))
def test_never_more_than_the_burst_and_what_was_refilled(gaps, burst, refill_s):
    clock = Clock()
    limit = WriteLimit(burst=burst, refill_s=refill_s, clock=clock)
    passed = 0
    for gap in gaps:
        clock.now += gap
        passed += limit.take("a") == 0
        assert passed <= burst + (clock.now - 1_000) / refill_s + 1e-6
