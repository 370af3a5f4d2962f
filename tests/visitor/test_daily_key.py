import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.visitor.daily_key import make_daily_key

SALT = bytes(range(32))
V4, V6 = bytes([203, 0, 113, 77]), bytes(range(16))


def test_it_is_hmac_sha256():
    message = b"shop.example\x004\x00" + V4 + b"\x00Firefox"
    expected = hmac.new(SALT, message, hashlib.sha256).hexdigest()[:12]
    assert make_daily_key(SALT, "shop.example", V4, b"Firefox", 48) == expected


@pytest.mark.parametrize(
    "other",
    [
        (bytes(32), "shop.example", V4, b"Firefox"),
        (SALT, "other.example", V4, b"Firefox"),
        (SALT, "shop.example", V6, b"Firefox"),
        (SALT, "shop.example", V4, b"Firefox/2"),
    ],
    ids=["another day", "another site", "another address", "another browser"],
)
def test_each_part_counts(other):
    assert make_daily_key(*other, 64) != make_daily_key(SALT, "shop.example", V4, b"Firefox", 64)


@given(st.binary(max_size=40), st.binary(min_size=4, max_size=4), st.sampled_from(range(16, 129, 4)))
def test_fewer_bits_are_the_begin_of_more(user_agent, address, bits):
    key = make_daily_key(SALT, "shop.example", address, user_agent, bits)
    assert len(key) * 4 == bits
    assert make_daily_key(SALT, "shop.example", address, user_agent, 128).startswith(key)


def test_where_an_address_ends_and_a_browser_begins():
    """A longer address isn't a shorter one with more of a user agent."""
    assert make_daily_key(SALT, "s", V6[:4], V6[4:], 64) != make_daily_key(SALT, "s", V6, b"", 64)
