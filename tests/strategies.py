"""Requests as the internet sends them, for Hypothesis: plausible, odd and hostile."""

# ruff: noqa: E501 - real headers stay on a line

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from centtrack.capture.observation import Observation
from mmdb import write_mmdb

Scope = dict[str, Any]

HOST = "shop.example"
BASE_S = 1_700_000_000.0  # 2023-11-14T22:13:20Z


def examples(count: int) -> settings:
    """Settings for that many examples. Neither their time nor that of drawing them counts: machines differ."""
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# Places


def _nested(city: str, region: tuple[str, str], country: str, **rest: object) -> dict[str, object]:
    """A record in MaxMind's City schema, with what must never come out beside what may."""
    return {
        "city": {"names": {"en": city}},
        "subdivisions": [{"iso_code": region[0], "names": {"en": region[1]}}, {"names": {"en": "Some District"}}],
        "country": {"iso_code": country, "names": {"en": country}},
        "location": {"latitude": 43.238949, "longitude": 76.889709, "accuracy_radius": 5},
        "postal": {"code": "050059"},
        **rest,
    }


KOSTANAY = ("KUS", "Kostanay Oblysy")
PLACES: dict[str, dict[str, object]] = {
    "203.0.113.0/26": {"country_code": "KZ", "state1": "Almaty", "city": "Almaty (Bostandyk District)"},
    "203.0.113.64/26": {"country_code": "KZ", "state1": "Almaty", "city": "Almaty (Medeu District)", "latitude": 43.2},
    "203.0.113.128/25": {"country_code": "KZ", "state1": "Almaty", "city": "No Such Aul"},
    "198.51.100.0/26": _nested("Kostanay", KOSTANAY, "KZ"),
    "198.51.100.64/26": _nested("Rudnyy", KOSTANAY, "KZ", traits={"isp": "Some Provider"}),
    "198.51.100.128/26": _nested("Berlin", ("BE", "Land Berlin"), "DE"),
    "198.51.100.192/26": {"country": {"iso_code": "DE"}},
    "192.0.2.0/25": {"country": "KZ", "region": "Abay", "city": "Semey", "loc": "50.4,80.2", "postal": "071400"},
}


def write_places(folder: Path) -> Path:
    """A geo database of all schemas at once: cities, villages, a country, and networks that nobody knows."""
    return write_mmdb(folder / "places.mmdb", PLACES)


IPV4 = st.sampled_from(["203.0.113", "198.51.100", "192.0.2", "10.0.0"]).flatmap(
    lambda net: st.integers(0, 255).map(lambda last: f"{net}.{last}")
)
IPV6 = st.ip_addresses(network="2001:db8::/32").map(str)
ADDRESSES = st.one_of(
    IPV4,
    IPV6,
    IPV4.map("::ffff:{}".format),
    IPV4.map("64:ff9b::{}".format),
    IPV6.map("[{}]:443".format),
    IPV4.map("{}:8080".format),
    IPV6.map("{}%eth0".format),
)
PEERS = st.none() | ADDRESSES | st.sampled_from(["", "testclient", "unknown", "203.0.113.999", "::", "\ud800"])
CHAINS = st.lists(ADDRESSES | st.sampled_from(["", "unknown", '"', "for=", "_hidden"]), max_size=5).map(", ".join)


# Texts

ODD = st.text(max_size=24) | st.text(st.characters(), max_size=6)
LEAKS = st.sampled_from(
    [
        "ivan.petrov@mail.example.kz", "+7 (701) 123-45-67", "87011234567", "4111 1111 1111 1111", "900101300017",
        "050240010875", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1r", "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "9f1c1e1a-6f0e-4d43-9d0c-2f6d7f6b0a11", "43.238949,76.889709", "203.0.113.77", "2001:db8::77", "user:pass@host", "jsessionid=0A1B2C3D4E5F",
        "a" * 3_000, "%41%2541%", "..", "\x00", "\u202e", "<script>", "Қостанай", "\ud83d",
    ]
)  # fmt: skip
WORDS = st.sampled_from(["about", "plans", "item-7", "motor", "a.png", "7", "Hello World"])
SEGMENTS = WORDS | LEAKS | ODD
PATHS = st.lists(SEGMENTS, max_size=4).map(lambda parts: "/" + "/".join(parts))

KEYS = st.sampled_from(
    ["q", "page", "email", "token", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id",
     "gclid", "fbclid", "yclid", "", "lat"]
)  # fmt: skip
VALUES = st.sampled_from(["cpc", "email", "google", "newsletter", "1", ""]) | WORDS | LEAKS | ODD


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")


