import asyncio
import contextlib
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.consent.paths import MAX_BACK, safe_path
from centtrack.consent.web.posts import (
    FORM,
    JSON,
    MAX_BODY,
    Posted,
    RefusedPostError,
    media_type,
    read_body,
    read_posted,
    refuse_other_sites,
)


def is_ours(headers, scheme="https"):
    try:
        refuse_other_sites([(name.encode(), value.encode("latin-1")) for name, value in headers], scheme)
    except RefusedPostError as refused:
        return refused.status != 403
    return True


HOST = ("host", "shop.example")
FOREIGN = ("origin", "https://evil.example")


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        # Sec-Fetch-Site decides
        ([HOST, ("sec-fetch-site", "same-origin")], True),
        ([HOST, ("sec-fetch-site", "none")], True),
        ([HOST, ("sec-fetch-site", "same-origin"), ("origin", "null")], True),
        ([HOST, ("sec-fetch-site", "same-site")], False),
        ([HOST, ("sec-fetch-site", "cross-site")], False),
        ([HOST, ("sec-fetch-site", "cross-site"), ("origin", "https://shop.example")], False),
        ([HOST, ("Sec-Fetch-Site", "cross-site"), ("origin", "https://shop.example")], False),
        ([HOST, ("sec-fetch-site", "")], False),
        ([HOST, ("sec-fetch-site", "Same-Origin")], False),
        ([HOST, ("sec-fetch-site", "same-origin, none")], False),
        ([HOST, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], False),
        # without it, Origin and Host
        ([HOST, ("origin", "https://shop.example")], True),
        ([HOST, ("origin", "https://SHOP.example")], True),
        ([HOST, ("origin", "https://shop.example:443")], True),
        ([("host", "shop.example:443"), ("origin", "https://shop.example")], True),
        ([("host", "shop.example:8443"), ("origin", "https://shop.example:8443")], True),
        ([("host", "[::1]:8443"), ("origin", "https://[::1]:8443")], True),
        ([HOST, ("origin", "https://shop.example:8443")], False),
        ([("host", "shop.example:8443"), ("origin", "https://shop.example")], False),
        ([HOST, FOREIGN], False),
        ([HOST, ("origin", "https://shop.example.evil.example")], False),
        ([HOST, ("origin", "https://evilshop.example")], False),
        ([HOST, ("origin", "https://sub.shop.example")], False),
        ([HOST, ("origin", "https://shop.example@evil.example")], False),
        ([HOST, ("origin", "https://shop.example/")], False),
        ([HOST, ("origin", "https://shop.example\n")], False),
        ([HOST, ("origin", "//shop.example")], False),
        ([HOST, ("origin", "shop.example")], False),
        ([HOST, ("origin", "ftp://shop.example")], False),
        ([HOST, ("origin", "null")], False),
        ([HOST, ("origin", "")], False),
        ([HOST, ("origin", "https://shop.example"), FOREIGN], False),
        ([HOST, ("origin", "https://shop.example, https://evil.example")], False),
        ([HOST, ("host", "evil.example"), ("origin", "https://shop.example")], False),
        ([("host", ""), ("origin", "https://")], False),
        ([("origin", "https://shop.example")], False),
        # neither tells
        ([HOST], False),
        ([HOST, ("referer", "https://shop.example/")], False),
        ([], False),
    ],
)
def test_only_this_site_may_post(headers, ours):
    assert is_ours(headers) is ours


@pytest.mark.parametrize(
    ("scheme", "origin", "ours"),
    [
        ("http", "http://shop.example", True),
        ("http", "http://shop.example:80", True),
        ("http", "https://shop.example", True),  # a proxy ended HTTPS
        ("https", "http://shop.example", False),  # a page that anybody on the way could have written
        ("https", "https://shop.example:80", False),
    ],
)
def test_scheme_of_an_origin(scheme, origin, ours):
    assert is_ours([HOST, ("origin", origin)], scheme) is ours


@pytest.mark.parametrize(
    "back",
    [
        "/",
        "/shop",
        "/shop/?q=a&page=2#top",
        "/shop?next=https://other.example/",
        "/shop?next=//other.example",
        "/тарифы?город=Қостанай",
        "/a%20b%2Fc",
        "/a b",
        "/100%",
        "/%zz",
        "/a:b@c",
        "/" + "a" * (MAX_BACK - 1),
    ],
)
def test_paths_of_this_site(back):
    assert safe_path(back) == back


