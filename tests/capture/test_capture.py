"""The whole way from an observation to an event: properties of all events, and a hunt for leaks."""

# ruff: noqa: E501 - real headers and rows of a table stay on a line

import datetime as dt
import ipaddress
import string
from itertools import pairwise
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.capture.capture import Capture, Excluded
from centtrack.capture.client import TrustedProxies
from centtrack.capture.observation import Observation
from centtrack.event import COLUMNS, Event
from centtrack.policy import PROFILES, PrivacyPolicy
from centtrack.policy.limits import LEVELS

READ = ["host", "user-agent", "referer", "cookie", "accept-language", "sec-gpc", "dnt", "sec-fetch-dest", "sec-purpose"]
REST = """
[waiver.ip]
reason = "tests"
by = "tests"
until = 2999-12-31
[page]
query_keys = ["q", "page"]
[[cookies]]
name = "session"
category = "necessary"
[[cookies]]
name = "_ga*"
category = "analytics"
"""
FINEST = {name: kind.finest().label for name, kind in LEVELS.items()} | {"visitor": "none"}


def text_of(**levels):
    lines = [f'{name} = "{level}"' for name, level in {**FINEST, **levels}.items()]
    return "\n".join(["[limits.default]", *lines, REST])


HEADER_VALUES = st.binary(max_size=80) | st.sampled_from(
    [
        b"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148 Safari/604.1",
        b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        b"https://partner.example/a/b",
        b"https://shop.example/account",
        b"https://www.google.kz/",
        b"shop.example",
        b"session=1; _ga_X=2; other=3",
        b"ru-KZ,kk;q=0.8",
        b"1",
        b"203.0.113.7, 10.0.0.1",
    ]
)
HEADERS = st.lists(
    st.tuples(st.sampled_from([name.encode() for name in READ]) | st.binary(max_size=12), HEADER_VALUES), max_size=12
)
OBSERVATIONS = st.builds(
    Observation,
    protocol=st.sampled_from(["http", "websocket"]),
    peer=st.none() | st.text(max_size=20) | st.ip_addresses().map(str),
    headers=HEADERS,
    time=st.floats(0, 4e9),
    path=st.text(max_size=60).map("/".__add__),
    query=st.binary(max_size=80) | st.sampled_from([b"utm_source=a&utm_campaign=b&q=c", b"gclid=1&page=2"]),
    route=st.none() | st.text(max_size=20),
    method=st.none() | st.text(max_size=20),
    status=st.none() | st.integers(100, 599),
    content_type=st.none() | st.text(max_size=30),
    response_bytes=st.none() | st.integers(0, 2**40),
    duration_s=st.none() | st.floats(0, 1e5),
)


# (a) any observation


@given(seen=OBSERVATIONS, policy=st.sampled_from([*PROFILES, text_of()]))
def test_any_observation_gives_an_event(capture_of, seen, policy):
    event = capture_of(policy).capture(seen)
    assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event


