import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.visitor.cookie import VisitorCookie, expired

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32
HOST = b"shop.example"


def minted(cookie, host=HOST, scheme="https"):
    """A new id, and the Cookie header that a browser sends from then on."""
    visitor_id, (name, line) = cookie.mint(host, scheme)
    assert name == b"set-cookie"
    return visitor_id, line.partition(b";")[0], line


def test_its_attributes():
    _, _, line = minted(VisitorCookie([NEW], days=390))
    assert line.startswith(b"__Host-centtrack-visitor=")
    assert line.endswith(b"; Path=/; Max-Age=33696000; HttpOnly; SameSite=Lax; Secure")
    assert len(line) < 250


@pytest.mark.parametrize("host", [b"localhost", b"localhost:8000", b"127.0.0.1:8000", b"[::1]:8000"])
def test_in_development_without_prefix(host):
    cookie = VisitorCookie([NEW], days=1)
    visitor_id, sent, line = minted(cookie, host, "http")
    assert sent.startswith(b"centtrack-visitor=")
    assert b"Secure" not in line
    assert cookie.read(sent, host) == visitor_id
    assert cookie.read(sent, HOST) is None


@pytest.mark.parametrize(("host", "scheme"), [(HOST, "http"), (b"localhost.evil.example", "http"), (HOST, "https")])
def test_elsewhere_always_with_prefix(host, scheme):
    assert minted(VisitorCookie([NEW], days=1), host, scheme)[1].startswith(b"__Host-")


def test_ids_are_random():
    cookie = VisitorCookie([NEW], days=1)
    ids = {minted(cookie)[0] for _ in range(200)}
    assert len(ids) == 200
    assert {len(one) for one in ids} == {32}


def test_keys_are_rotated():
    visitor_id, sent, _ = minted(VisitorCookie([OLD], days=1))
    assert VisitorCookie([OLD, NEW], days=1).read(sent, HOST) == visitor_id
    assert VisitorCookie([NEW], days=1).read(sent, HOST) is None
    assert VisitorCookie([OLD], days=1).read(minted(VisitorCookie([OLD, NEW], days=1))[1], HOST) is None


def test_every_flipped_byte():
    cookie = VisitorCookie([NEW], days=1)
    _, sent, _ = minted(cookie)
    name, _, token = sent.partition(b"=")
    for place in range(len(token)):
        for mask in (1, 2, 32, 128):
            damaged = token[:place] + bytes([token[place] ^ mask]) + token[place + 1 :]
            if damaged.strip(b" \t") != token:
                assert cookie.read(name + b"=" + damaged, HOST) is None


NAME = b"__Host-centtrack-visitor"


NO_ID = {
    "none": lambda _, __: b"",
    "lower case": lambda sent, _: sent.lower(),
    "twice": lambda sent, _: sent + b"; " + sent,
    "twice, once empty": lambda sent, _: sent + b"; " + NAME + b"=",
    "an odd space inside": lambda sent, _: sent.replace(b"__Host-", b"__Host-\xe2\x80\x80"),
    "an odd space in front": lambda sent, _: b"\xc2\xa0" + sent,
    "no prefix": lambda sent, _: sent.replace(b"__Host-", b""),
    "cut": lambda sent, _: sent[:-1],
    "long": lambda sent, _: sent + b"x" * 200,
    "another key": lambda _, forged: forged,
}


@pytest.mark.parametrize("make", NO_ID.values(), ids=NO_ID)
def test_what_is_no_id(make):
    cookie = VisitorCookie([NEW], days=1)
    forged = minted(VisitorCookie([OTHER], days=1))[1]
    assert cookie.read(make(minted(cookie)[1], forged), HOST) is None


def test_a_token_for_another_purpose():
    from centtrack.signing import make_serializer

    token = make_serializer([NEW], "consent").dumps("0" * 32).encode()
    assert VisitorCookie([NEW], days=1).read(NAME + b"=" + token, HOST) is None


@given(st.binary(max_size=300))
def test_never_an_exception(token):
    assert VisitorCookie([NEW], days=1).read(NAME + b"=" + token, HOST) is None


def test_removing():
    _, sent, _ = minted(VisitorCookie([NEW], days=1))
    _, line = expired(b"a=b; " + sent, HOST, "https")
    assert line == b"__Host-centtrack-visitor=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"
    assert expired(b"a=b", HOST, "https") is None
