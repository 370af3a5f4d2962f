from urllib.parse import parse_qs

import pytest

from centtrack.capture.click_ids import CLICK_IDS

POLICY = """
[limits.default]
page = "{}"
[page]
query_keys = ["q", "page"]
"""


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("none", (None, None, None)),
        ("route", ("/products/{id}", None, None)),
        ("path", ("/products/{id}", "/products/7", None)),
        ("query", ("/products/{id}", "/products/7", "q=casco")),
    ],
)
def test_route_path_and_query_follow_the_level(event_of, level, expected):
    event = event_of(POLICY.format(level), path="/products/7", route="/products/{id}", query=b"q=casco&token=t")
    assert (event.route, event.path, event.query) == expected


@pytest.mark.parametrize("level", ["none", "route"])
def test_no_route_known_means_null_never_the_path(event_of, level):
    assert event_of(POLICY.format(level), path="/products/7", route=None).route is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", None),
        (b"token=abc", None),
        (b"q=a&q=b", {"q": ["a", "b"]}),
        (b"q=", {"q": [""]}),
        (b"Q=a", None),  # keys are exact
        (b"q[]=a", None),
        (b"q=ivan%40example.com&page=2", {"q": ["[email]"], "page": ["2"]}),
        (b"q=%2B77011234567", {"q": ["[phone]"]}),
        (b"q=ivan%2540example.com", {"q": ["[email]"]}),
        (b"q=a#fragment", {"q": ["a#fragment"]}),  # servers cut fragments; a `#` here is part of the value
        (b"q=%D0%B6+%D0%B8", {"q": ["ж и"]}),
        ("q=каско".encode(), {"q": ["каско"]}),  # not encoded, as some clients send it
        (b"q=\xff\xfe", {"q": ["\ufffd\ufffd"]}),  # not UTF-8
        (b"q=%ff%fe", {"q": ["\ufffd\ufffd"]}),
        (b"q=%FFa%zz%", {"q": ["\ufffda%zz%"]}),
        (b"q=a%2Fb%252Fc", {"q": ["a/b/c"]}),
        (b"q=next%3D/a%3Bsid%3D123", {"q": ["next=/a;sid=[session]"]}),
        (b"ivan@mail.example=1&q=a", {"q": ["a"]}),  # a key that holds personal data isn't kept
    ],
)
def test_the_query_keeps_only_listed_keys_scrubbed(event_of, query, expected):
    found = event_of(POLICY.format("query"), query=query).query
    assert (found and parse_qs(found, keep_blank_values=True)) == expected


@pytest.mark.parametrize("key", [*CLICK_IDS, "GCLID", "utm_source", "UTM_Source"])
def test_click_identifiers_are_not_kept_even_if_they_are_listed(event_of, key):
    policy = f'[limits.default]\npage = "query"\n[page]\nquery_keys = ["q", "{key}"]\n'
    event = event_of(policy, query=f"q=a&{key}=Cj0KCQ".encode())
    assert event.query == "q=a"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/полис/7", "/полис/7"),
        ("/u/ivan@example.com/x", "/u/[email]/x"),
        ("/u/ivan%40example.com", "/u/[email]"),
        ("/u/123e4567-e89b-42d3-a456-426614174000", "/u/[uuid]"),
    ],
)
def test_the_path_is_scrubbed(event_of, path, expected):
    assert event_of(POLICY.format("path"), path=path).path == expected


@pytest.mark.parametrize(("level", "kinds"), [("route", ()), ("path", ("email",)), ("query", ("email", "phone"))])
def test_kinds_of_what_was_scrubbed_go_along(capture_of, observation, level, kinds):
    """What the limit leaves out anyway, as the value of `token`, doesn't count."""
    seen = observation(path="/u/ivan@mail.example", query=b"q=%2B77011234567&token=a@b.example")
    assert capture_of(POLICY.format(level)).make(seen).scrubbed == kinds


@pytest.mark.parametrize(
    "path", ["/a\x00b", "/a\r\nb", "/a\x1b[31m", "/a%00b", "/a%250Ab", "/a\u2028b", "/a\ud800b", "/a\x85b"]
)
def test_control_characters_are_replaced(event_of, path):
    found = event_of(POLICY.format("path"), path=path).path
    assert found.startswith("/a")
    assert not any(letter in found for letter in "\x00\r\n\x1b\u2028\ud800\x85")


@pytest.mark.parametrize("unit", ["a", "\U0001f600", "%41", "%00"])
def test_path_and_query_are_cut_at_2_kb(event_of, unit):
    event = event_of(POLICY.format("query"), path="/" + unit * 5_000, query=b"q=" + unit.encode() * 5_000)
    assert 0 < len(event.path) <= 2_048
    assert 0 < len(event.query) <= 2_048


@pytest.mark.parametrize("visible", [9, 12, 15])
@pytest.mark.parametrize("secret", ["ivan.petrov@example.kz", "4111111111111111", "+77011234567"])
def test_the_cut_at_2_kb_does_not_uncover_what_it_cut_through(event_of, secret, visible):
    start = "/" + "a" * (2_048 - visible - 2) + "/"
    assert secret[: min(visible, 11)] not in event_of(POLICY.format("path"), path=start + secret).path
    fill = b"b=" + b"b" * (2_048 - visible - 5)
    query = event_of(POLICY.format("query"), query=fill + b"&q=" + secret.replace("+", "").encode()).query
    assert secret.lstrip("+")[: min(visible, 10)] not in (query or "")


@pytest.mark.parametrize(
    ("level", "size", "expected"),
    [
        ("none", 12_345, None),
        ("route", 12_345, 10_000),
        ("route", 7, 7),
        ("route", 0, 0),
        ("route", None, None),
        ("path", 12_345, 12_345),
    ],
)
def test_response_bytes_follow_the_page(event_of, level, size, expected):
    assert event_of(POLICY.format(level), response_bytes=size).response_bytes == expected


def headers(**lines):
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in lines.items()]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({"protocol": "websocket", "method": None}, "websocket"),
        ({"headers": headers(sec_purpose="prefetch;prerender", sec_fetch_dest="document")}, "prefetch"),
        ({"headers": headers(purpose="prefetch")}, "prefetch"),
        ({"headers": headers(x_moz="prefetch")}, "prefetch"),
        ({"headers": headers(sec_fetch_dest="document")}, "document"),
        ({"headers": headers(sec_fetch_dest="iframe")}, "document"),
        ({"headers": headers(sec_fetch_dest="empty")}, "api"),
        ({"headers": headers(sec_fetch_dest="image")}, "asset"),
        ({"headers": headers(sec_fetch_dest="whatever a client writes")}, "asset"),
        ({"headers": headers(sec_fetch_dest="document"), "status": 302}, "other"),
        ({"headers": headers(sec_fetch_dest="document"), "status": 304}, "document"),
        # without fetch metadata: the content type, then the extension
        ({"content_type": "text/html; charset=utf-8"}, "document"),
        ({"content_type": "application/json"}, "api"),
        ({"content_type": "image/svg+xml"}, "asset"),
        ({"content_type": "text/css"}, "asset"),
        ({"content_type": "application/pdf"}, "other"),
        ({"content_type": "text/html", "method": "PUT"}, "api"),
        ({"path": "/app.js"}, "asset"),
        ({"path": "/index.php"}, "document"),
        ({"path": "/data.json"}, "api"),
        ({"path": "/pricing"}, "document"),
        ({"path": "/v1.something"}, "document"),
        ({"path": "/pricing", "method": "DELETE"}, "other"),
    ],
)
def test_kind(event_of, seen, expected):
    assert event_of("strict", **seen).kind == expected