@given(seen=OBSERVATIONS, line=st.binary(max_size=300), header=st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_any_forwarding_header_gives_an_event(capture_of, seen, line, header):
    capture = Capture(capture_of("cent").policy, TrustedProxies(["0.0.0.0/0", "::/0", "unix"], header))
    seen.headers = [*seen.headers, (header.encode(), line)]
    assert isinstance(capture.capture(seen), Event)


@pytest.mark.parametrize(
    "wrong",
    [
        {"query": "utm_source=a"},
        {"query": None},
        {"path": b"/x"},
        {"path": None},
        {"headers": [("host", "shop.example"), ("user-agent", "Mozilla/5.0")]},
        {"headers": [(b"user-agent", "Mozilla/5.0")]},
        {"headers": [[b"user-agent", bytearray(b"Mozilla/5.0")]]},
        {"headers": None},
        {"peer": b"203.0.113.7"},
        {"method": b"GET"},
        {"status": "200"},
    ],
    ids=str,
)
def test_types_that_a_server_gets_wrong_are_tolerated(event_of, wrong):
    assert isinstance(event_of("cent", **wrong), Event)


def test_an_event_has_at_most_32_kb(event_of):
    filler = b"\xff" * 9_000
    seen = {
        "path": "/" + "\U0001f600" * 9_000,
        "route": "/" + "\U0001f600" * 9_000,
        "query": b"q=" + filler,
        "headers": [(b"referer", b"http://a.example/" + filler), (b"user-agent", filler), (b"accept-language", filler)],
    }
    assert len(msgspec.json.encode(event_of(text_of(), **seen))) <= 32_768


# (b) levels are nested


def is_cut_of(limit, column, coarse, fine):
    """Whether the value at the coarser level can be had from the one at the finer level."""
    if coarse is None or coarse == fine:
        return True
    match limit:
        case "ip":
            return ipaddress.ip_network(fine).subnet_of(ipaddress.ip_network(coarse))
        case "time":
            return column == "time_precision" or (coarse <= fine and coarse.second == 0)
        case "browser":
            return fine.startswith(f"{coarse}.")
        case "page" | "duration":
            return column in {"response_bytes", "duration_ms"} and str(int(coarse))[1:].strip("0") == ""
        case "cookies":
            return sum(coarse.values()) == sum(fine.values())
    return False


@pytest.mark.parametrize("limit", [name for name in LEVELS if name != "visitor"])
@given(seen=OBSERVATIONS)
def test_a_coarser_level_holds_nothing_that_the_finer_one_has_not(capture_of, limit, seen):
    events = [capture_of(text_of(**{limit: level.label})).capture(seen) for level in LEVELS[limit]]
    for coarse, fine in pairwise(events):
        for column in COLUMNS:
            less, more = getattr(coarse, column.name), getattr(fine, column.name)
            if column.limit == limit:
                assert is_cut_of(limit, column.name, less, more), column.name
            elif limit == "page" and column.name == "referrer_path":
                assert less is None or less == more  # an internal referrer is never finer than the page
            elif column.name not in {"event_id", "policy_hash"}:
                assert less == more, column.name


@pytest.mark.parametrize("limit", [name for name in LEVELS if name != "time"])
@given(seen=OBSERVATIONS)
def test_at_the_level_none_its_columns_are_empty(capture_of, limit, seen):
    event = capture_of(text_of(**{limit: "none"})).capture(seen)
    assert [
        column.name for column in COLUMNS if column.limit == limit and getattr(event, column.name) is not None
    ] == []


# (c) what is below the limit makes no difference

AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.{}.{} Safari/537.36"
)
SMALL = st.integers(0, 255)
WORDS = st.text(string.ascii_letters, min_size=1, max_size=10)


@st.composite
def alike(draw, *, strict):
    """An observation that differs from its like only below the limits of `strict` or of `cent`."""
    word, number = f"w{draw(WORDS)}", draw(SMALL)  # not a word that means something, such as gclid
    headers = [
        ("host", "shop.example"),
        ("user-agent", AGENT.format(number, draw(SMALL))),
        ("referer", f"https://partner{word if strict else ''}.example/{word}?{word}#{word}"),
        ("accept-language", f"ru-{word if strict else 'KZ'};q=0.{number % 9 + 1}"),
        ("cookie", f"{word}={number}"),
        (f"x-{word}", word),
        ("sec-ch-ua-full-version", word),
        ("if-none-match", word),
    ]
    return Observation(
        "http",
        f"203.0.{number if strict else 113}.{draw(SMALL)}",
        [(name.encode(), value.encode()) for name, value in headers],
        1_700_000_000 - 1_700_000_000 % 3_600 + draw(st.floats(0, 3_599 if strict else 0.99)),
        path=f"/p/{word if strict else 'a'}",
        query=f"{word}={number}&gclidx={word}".encode() if strict else b"x=" + word.encode(),
        route="/p/{id}",
        method="GET",
        status=200,
        response_bytes=10_000 + (draw(st.integers(0, 4_999)) if strict else 0),
        duration_s=0.2 + (draw(st.floats(0, 0.049)) if strict else 0),
    )


