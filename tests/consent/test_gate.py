"""The gate by itself: which lines pass, what is expired, what the app sees."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.consent.expiry import host_name
from centtrack.consent.gate import CookieGate, set_cookie_lines
from centtrack.consent.set_cookie import read_set_cookie
from centtrack.policy import PrivacyPolicy

REGISTRY = """
[[cookies]]
name = "session"
category = "necessary"
[[cookies]]
name = "lang"
category = "preferences"
purpose = { en = "Language", ru = "Язык" }
[[cookies]]
name = "_ga*"
category = "analytics"
[[cookies]]
name = "ad"
category = "marketing"
domain = "shop.example"
path = "/ads"
[[cookies]]
name = "ad"
category = "necessary"
[[cookies]]
name = "new"
category = "unclassified"
"""


def gate_of(mode, rest=REGISTRY, options=""):
    return CookieGate(PrivacyPolicy.parse(f'[consent]\ngate = "{mode}"\n{options}\n{rest}'))


@dataclass
class Asked:
    """A request whose visitor granted some categories."""

    granted: set[str] = field(default_factory=set)
    path: str = "/"
    scheme: str = "https"
    host: bytes = b"www.shop.example"
    cookies: bytes = b""

    @property
    def given(self):
        return frozenset({"necessary", *self.granted})

    def allows(self, category):
        return category in self.given

    def header(self, name):
        return {b"host": self.host, b"cookie": self.cookies}.get(name, b"")


def passing(mode, *lines, **asked):
    headers = [(b"content-type", b"text/html"), *((b"Set-Cookie", line) for line in lines), (b"x-last", b"1")]
    gated = gate_of(mode).guard(headers, set_cookie_lines(headers), Asked(**asked))
    assert gated.headers[0] == headers[0]
    assert gated.headers[-1] == headers[-1]
    kept = [value for name, value in gated.headers[1:-1]]
    assert sorted([*kept, *gated.removed]) == sorted(lines)
    assert list(gated.passed) == kept
    return kept


NECESSARY, PREFERENCE, ANALYTICS, UNKNOWN = b"session=1; HttpOnly", b"lang=kk", b"_ga_X=1; Partitioned", b"tracker=1"
ALL = (NECESSARY, PREFERENCE, ANALYTICS, UNKNOWN, b"new=1")


@pytest.mark.parametrize(
    ("mode", "granted", "expected"),
    [
        ("observe", set(), ALL),
        ("declared", set(), (NECESSARY, UNKNOWN, b"new=1")),
        ("declared", {"analytics"}, (NECESSARY, ANALYTICS, UNKNOWN, b"new=1")),
        ("declared", {"preferences", "analytics", "marketing"}, ALL),
        ("enforce", set(), (NECESSARY,)),
        ("enforce", {"analytics"}, (NECESSARY, ANALYTICS)),
        ("enforce", {"preferences", "analytics", "marketing"}, (NECESSARY, PREFERENCE, ANALYTICS)),
    ],
)
def test_modes(mode, granted, expected):
    assert passing(mode, *ALL, granted=granted) == list(expected)


@pytest.mark.parametrize(
    ("line", "passes"),
    [
        (b"session=1; Domain=evil.example; Path=/anything", True),  # declared for any domain and path
        (b"SESSION=1", False),
        (b" session\t=1", True),
        (b"\xc2\xa0session=1", False),  # trimmed are space and tab alone
        (b"session", False),  # a cookie without a name
        (b"=session=1", False),
        (b"session;=1", False),
        (b"", False),
        (b"_ga=1", False),
        (b"_ga=; Max-Age=0", True),  # a line that removes a cookie always passes
        (b"tracker=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", True),
        (b"_ga=; Max-Age=0; Max-Age=99", False),  # the last counts
        (b"_ga=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=99", False),
        (b"ad=1; Domain=shop.example; Path=/ads", False),
        (b"ad=1; Domain=.SHOP.example; Path=/ads", False),
        (b"ad=1; Domain=shop.example", True),  # its path follows from the request: /
        (b"ad=1; Path=/ads", True),  # for the host alone, which is www.shop.example
        (b"__Host-centtrack=1; Path=/", True),
        (b"centtrack=1; Path=/", True),
        (b"centtrack-visitor=1; Path=/", False),
    ],
)
def test_lines_under_enforce(line, passes):
    assert passing("enforce", line) == ([line] if passes else [])


def test_domain_and_path_may_follow_from_the_request():
    asked = {"host": b"shop.example:8443", "path": "/ads/banner"}
    assert passing("enforce", b"ad=1", **asked) == []
    assert passing("enforce", b"ad=1", **{**asked, "path": "/"}) == [b"ad=1"]


def test_headers_without_a_removed_line_stay_the_same_list():
    headers = [(b"content-type", b"text/html"), (b"set-cookie", b"session=1")]
    for mode in ("observe", "declared", "enforce"):
        assert gate_of(mode).guard(headers, set_cookie_lines(headers), Asked()).headers is headers


def test_undeclared_names_are_told_in_both_modes():
    for mode in ("declared", "enforce"):
        headers = [(b"set-cookie", UNKNOWN), (b"set-cookie", b"new=1; Max-Age=9")]
        gated = gate_of(mode).guard(headers, set_cookie_lines(headers), Asked())
        assert [cookie.name for cookie in gated.undeclared] == ["tracker", "new"]


@given(st.lists(st.tuples(st.sampled_from([b"set-cookie", b"SET-COOKIE", b"x"]), st.binary(max_size=40))), st.data())
def test_whatever_passes_is_granted_or_removes(headers, data):
    granted = data.draw(st.sets(st.sampled_from(["preferences", "analytics", "marketing"])))
    gate, asked = gate_of("enforce"), Asked(granted)
    gated = gate.guard(headers, set_cookie_lines(headers), asked)
    others = [pair for pair in headers if pair[0] == b"x"]
    assert [pair for pair in gated.headers if pair[0] == b"x"] == others
    for line in gated.passed:
        cookie = read_set_cookie(line)
        entry = gate.registry.find(cookie.name, cookie.domain or "www.shop.example", cookie.path or "/")
        assert cookie.expires or asked.allows(entry.category)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("observe", ALL), ("declared", (NECESSARY,)), ("enforce", (NECESSARY,))],
)
def test_a_gate_that_failed_passes_exact_names_of_necessary_cookies(mode, expected):
    headers = [(b"content-type", b"text/html"), *((b"set-cookie", line) for line in ALL)]
    gated = gate_of(mode).guard_blindly(headers)
    assert gated.headers == [headers[0], *((b"set-cookie", line) for line in expected)]


def expired(mode, cookies, *granted, **asked):
    lines = gate_of(mode).expire_arrived(Asked(set(granted), cookies=cookies, **asked))
    assert all(name == b"set-cookie" for name, _ in lines)
    assert all(read_set_cookie(line).expires for _, line in lines)
    return sorted({read_set_cookie(line).name for _, line in lines})


@pytest.mark.parametrize(
    ("mode", "cookies", "granted", "names"),
    [
        ("observe", b"_ga=1; lang=kk", (), []),
        ("declared", b"", (), []),
        ("declared", b"session=1; unknown=1; new=1", (), []),  # nobody said where an unknown one is from
        ("declared", b"session=1; _ga=1; _ga_X=2; lang=kk", (), ["_ga", "_ga_X", "lang"]),
        ("declared", b"session=1; _ga=1; lang=kk", ("analytics",), ["lang"]),
        ("enforce", b"_ga=1", ("analytics",), []),
        ("enforce", b"x_ga=1; y=_ga=1", (), []),
        ("enforce", b" \t_ga\t=1", (), ["_ga"]),
        ("enforce", b"_ga", (), []),
    ],
)
def test_what_came_without_being_granted_is_expired(mode, cookies, granted, names):
    assert expired(mode, cookies, *granted) == names


def test_a_cookie_is_expired_wherever_it_may_be():
    lines = gate_of("declared").expire_arrived(Asked(cookies=b"_ga=1"))
    assert [line.decode() for _, line in lines] == [
        "_ga=; Path=/; Max-Age=0; Secure",
        "_ga=; Path=/; Max-Age=0; Domain=www.shop.example; Secure",
        "_ga=; Path=/; Max-Age=0; Domain=shop.example; Secure",
        "_ga=; Path=/; Max-Age=0; Secure; Partitioned",
        "_ga=; Path=/; Max-Age=0; Domain=www.shop.example; Secure; Partitioned",
        "_ga=; Path=/; Max-Age=0; Domain=shop.example; Secure; Partitioned",
    ]


def test_paths_above_the_request_are_meant_too():
    asked = Asked(cookies=b"_ga=1", host=b"localhost", scheme="http", path="/shop/my cart;x\r\n")
    paths = [line.decode().split("; ")[1] for _, line in gate_of("declared").expire_arrived(asked)]
    cart = "Path=/shop/my%20cart%3Bx%0D%0A"
    assert paths == ["Path=/", "Path=/shop", "Path=/shop/", cart, cart + "/"]


def test_the_likeliest_place_of_each_comes_first():
    cookies = b"; ".join(b"_ga_%d=1" % number for number in range(20))
    lines = gate_of("declared").expire_arrived(Asked(cookies=cookies, path="/a/b/c/d"))
    assert [line.partition(b"=")[0] for _, line in lines[:20]] == [b"_ga_%d" % number for number in range(20)]


def test_the_domain_above_a_deep_host_is_meant_too():
    lines = gate_of("declared").expire_arrived(Asked(cookies=b"_ga=1", host=b"a.b.c.d.e.shop.kz"))
    assert any(b"Domain=shop.kz;" in line for _, line in lines)


@pytest.mark.parametrize("host", [b"localhost:8000", b"127.0.0.1", b"[::1]:80", b""])
def test_no_domain_is_made_of_an_address(host):
    lines = gate_of("declared").expire_arrived(Asked(cookies=b"_ga=1", host=host, scheme="http"))
    assert lines == [(b"set-cookie", b"_ga=; Path=/; Max-Age=0")]


def withdrawn(rest, cookies=b""):
    gate = gate_of("declared", rest)
    lines = gate.expire({"analytics", "marketing"}, cookies=cookies, host=b"shop.example", scheme="https")
    return {line.decode().removesuffix("; Secure") for _, line in lines if b"Partitioned" not in line}


def test_after_a_withdrawal_a_cookie_that_this_path_does_not_show_goes_too():
    rest = '[[cookies]]\nname = "deep"\ncategory = "analytics"\npath = "/account"\ndomain = "my.shop.example"'
    assert withdrawn(rest) == {
        "deep=; Path=/account; Max-Age=0",
        "deep=; Path=/account; Max-Age=0; Domain=my.shop.example",
    }


def test_a_pattern_expires_only_what_came():
    rest = '[[cookies]]\nname = "_pk_*"\ncategory = "analytics"'
    assert withdrawn(rest) == set()
    assert withdrawn(rest, b"_pk_id.1=x") == {
        "_pk_id.1=; Path=/; Max-Age=0",
        "_pk_id.1=; Path=/; Max-Age=0; Domain=shop.example",
    }


def test_necessary_cookies_are_never_expired():
    every = {"preferences", "analytics", "marketing"}
    lines = gate_of("enforce").expire(every, cookies=b"session=1; ad=1", host=b"shop.example", scheme="https")
    assert not any(line.startswith(b"session=") for _, line in lines)
    assert all(b"Path=/ads" in line for _, line in lines if line.startswith(b"ad="))


def test_what_is_expired_at_once_is_bounded():
    cookies = b"; ".join(b"_ga_%d=1" % number for number in range(500))
    lines = gate_of("declared").expire({"analytics"}, cookies=cookies, host=b"shop.example", scheme="https")
    assert 0 < sum(len(name) + len(value) + 4 for name, value in lines) <= 3_072


@pytest.mark.parametrize(
    ("mode", "granted", "seen"),
    [
        ("observe", set(), b"session=1; lang=kk; _ga=2; other=3; __Host-centtrack=t; ad=4"),
        ("declared", set(), b"session=1; other=3; __Host-centtrack=t; ad=4"),
        ("declared", {"analytics"}, b"session=1; _ga=2; other=3; __Host-centtrack=t; ad=4"),
        ("enforce", set(), b"session=1; __Host-centtrack=t; ad=4"),
        ("enforce", {"preferences"}, b"session=1; lang=kk; __Host-centtrack=t; ad=4"),
    ],
)
def test_what_the_app_sees(mode, granted, seen):
    headers = [
        (b"host", b"x"),
        (b"Cookie", b"session=1; lang=kk; _ga=2; other=3; __Host-centtrack=t; ad=4"),
        (b"a", b""),
    ]
    visible = gate_of(mode, options="hide = true").visible(headers, Asked(granted).allows)
    assert visible == [headers[0], (b"Cookie", seen), headers[2]]


def test_without_the_option_the_app_sees_everything():
    headers = [(b"cookie", b"_ga=2")]
    assert gate_of("enforce").visible(headers, Asked().allows) is headers


def test_a_header_of_hidden_cookies_alone_goes():
    assert gate_of("enforce", options="hide = true").visible([(b"cookie", b"_ga=2")], Asked().allows) == []


@pytest.mark.parametrize(
    ("host", "name"),
    [(b"Shop.Example:443", "shop.example"), (b"[::1]:80", "[::1]"), (b"x", "x"), (b"x:", "x"), (b"", "")],
)
def test_host_name(host, name):
    assert host_name(host) == name