EVIL = [
    "",
    "evil.example",
    "shop",
    "?back",
    "#top",
    "./a",
    "../a",
    "https://evil.example",
    "https:evil.example",
    "https:/evil.example",
    "HTTPS://evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "//evil.example",
    "///evil.example",
    "////evil.example/%2f..",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/a\\b",
    "/\\/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nSet-Cookie: a=b",
    "\t//evil.example",
    " //evil.example",
    "\x00//evil.example",
    "/\x00",
    "/\x7f",
    "/\x85",
    "/\u2028",
    "/\u202e",
    "/\u00a0/evil.example",
    "/\ud800",
    "/%2Fevil.example",
    "/%2fevil.example",
    "/%252Fevil.example",
    "/%25252Fevil.example",
    "/%5Cevil.example",
    "/%255Cevil.example",
    "/%09/evil.example",
    "/%0A/evil.example",
    "/a%0D%0ASet-Cookie:%20a=b",
    "/%00",
    "/a//b",
    "/..//evil.example",
    "/.//evil.example",
    "/%2e%2e//evil.example",
    "/%2e%2e%2f%2fevil.example",
    "/a/..//evil.example",
    "/%" + "25" * 12 + "2Fevil.example",
    "/" + "a" * MAX_BACK,
    "/" + "қ" * (MAX_BACK // 2),
]


@pytest.mark.parametrize("back", EVIL)
def test_what_could_lead_elsewhere(back):
    assert safe_path(back) is None


PIECES = st.sampled_from([*"/\\.:@?#%aA \t\r\n", "%2f", "%5C", "%25", "%09", "..", "evil.example", "http:"])


@given(st.lists(PIECES, max_size=12).map("".join))
def test_whatever_passes_stays_on_this_site(back):
    """As a browser resolves it, before and after something on the way has decoded it."""
    if safe_path("/" + back) is not None:
        for seen in ("/" + back, unquote("/" + back), unquote(unquote("/" + back))):
            target = urlsplit(urljoin("https://shop.example/consent/decide", seen))
            assert (target.scheme, target.netloc) == ("https", "shop.example")


async def chunks(*parts):
    for part in parts:
        yield part


def test_a_body_is_counted_while_it_is_read():
    assert asyncio.run(read_body(chunks(b"a" * MAX_BODY))) == b"a" * MAX_BODY
    assert asyncio.run(read_body(chunks())) == b""
    read = []

    async def endless():
        while True:
            read.append(1_000)
            yield b"a" * 1_000

    with pytest.raises(RefusedPostError) as caught:
        asyncio.run(read_body(endless()))
    assert caught.value.status == 413
    assert sum(read) == 5_000


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (FORM, FORM),
        (JSON, JSON),
        ("application/json; charset=utf-8", JSON),
        ("Application/X-WWW-Form-Urlencoded;charset=UTF-8", FORM),
        ("application/json\t", JSON),
        ("multipart/form-data; boundary=x", None),
        ("text/plain", None),
        ("application/jsonx", None),
        ("text/plain, application/json", None),
        ("", None),
    ],
)
def test_types(content_type, expected):
    if expected:
        assert media_type(content_type, b"x") == media_type(content_type, b"") == expected
        return
    with pytest.raises(RefusedPostError) as caught:
        media_type(content_type, b"x")
    assert caught.value.status == 415


def test_nothing_needs_no_type():
    assert media_type("", b"") == JSON


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (FORM, b"choice=accept", Posted("accept")),
        (FORM, b"choice=save&category=analytics&category=marketing", Posted("save", ("analytics", "marketing"))),
        (FORM, b"choice=refuse&lang=kk&back=%2Fa%3Fb&via=banner&x=y&x=z", Posted("refuse", (), "kk", "/a?b", "banner")),
        (FORM, b"choice=save&policy=0a", Posted("save", policy="0a")),
        (FORM, b"choice=save&policy=", Posted("save", policy="")),
        (JSON, b'{"choice":"save","policy":"0a"}', Posted("save", policy="0a")),
        (FORM, b"", Posted()),
        (FORM, b"choice=", Posted()),
        (JSON, b'{"choice":"save","category":["analytics"],"x":{"y":[1]}}', Posted("save", ("analytics",))),
        (JSON, b'{"choice":"accept","via":"banner"}', Posted("accept", via="banner")),
        (JSON, b"", Posted()),
        (JSON, b"{}", Posted()),
    ],
)
def test_what_a_body_says(kind, body, expected):
    assert read_posted(body, kind) == expected


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (FORM, b"choice=ACCEPT"),
        (FORM, b"choice=yes"),
        (FORM, b"choice=refuse&choice=accept"),
        (FORM, b"choice=accept&choice=accept"),
        (FORM, b"choice=&choice=accept"),
        *((FORM, f"choice=accept&{name}=a&{name}=a".encode()) for name in ("lang", "back", "via", "policy")),
        (FORM, b"choice=\xff"),
        (FORM, b"choice=%ff"),
        (FORM, b"&".join([b"a=b"] * 100)),
        (JSON, b'{"choice":"yes"}'),
        (JSON, b'{"choice":true}'),
        (JSON, b'{"choice":null}'),
        (JSON, b'{"choice":"save","category":"analytics"}'),
        (JSON, b'{"choice":"save","category":{"analytics":true}}'),
        (JSON, b'{"choice":"save","category":[1]}'),
        (JSON, b'{"choice":"save"'),
        (JSON, b"[]"),
        (JSON, b"null"),
        (JSON, b'"accept"'),
        (JSON, b"choice=accept"),
        (JSON, b'{"choice":"\xff"}'),
        (JSON, b'{"lang":"\\ud800"}'),
        (JSON, b'{"x":' + b"[" * 4_000),
    ],
)
def test_a_body_that_cannot_be_read(kind, body):
    with pytest.raises(RefusedPostError) as caught:
        read_posted(body, kind)
    assert caught.value.status == 400


@given(st.binary(max_size=300), st.sampled_from([FORM, JSON]))
def test_no_body_breaks_it(body, kind):
    with contextlib.suppress(RefusedPostError):
        posted = read_posted(body, kind)
        safe_path(posted.back)
        posted.granted(["analytics"])


@pytest.mark.parametrize(
    ("posted", "expected"),
    [
        (Posted("accept"), {"analytics", "marketing"}),
        (Posted("refuse"), set()),
        (Posted("refuse", ("analytics",)), set()),
        (Posted("save", ("analytics",)), {"analytics"}),
        (Posted("save", ("analytics", "analytics")), {"analytics"}),
        (Posted("save"), set()),
        (Posted("save", ("preferences",)), None),  # this site doesn't ask about it
        (Posted("save", ("necessary",)), None),
        (Posted("accept", ("everything",)), None),
        (Posted(), None),
    ],
)
def test_what_is_granted(posted, expected):
    if expected is not None:
        assert posted.granted(("analytics", "marketing")) == expected
        return
    with pytest.raises(RefusedPostError) as caught:
        posted.granted(("analytics", "marketing"))
    assert caught.value.status == 400
    assert "everything" not in caught.value.reason