@given(st.data())
@pytest.mark.parametrize("profile", ["strict", "cent"])
def test_requests_that_differ_below_the_limits_give_the_same_event(capture_of, profile, data):
    pair = [data.draw(alike(strict=profile == "strict")) for _ in range(2)]
    one, two = (msgspec.structs.replace(capture_of(profile).capture(seen), event_id="") for seen in pair)
    assert msgspec.structs.asdict(one) == msgspec.structs.asdict(two)


# canaries


def planted(word):
    """Where a client can put a word: name → what of the observation changes."""
    raw, encoded = word.encode(), quote(word, safe="")

    def header(name, value):
        return {
            "headers": [
                (b"host", b"shop.example"),
                (name.encode(), value if isinstance(value, bytes) else value.encode()),
            ]
        }

    return {
        "user agent": header("user-agent", b"Mozilla/5.0 (" + raw + b"; Linux) " + raw + b"/" + raw),
        "bot": header("user-agent", raw + b"bot/1.0 (+http://" + raw + b")"),
        "referer, path": header("referer", f"https://partner.example/{encoded}"),
        "referer, query": header("referer", f"https://partner.example/?{encoded}={encoded}#{encoded}"),
        "referer, user": header("referer", f"https://{encoded}:{encoded}@partner.example/"),
        "referer, host": header("referer", f"https://{encoded}/"),
        "referer, subdomain": header("referer", f"https://{encoded}.example/"),
        "referer, internal": header("referer", f"https://shop.example/{encoded}?{encoded}"),
        "cookie, name": header("cookie", f"{encoded}=1; _ga{encoded}=1"),
        "cookie, value": header("cookie", b"session=" + raw + b"; _ga=" + raw),
        "language": header("accept-language", raw + b"-" + raw + b", en"),
        "host": {"headers": [(b"host", raw)]},
        "host, subdomain": {"headers": [(b"host", raw + b".shop.example")]},
        "fetch metadata": header("sec-fetch-dest", raw),
        "purpose": header("sec-purpose", raw),
        "gpc": header("sec-gpc", raw),
        "forwarded": header("x-forwarded-for", raw),
        "a header of its own": header(f"x-{word}", raw),
        "path": {"path": f"/u/{word}/edit"},
        "path, encoded": {"path": f"/u/{encoded}"},
        "path, encoded twice": {"path": f"/u/{quote(encoded)}"},
        "extension": {"path": f"/a.{word}"},
        "query, value": {"query": f"q={encoded}&utm_source={encoded}&utm_campaign={encoded}&gclid={encoded}".encode()},
        "query, encoded twice": {"query": f"q={quote(encoded)}&utm_term={quote(encoded)}".encode()},
        "query, key": {"query": f"{encoded}=1&utm_{encoded}=1".encode()},
        "method": {"method": word},
        "peer": {"peer": word},
    }


PLACES = list(planted("x"))


@pytest.mark.parametrize("place", PLACES)
def test_strict_shows_nothing_of_a_word_that_a_client_planted(event_of, place):
    encoded = msgspec.json.encode(event_of("strict", **planted("Ivanpetrovka")[place])).lower()
    assert b"ivanpetrov" not in encoded


PERSONAL = {
    "e-mail": ("ivan.petrov@mail.example.kz", "ivan.petrov"),
    "phone": ("87011234567", "87011234567"),
    "IIN": ("900101300017", "900101300017"),
    "card": ("4111111111111111", "4111111111111111"),
    "token": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1r", "dbjftjez4cvpmb92"),
}


HOSTS = {"referer, host", "referer, subdomain"}


@pytest.mark.parametrize(
    ("kind", "place"),
    # A host name has no capitals, so a token can't be told from a name there.
    [(kind, place) for kind in PERSONAL for place in PLACES if not (kind == "token" and place in HOSTS)],
)
def test_no_level_shows_personal_data_that_a_client_planted(event_of, kind, place):
    word, visible = PERSONAL[kind]
    encoded = msgspec.json.encode(event_of(text_of(ip="net24"), **planted(word)[place])).lower()
    assert visible.encode() not in encoded


