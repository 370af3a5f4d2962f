"""The chain: what follows on what, and who signed its head."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.consent.ledger.chain import FIRST, Head, Seal, digest_of, link_of, new_salt, read_head, write_head
from centtrack.errors import ConfigurationError
from ledgers import NEW_SECRET, SECRET

LINK = link_of(1, FIRST, digest_of(bytes(16), "{}"))
TIME = "2026-11-22T21:05Z"


def test_the_arithmetic_stays_as_it_is():
    """Ledgers are kept for years: these values must come out in every version."""
    assert digest_of(bytes(range(16)), '{"a":"ә"}').hex() == (
        "d003f7e126249b7bf15368cd30b7aca4ae63dbc8698bf7a6845d8535137a84f3"
    )
    assert link_of(1, FIRST, bytes(32)).hex() == "8f67292307f7f4f321a604181a9a5166e02ea4b3abc63d458006941b49ef1dc5"
    assert (
        Seal([SECRET]).make_head(1, bytes(32), TIME).mac
        == "4c2969febe95a92edcb38948d8f1678dd06151b1da4ce2fc9ea432ba83688388"
    )


@given(st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_link_depends_on_all_of_its_parts(number, previous, digest):
    links = {
        link_of(number, previous, digest),
        link_of(number - 1, previous, digest),
        link_of(number, bytes([previous[0] ^ 1]) + previous[1:], digest),
        link_of(number, previous, digest[:-1] + bytes([digest[-1] ^ 1])),
    }
    assert len(links) == 4


def test_without_the_salt_a_digest_tells_nothing():
    assert digest_of(new_salt(), "{}") != digest_of(new_salt(), "{}")


def test_the_newest_secret_signs_and_all_verify():
    old, new, both = Seal([SECRET]), Seal([NEW_SECRET]), Seal([SECRET, NEW_SECRET])
    assert both.make_head(1, LINK, TIME) == new.make_head(1, LINK, TIME)
    assert both.fits(old.make_head(1, LINK, TIME))
    assert not old.fits(new.make_head(1, LINK, TIME))


def test_without_a_secret_nothing_is_signed():
    seal = Seal([])
    head = seal.make_head(1, LINK, TIME)
    assert head.mac is None
    assert not seal.has_key
    assert not Seal([SECRET]).fits(head)


@pytest.mark.parametrize(
    "change", [{"number": 2}, {"link": "0" * 64}, {"time": "2026-11-22T21:06Z"}, {"mac": "0" * 64}, {"mac": None}]
)
def test_a_head_is_signed_as_a_whole(change):
    seal = Seal([SECRET])
    head = seal.make_head(1, LINK, TIME)
    assert seal.fits(head)
    assert not seal.fits(msgspec.structs.replace(head, **change))


def test_a_head_is_written_and_read():
    head = Seal([SECRET]).make_head(7, LINK, TIME)
    assert read_head(write_head(head)) == head
    assert set(json.loads(write_head(head))) == {"number", "link", "time", "mac"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"number": 1}',
        b'{"number": -1, "link": "%s", "time": ""}' % (b"0" * 64),
        b'{"number": 9223372036854775808, "link": "%s", "time": ""}' % (b"0" * 64),
        b'{"number": 1, "link": "zz", "time": ""}',
        b'{"number": 1, "link": "%s", "time": "", "mac": "\xc3\xa4"}' % (b"0" * 64),
        b'{"number": 1, "link": "%s", "time": "", "more": 1}' % (b"0" * 64),
    ],
)
def test_what_is_no_head(data):
    with pytest.raises(ConfigurationError, match="no head of a ledger"):
        read_head(data)


def test_a_head_before_the_first_record():
    assert read_head(write_head(Head(0, FIRST.hex(), TIME))).mac is None
