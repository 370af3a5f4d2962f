import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.consent.set_cookie import SetCookie, default_path, expiring_line, read_set_cookie

YEAR_S = 365 * 86_400


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"a=1", SetCookie("a", None, None, None)),
        (b" \ta\t =1", SetCookie("a", None, None, None)),
        (b"a=", SetCookie("a", None, None, None)),
        (b"a=b=c; path=/x", SetCookie("a", None, "/x", None)),
        (b"a=1; PATH=/x; Path=/y", SetCookie("a", None, "/y", None)),  # the last counts
        (b"a=1; Path=x", SetCookie("a", None, None, None)),  # not a path: as if there were none
        (b"a=1; Path", SetCookie("a", None, None, None)),
        (b"a=1; Domain=.Shop.Example", SetCookie("a", "shop.example", None, None)),
        (b"a=1; Domain=", SetCookie("a", None, None, None)),
        (b"a=1; Max-Age=60", SetCookie("a", None, None, 60)),
        (b"a=1; max-age=-1", SetCookie("a", None, None, -1, expires=True)),
        (b"a=1; Max-Age=99999999999999", SetCookie("a", None, None, 10**10)),
        (b"a=1; Max-Age=1.5", SetCookie("a", None, None, None)),
        (b"a=1; Max-Age=ten", SetCookie("a", None, None, None)),
        (b"a=1; Max-Age=\xb2", SetCookie("a", None, None, None)),
        (b"a=1; Max-Age=" + b"9" * 400, SetCookie("a", None, None, None)),
        (b"a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60", SetCookie("a", None, None, 60)),
        (b"a=1; Expires=never", SetCookie("a", None, None, None)),
        (b"a=1; Expires=Wed, 31 Foo 2030 10:00:00 GMT", SetCookie("a", None, None, None)),
        (b"a=1; SameSite=None; Partitioned; Secure; HttpOnly", SetCookie("a", None, None, None)),
        (b"\xd0\xb0=1", SetCookie("\xd0\xb0", None, None, None)),
        (b"nameless", SetCookie("", None, None, None)),
        (b"nameless; Path=/x=y", SetCookie("", None, "/x=y", None)),
        (b"=value", SetCookie("", None, None, None)),
        (b"", SetCookie("", None, None, None)),
        (b";;;=;", SetCookie("", None, None, None)),
    ],
)
def test_a_line_is_read_as_browsers_do(line, expected):
    assert read_set_cookie(line) == expected


@pytest.mark.parametrize(
    ("attribute", "expires"),
    [
        ("Max-Age=0", True),
        ("Max-Age=-5", True),
        ("Max-Age=1", False),
        ("Expires=Thu, 01 Jan 1970 00:00:00 GMT", True),
        ("Expires=Thu, 01-Jan-1970 00:00:00 GMT", True),
        ("expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=10", False),
        ("Expires=Fri, 31 Dec 9999 23:59:59 GMT; Max-Age=0", True),
        ("Expires=Fri, 31 Dec 9999 23:59:59 GMT", False),
        ("Expires=", False),
        ("Path=/", False),
        # What browsers read otherwise than we might: no way past the gate.
        ("Max-Age=0; Max-Age=abc", False),
        ("Max-Age=0; Max-Age=", False),
        ("Max-Age=00000000000000000031536000", False),
        ("Max-Age=" + "0" * 1_100, False),
        ("Max-Age=+0", False),
        ('Max-Age="0"', False),
        ("Expires=Thu, 01 Jan 1970 00:00:00 GMT; Expires=garbage", False),
        ("Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=abc", False),
        ("Expires=Wed, 01-Jan-69 00:00:00 GMT", False),
        ("Expires=Fri, 31 Dec 2999 23:59:59 +99999999", False),
        ("Expires=Thu, 31 Feb 1999 00:00:00 GMT", False),
        ("Expires=Thu, 01 Feb 1999 25:00:00 GMT", False),
        ("Expires=Thu, 01 Jan 1500 00:00:00 GMT", False),
        ("Expires=Thu, 01 Jan 1970 00:00 GMT", False),
        ("Expires=Thu Jan  1 00:00:00 1970", False),
    ],
)
def test_which_lines_remove_a_cookie(attribute, expires):
    assert read_set_cookie(b"a=1; " + attribute.encode()).expires is expires


def test_lifetime_of_a_date():
    line = f"a=1; Expires={formatdate(time.time() + YEAR_S, usegmt=True)}".encode()
    assert abs(read_set_cookie(line).lifetime_s - YEAR_S) < 60


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(line):
    read_set_cookie(line)


@pytest.mark.parametrize(
    ("name", "domain", "path", "is_secure", "line"),
    [
        ("a", None, "/", False, b"a=; Path=/; Max-Age=0"),
        ("a", "shop.example", "/x", True, b"a=; Path=/x; Max-Age=0; Domain=shop.example; Secure"),
        # What the prefixes ask for, else the browser ignores the line.
        ("__Secure-a", "shop.example", "/x", False, b"__Secure-a=; Path=/x; Max-Age=0; Domain=shop.example; Secure"),
        ("__Host-a", "shop.example", "/x", False, b"__Host-a=; Path=/; Max-Age=0; Secure"),
        ("__hOST-a", "shop.example", "/x", False, b"__hOST-a=; Path=/; Max-Age=0; Secure"),
    ],
)
def test_a_line_that_removes_a_cookie(name, domain, path, is_secure, line):
    made = expiring_line(name, domain=domain, path=path, is_secure=is_secure)
    assert made == (b"set-cookie", line)
    assert read_set_cookie(line).expires


@pytest.mark.parametrize(
    ("path", "default"),
    [("/", "/"), ("/a", "/"), ("/a/", "/a"), ("/a/b", "/a"), ("", "/"), ("a/b", "/"), ("*", "/"), ("//", "/")],
)
def test_the_path_of_a_cookie_without_one(path, default):
    assert default_path(path) == default