# Under `cent` a word may show where the levels allow it, and nowhere else.
SHOWN_BY_CENT = {
    "path": {"path"},
    "path, encoded": {"path"},
    "path, encoded twice": {"path"},
    "extension": {"path"},
    "query, value": {"utm_source"},
    "referer, host": {"referrer_domain"},
    "referer, subdomain": {"referrer_domain"},
}


@pytest.mark.parametrize("place", PLACES)
def test_cent_shows_a_word_only_where_its_levels_allow_it(event_of, place):
    event = event_of("cent", **planted("Ivanpetrovka")[place])
    shown = {name for name, value in msgspec.structs.asdict(event).items() if "ivanpetrov" in str(value).lower()}
    assert shown <= SHOWN_BY_CENT.get(place, set())


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_that_everyone_knows_are_told(event_of, method):
    assert event_of("strict", method=method).method == method


# everything else


@pytest.mark.parametrize(
    ("host", "site"),
    [
        (b"shop.example", "shop.example"),
        (b"www.shop.example:8000", "shop.example"),
        (b"HELP.example", "help.example"),
        (b"evil.example", "shop.example"),
        (b"", "shop.example"),
    ],
)
def test_the_site_is_a_name_of_the_policy_never_the_host_header(event_of, host, site):
    policy = '[controller]\nsite = ["shop.example", "help.example"]\n'
    assert event_of(policy, headers=[(b"host", host)]).site == site


def test_without_names_in_the_policy_there_is_no_site(event_of):
    assert event_of("strict").site is None


@pytest.mark.parametrize(
    ("seen", "excluded"),
    [
        ({"path": "/health"}, True),
        ({"path": "/internal/a/b"}, True),
        ({"path": "/healthy"}, False),
        ({"path": "/x", "method": "OPTIONS"}, True),
        ({"path": "/x"}, False),
    ],
)
def test_exclusions(event_of, seen, excluded):
    policy = '[exclude]\npaths = ["/health", "/internal/*"]\nmethods = ["options"]\n'
    assert (event_of(policy, **seen) == Excluded("excluded")) is excluded


def test_ids_are_random_and_carry_no_time(event_of):
    ids = {event_of("strict").event_id for _ in range(2_000)}
    assert len(ids) == 2_000
    assert {one[14] for one in ids} == {"4"}
    assert {one[19] for one in ids} == set("89ab")


def test_an_event_names_the_policy_that_shaped_it(event_of):
    policy = PrivacyPolicy.profile("strict")
    event = event_of("strict")
    assert (event.policy_version, event.policy_hash) == (policy.version, policy.hash)


def test_the_full_address_needs_a_waiver_that_has_not_run_out(event_of):
    waiver = '[limits.default]\nip = "full"\n[waiver.ip]\nreason = "x"\nby = "x"\nuntil = {}\n'
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    assert event_of(waiver.format("2999-12-31")).ip_network == "203.0.113.77/32"
    assert event_of(waiver.format(yesterday)).ip_network is None


def test_events_share_nothing_that_can_be_changed(event_of):
    one = event_of("strict")
    one.consent["analytics"] = "given"
    try:
        assert event_of("strict").consent["analytics"] == "unknown"
    finally:
        one.consent["analytics"] = "unknown"


def test_an_observation_does_not_show_what_it_holds(observation):
    assert "203.0.113" not in repr(observation())
    assert "203.0.113" not in str(observation())


@pytest.mark.parametrize(
    ("seen", "count"),
    [
        ({}, 0),
        ({"path": "/" * 2_048, "query": b"q" * 8_192}, 0),
        ({"path": "/" * 2_049}, 1),
        ({"query": b"q" * 8_193}, 1),
        ({"headers": [(b"user-agent", b"a" * 513)]}, 1),
        ({"headers": [(b"referer", b"https://shop.example/" + b"a" * 4_096)]}, 1),
        ({"headers": [(b"x-large", b"a" * 65_536)]}, 0),  # nobody reads it
    ],
)
def test_what_is_cut_is_noted(observation, seen, count):
    capture = Capture(PrivacyPolicy.profile("strict"))
    capture.capture(observation(**seen))
    assert capture.totals().get(("noted", "truncated"), 0) == count