PAIRS = st.tuples(
    KEYS, st.builds(lambda value, twice: _quoted(_quoted(value)) if twice else _quoted(value), VALUES, st.booleans())
)
QUERIES = st.lists(PAIRS, max_size=6).map(lambda pairs: "&".join(map("=".join, pairs)).encode()) | st.binary(
    max_size=40
)


# Headers

_BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{0}.0.{1}.{2} Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{0}.0.0.0 Safari/537.36 Edg/{0}.0.{1}.{2}",
    "Mozilla/5.0 (Linux; Android {0}; SM-S9{1}B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{0}.0.{1}.{2} Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{0}_{1} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.{0} Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPad; CPU OS 16_{0} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.{1} Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:{0}.{1}) Gecko/20100101 Firefox/{0}.{1}",
    "Mozilla/5.0 (compatible; Googlebot/2.{1}; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; GPTBot/1.{1}; +https://openai.com/gptbot)",
    "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/{0}.0.{1}.{2}",
    "curl/8.{1}.{2}",
    "Opera/9.80 (J2ME/MIDP; Opera Mini/7.{1}.{2}; U; ru) Presto/2.8.119 Version/11.10",
)  # fmt: skip
NUMBERS = st.integers(0, 6_999)
AGENTS = st.builds(
    lambda form, major, minor, patch: form.format(major, minor, patch),
    st.sampled_from(_BROWSERS), st.integers(90, 142), NUMBERS, NUMBERS,
)  # fmt: skip

_BRANDS = st.sampled_from(
    ['"Google Chrome"', '"Microsoft Edge"', '"Chromium"', '"Not_A Brand"', '"Brave"', '"a\\"b"', "junk"]
)
BRAND_LISTS = st.lists(st.tuples(_BRANDS, st.integers(90, 142), NUMBERS), min_size=1, max_size=4).map(
    lambda found: ", ".join(f'{brand};v="{major}.0.{minor}.1"' for brand, major, minor in found)
)
REFERRERS = st.builds(
    lambda scheme, user, host, path, tail: f"{scheme}://{user}{host}{path}{tail}",
    st.sampled_from(["https", "https", "http", "android-app", "javascript", ""]),
    st.sampled_from(["", "ivan:secret@"]),
    st.sampled_from([HOST, HOST, f"www.{HOST}", "www.google.kz", "t.co", "mail.google.com", "partner.example:8443"])
    | st.sampled_from(["[::1", "203.0.113.7", "xn--e1afmkfd.example", "қазақстан.example", "ivan@mail.example", ""]),
    PATHS.map(lambda path: quote(path, errors="replace")),
    st.sampled_from(["", "?q=secret", "#top"]),
)  # fmt: skip
COOKIES = st.lists(st.tuples(st.sampled_from(["session", "_ga", "_ga_X1", "theme", "__Host-centtrack", "evil"]), WORDS | LEAKS), max_size=5).map(
    lambda pairs: "; ".join(f"{name}={value}" for name, value in pairs)
)  # fmt: skip
LANGUAGES = st.sampled_from(["ru-KZ,kk;q=0.8", "kk", "en-US,en;q=0.5", "*", "ru;q=0", "q=;,;", "de-DE-x-ivan", ""])
FLAGS = st.sampled_from(["1", "0", "", "1, 1", "true", " 1"])


