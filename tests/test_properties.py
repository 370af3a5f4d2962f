"""What holds for every event: a coarser level of a limit tells no more than a finer one.

The limit `visitor` has kinds, not an order: a daily key can't be made of a cookie's id, nor the other way round.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from decimal import ROUND_HALF_UP, Decimal
from fnmatch import fnmatchcase
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given

from centtrack.event import COLUMNS, Event
from centtrack.policy.limits import LEVELS
from policies import COARSEST, FINEST, OWN_COOKIES, REGISTRY, capture_under, policy_text
from strategies import examples, observations, write_places

Columns = dict[str, object]


@pytest.fixture(scope="session")
def places(tmp_path_factory):
    return write_places(tmp_path_factory.mktemp("geo"))


# The event at a coarser level is a function of the event at the next finer one. The functions stand here a second
# time, written from the documentation. If they hold for each event, then two requests that can't be told apart at the
# finer level can't be told apart at the coarser one either.


def without(event: Columns, *columns: str) -> Columns:
    return {**event, **dict.fromkeys(columns)}


def coarser_ip(event: Columns, level: str) -> Columns:
    if level == "none" or event["ip_network"] is None:
        return without(event, "ip_network")
    network = ipaddress.ip_network(str(event["ip_network"]))
    prefix = {"net24": {4: 24, 6: 48}, "net16": {4: 16, 6: 32}}[level][network.version]
    return {**event, "ip_network": str(network.supernet(new_prefix=prefix))}


def coarser_geo(event: Columns, level: str) -> Columns:
    dropped = {"region": ["city"], "country": ["region", "region_code"], "none": ["country_code"]}[level]
    left = without(event, *dropped)
    filled = {"city": left["city"], "region": left["region"] or left["region_code"], "country": left["country_code"]}
    return {**left, "geo_precision": next((name for name, value in filled.items() if value), None)}


def coarser_time(event: Columns, level: str) -> Columns:
    time = event["time"]
    assert isinstance(time, dt.datetime)
    zeroed = {"minute": ["second"], "hour": ["second", "minute"], "day": ["second", "minute", "hour"]}[level]
    return {**event, "time": time.replace(**dict.fromkeys(zeroed, 0)), "time_precision": level}


def one_digit(value: object) -> int:
    whole = Decimal(int(value))  # type: ignore[call-overload]
    return int(whole.quantize(Decimal(1).scaleb(whole.adjusted()), ROUND_HALF_UP)) if whole >= 10 else int(whole)


def coarser_page(event: Columns, level: str) -> Columns:
    left = without(event, {"path": "query", "route": "path", "none": "route"}[level])
    if level != "path" and left["referrer_class"] == "internal":
        left["referrer_path"] = None  # never finer than the page
    if left["response_bytes"] is not None:
        size = {"path": left["response_bytes"], "route": one_digit(left["response_bytes"]), "none": None}
        left["response_bytes"] = size[level]
    return left


def coarser_campaign(event: Columns, level: str) -> Columns:
    dropped = {
        "source": ["utm_campaign", "utm_term", "utm_content"],
        "channel": ["utm_source", "utm_medium"],
        "none": ["channel"],
    }
    return without(event, *dropped[level])


def coarser_referrer(event: Columns, level: str) -> Columns:
    return without(event, {"domain": "referrer_path", "class": "referrer_domain", "none": "referrer_class"}[level])


def coarser_browser(event: Columns, level: str) -> Columns:
    if level == "major":
        versions = {name: event[name] for name in ("browser_version", "os_version")}
        return {**event, **{name: value and str(value).partition(".")[0] for name, value in versions.items()}}
    dropped = {
        "family": ["browser_version", "os_version"],
        "device": ["browser", "browser_engine", "os", "bot_name", "bot_operator", "bot_purpose"],
        "none": ["device_class"],
    }
    return without(event, *dropped[level])


def coarser_language(event: Columns, _level: str) -> Columns:
    return without(event, "language")


def coarser_cookies(event: Columns, level: str) -> Columns:
    names = event["cookies"]
    if level == "none" or not isinstance(names, dict):
        return without(event, "cookies")
    counts: dict[str, int] = {}
    for name, count in names.items():
        known = (OWN_COOKIES | REGISTRY).items()
        category = next((category for glob, category in known if fnmatchcase(name, glob)), name)
        counts[category] = counts.get(category, 0) + count
    return {**event, "cookies": counts}


def coarser_duration(event: Columns, level: str) -> Columns:
    exact = event["duration_ms"]
    return {**event, "duration_ms": None if level == "none" or exact is None else float(one_digit(exact))}


COARSER = {
    "ip": coarser_ip, "geo": coarser_geo, "time": coarser_time, "page": coarser_page, "campaign": coarser_campaign,
    "referrer": coarser_referrer, "browser": coarser_browser, "language": coarser_language,
    "cookies": coarser_cookies, "duration": coarser_duration,
}  # fmt: skip


def columns_of(text: str, seen: object) -> Columns:
    """The event's columns, but for its random id and the policy's hash."""
    event = capture_under(text).capture(seen)  # type: ignore[arg-type]
    assert isinstance(event, Event)
    return without(msgspec.structs.asdict(event), "event_id", "policy_hash")


def test_every_limit_with_an_order_has_a_function():
    assert [*COARSER, "visitor"] == [*COARSER, *(LEVELS.keys() - COARSER.keys())]


@pytest.mark.parametrize(("others", "count"), [(FINEST, 60), (COARSEST, 10)], ids=["others finest", "others coarsest"])
@pytest.mark.parametrize("limit", COARSER)
def test_a_coarser_level_is_a_function_of_a_finer_one(places, limit, others, count):
    texts = [policy_text({**others, limit: level.label}, places=places) for level in LEVELS[limit]]

    @examples(count)
    @given(seen=observations())
    def check(seen):
        events = [columns_of(text, seen) for text in texts]
        for level, (coarse, fine) in zip(LEVELS[limit], pairwise(events), strict=False):
            assert coarse == COARSER[limit](fine, level.label)

    check()


@pytest.mark.parametrize("limit", [limit for limit in COARSER if limit != "time"])
@given(seen=observations())
@examples(8)
def test_at_its_coarsest_level_a_limit_fills_no_column(places, limit, seen):
    event = columns_of(policy_text({**FINEST, limit: "none"}, places=places), seen)
    assert [column.name for column in COLUMNS if column.limit == limit and event[column.name] is not None] == []


@examples(50)
@given(seen=observations())
def test_an_event_is_utf_8_of_at_most_32_kb_and_can_be_read_back(places, seen):
    event = capture_under(policy_text(FINEST, places=places)).capture(seen)
    encoded = msgspec.json.encode(event)
    assert len(encoded) <= 32_768
    assert msgspec.json.decode(encoded, type=Event) == event