def _bytes(texts: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """As it goes over the wire; now and then with bytes that are no text, or far too many."""
    wire = texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
    return st.one_of(wire, wire, wire, st.binary(max_size=40), wire.map(lambda value: value * 200))


HEADERS: dict[str, st.SearchStrategy[bytes]] = {
    "user-agent": _bytes(AGENTS),
    "referer": _bytes(REFERRERS),
    "accept-language": _bytes(LANGUAGES),
    "cookie": _bytes(COOKIES),
    "sec-ch-ua": _bytes(BRAND_LISTS),
    "sec-ch-ua-mobile": _bytes(st.sampled_from(["?0", "?1", "yes"])),
    "sec-ch-ua-platform": _bytes(st.sampled_from(['"Windows"', '"Android"', '"macOS"', "Linux", '""'])),
    "sec-ch-ua-full-version-list": _bytes(BRAND_LISTS),
    "sec-ch-ua-platform-version": _bytes(st.sampled_from(['"15.0.0"', '"14"', "14", '"0.1.0"', '""'])),
    "sec-ch-ua-model": _bytes(st.just('"SM-S911B"')),
    "signature-agent": _bytes(st.sampled_from(['"https://bot.example"', '"bot.example"', "x"])),
    "x-forwarded-for": _bytes(CHAINS),
    "forwarded": _bytes(CHAINS.map(lambda chain: ", ".join(f'for="{one}"' for one in chain.split(", ")))),
    "x-real-ip": _bytes(ADDRESSES),
    "sec-gpc": _bytes(FLAGS),
    "dnt": _bytes(FLAGS),
    "sec-fetch-dest": _bytes(st.sampled_from(["document", "empty", "image", "x" * 50])),
    "sec-purpose": _bytes(st.sampled_from(["prefetch", "prefetch;prerender", "other"])),
    "authorization": _bytes(st.just("Bearer abc.def.ghi")),
    "x-centtrack-explain": _bytes(st.just("1")),
}
USUAL = ("user-agent", "referer", "accept-language", "cookie")
HOSTS = _bytes(st.sampled_from([HOST, f"www.{HOST}:8000", "evil.example", "[::1", ""]))


@st.composite
def header_lists(draw: st.DrawFn) -> list[tuple[bytes, bytes]]:
    """Some headers in any order, some of them twice, in odd cases, or unknown."""
    usual = [name for name in USUAL if draw(st.integers(0, 4))]
    chosen = [*usual, *draw(st.lists(st.sampled_from([*HEADERS]), max_size=6))]
    headers = [(name.encode(), draw(HEADERS[name])) for name in chosen]
    if draw(st.integers(0, 9)):
        headers.append((b"host", draw(HOSTS)))
    if draw(st.booleans()):
        headers.append((draw(st.binary(max_size=12)), draw(st.binary(max_size=12))))
    if draw(st.integers(0, 9)) == 0:
        headers = [(name.title(), value) for name, value in headers]
    return draw(st.permutations(headers))


# Scopes

METHODS = st.sampled_from(["GET", "GET", "POST", "HEAD", "OPTIONS", "BREW", "get", "\ud800"])


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    """Scopes of the types that ASGI asks for."""
    kind = draw(st.sampled_from(["http", "http", "http", "websocket"]))
    peer = draw(PEERS)
    path = draw(PATHS)
    scope: Scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": draw(st.sampled_from(["1.1", "2", "3"])),
        "scheme": draw(st.sampled_from(["http", "https"])),
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "root_path": draw(st.sampled_from(["", "/app"])),
        "query_string": draw(QUERIES),
        "headers": draw(header_lists()),
        "client": None if peer is None else (peer, draw(st.integers(0, 65_535))),
        "server": ("127.0.0.1", 8000),
    }
    return scope | ({"method": draw(METHODS)} if kind == "http" else {"subprotocols": []})


ANYTHING = st.one_of(
    st.none(), st.text(max_size=8), st.binary(max_size=8), st.integers(-1, 70_000), st.just([]), st.just(()), st.just({}),
    st.lists(st.text(max_size=3), max_size=3), st.just([("user-agent", "x")]), st.just([[b"host", bytearray(b"x")]]),
    st.just([(b"host",)]), st.floats(allow_nan=True), st.just(bytearray(b"/x")),
)  # fmt: skip
READ_KEYS = ["method", "path", "root_path", "query_string", "headers", "client", "server", "scheme", "route", "endpoint",
             "path_template", "fastapi", "route_handler", "router", "app"]  # fmt: skip


@st.composite
def wrong_scopes(draw: st.DrawFn) -> Scope:
    """Scopes of a server or framework that gets types wrong, or leaves keys out."""
    scope = draw(scopes())
    for key in draw(st.lists(st.sampled_from(READ_KEYS), min_size=1, max_size=3)):
        if draw(st.booleans()):
            scope[key] = draw(ANYTHING)
        else:
            scope.pop(key, None)
    return scope


ROUTES = st.sampled_from([None, "/", "/p/{id}", "/{path:path}"])
SIZES = st.none() | st.integers(0, 2**40) | st.integers(0, 2_000)
DURATIONS = st.none() | st.floats(0, 1e5) | st.floats(0, 2)
TIMES = st.floats(0, 4e9) | st.floats(BASE_S, BASE_S + 200_000)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    """What the middleware makes of a scope, with any time, duration, size and status."""
    scope = draw(scopes())
    return Observation(
        protocol=scope["type"],
        peer=scope["client"][0] if scope["client"] else None,
        headers=scope["headers"],
        time=draw(TIMES),
        path=scope["path"],
        query=scope["query_string"],
        route=draw(ROUTES),
        method=scope.get("method"),
        status=draw(st.none() | st.sampled_from([200, 304, 302, 404, 500])),
        content_type=draw(st.none() | st.sampled_from(["text/html; charset=utf-8", "application/json", "image/png"])),
        response_bytes=draw(SIZES),
        duration_s=draw(DURATIONS),
    )
