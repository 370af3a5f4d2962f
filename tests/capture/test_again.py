"""What waited while the policy changed is brought down to what the new one allows, as if recorded under it."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from centtrack.capture.again import reduce_again
from centtrack.event import Event
from centtrack.policy import PROFILES, PrivacyPolicy
from centtrack.policy.limits import LEVELS
from policies import FINEST, OWN_COOKIES, REGISTRY, capture_under, policy_text
from strategies import examples, observations, write_places

ORDERED = [limit for limit in LEVELS if limit != "visitor"]
UUID = "9f1c1e1a-6f0e-4d43-9d0c-2f6d7f6b0a11"
GIVEN = {"preferences": "given", "analytics": "given", "marketing": "given"}
LONG_AGO = dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC)


@pytest.fixture(scope="session")
def places(tmp_path_factory):
    return write_places(tmp_path_factory.mktemp("geo"))


def policy_of(levels=FINEST, **rest) -> PrivacyPolicy:
    return PrivacyPolicy.parse(policy_text(levels, **rest))


def event_with(**columns) -> Event:
    """An event under another policy, with what this test is about."""
    known = {"event_id": "1", "time": LONG_AGO, "time_precision": "second", "policy_hash": "another"}
    return Event(**{**known, **columns})


def recorded(seen, levels, places) -> tuple[Event, PrivacyPolicy]:
    capture = capture_under(policy_text(levels, places=places))
    event = capture.capture(seen)
    assert isinstance(event, Event)
    return event, capture.policy


def no_ids(event: Event | None) -> Event:
    assert event is not None
    return msgspec.structs.replace(event, event_id="")


def assume_nothing_was_cut(event: Event) -> None:
    """What may be half a UUID at the place of a cut is left out, although it may be none."""
    texts = (event.path, event.referrer_path, event.utm_source, event.utm_medium, event.utm_campaign, event.utm_term)
    assume(
        not any(
            text and len(text.encode()) >= limit for text, limit in zip(texts, (2_045,) * 2 + (125,) * 4, strict=True)
        )
    )
    assume(not event.utm_content or len(event.utm_content.encode()) < 125)
    assume(not event.query or len(event.query) < 509)


# As if recorded under it


@pytest.mark.parametrize(("limit", "level"), [(limit, level.label) for limit in ORDERED for level in LEVELS[limit]])
def test_of_the_finest_event_comes_that_of_any_coarser_level(places, limit, level):
    levels = {**FINEST, limit: level}

    @examples(15)
    @given(seen=observations())
    def check(seen):
        (finest, _), (coarse, policy) = recorded(seen, FINEST, places), recorded(seen, levels, places)
        assume_nothing_was_cut(finest)
        assert no_ids(reduce_again(finest, policy)) == no_ids(coarse)

    check()


LEVELS_OF_TIER = st.fixed_dictionaries({limit: st.sampled_from(LEVELS[limit].labels()) for limit in ORDERED})


def coarser_of(one: dict[str, str], other: dict[str, str]) -> dict[str, str]:
    return {
        limit: min(LEVELS[limit][one[limit].upper()], LEVELS[limit][other[limit].upper()]).label for limit in ORDERED
    }


@examples(100)
@given(seen=observations(), before=LEVELS_OF_TIER, after=LEVELS_OF_TIER)
def test_of_any_two_policies_the_coarser_levels_hold_and_twice_is_once(places, seen, before, after):
    """Never finer than in the event, whatever the policy in force would allow."""
    event, policy_before = recorded(seen, before, places)
    expected, _ = recorded(seen, coarser_of(before, after), places)
    policy = policy_of(after, places=places)
    assume_nothing_was_cut(event)
    again = reduce_again(event, policy)
    assert again is not None
    assert no_ids(again) == msgspec.structs.replace(
        expected, event_id="", policy_hash=policy.hash, policy_version=policy.version
    )
    assert again.event_id == event.event_id
    assert reduce_again(again, policy) == again
    assert reduce_again(event, policy_before) == event


UTM = {f"utm_{name}": name for name in ("source", "medium", "campaign", "term", "content")}


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        ("none", {}),
        ("channel", {"channel": "paid"}),
        ("source", {"channel": "paid", "utm_source": "source", "utm_medium": "medium"}),
        ("full", {"channel": "paid", **UTM}),
    ],
)
def test_of_a_campaign_as_much_stays_as_its_level_has(level, kept):
    again = reduce_again(event_with(channel="paid", **UTM), policy_of({**FINEST, "campaign": level}))
    assert again is not None
    assert {name: getattr(again, name) for name in ("channel", *UTM) if getattr(again, name)} == kept


@examples(60)
@given(seen=observations(), before=st.sampled_from(PROFILES), after=st.sampled_from(PROFILES))
def test_between_profiles_too_twice_is_once_and_the_same_policy_changes_nothing(capture_of, seen, before, after):
    event = capture_of(before).capture(seen)
    assert isinstance(event, Event)
    assume_nothing_was_cut(event)
    assert reduce_again(event, capture_of(before).policy) == event
    again = reduce_again(event, capture_of(after).policy)
    assert again is not None
    assert reduce_again(again, capture_of(after).policy) == again


# Consent

DEFAULT = {**FINEST, "ip": "net24", "geo": "region", "time": "hour"}
CONSENTED = {**FINEST, "ip": "net16", "geo": "city", "time": "minute", "visitor": "cookie"}


def given_event(**columns) -> Event:
    known = {"consent": GIVEN, "consent_source": "cookie", "ip_network": "203.0.113.7/32", "country_code": "KZ"}
    return event_with(**{**known, "region_code": "KZ-75", "region": "Almaty", "city": "Almaty", **columns})


def fineness(event: Event | None) -> tuple[str | None, str | None, str]:
    assert event is not None
    return event.ip_network, event.geo_precision, event.time_precision


NET16, NET24 = "203.0.0.0/16", "203.0.113.0/24"


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, (NET16, "city", "minute")),
        ({"consent": {**GIVEN, "analytics": "refused"}}, (NET24, "region", "hour")),
        ({"consent": {}}, (NET24, "region", "hour")),
        ({"consent_source": "banner"}, (NET16, "region", "hour")),
        ({"consent_source": "cookie+banner"}, (NET16, "region", "hour")),
        ({"gpc": True}, (NET16, "region", "hour")),
        ({"dnt": True}, (NET16, "region", "hour")),
        ({"gpc": False, "dnt": False}, (NET16, "city", "minute")),
    ],
)
def test_the_tier_is_that_of_the_consent_under_the_policy_in_force(columns, expected):
    """Of consent that doesn't count any more the coarser of both tiers holds, limit by limit."""
    policy = policy_of(DEFAULT, consented=CONSENTED, rest='[consent]\ndnt = true\ngpc = ["analytics", "marketing"]')
    again = reduce_again(given_event(**columns), policy, consent_hash=policy.consent_hash)
    assert fineness(again) == expected


def test_a_choice_may_outrank_a_signal():
    rest = '[consent]\nchoice_outranks_signal = true\ngpc = ["analytics"]'
    policy = policy_of(DEFAULT, consented=CONSENTED, rest=rest)
    event = given_event(gpc=True)
    assert fineness(reduce_again(event, policy, consent_hash=policy.consent_hash)) == (NET16, "city", "minute")


def test_a_banner_never_outranks_a_signal():
    rest = '[consent]\nchoice_outranks_signal = true\ngpc = ["analytics"]\nbanner = { kind = "cookiebot" }'
    policy = policy_of(DEFAULT, consented=CONSENTED, rest=rest)
    event = given_event(gpc=True, consent_source="cookie+banner")
    assert fineness(reduce_again(event, policy, consent_hash=policy.consent_hash)) == (NET16, "region", "hour")


def test_a_signal_that_the_policy_does_not_read_refuses_nothing():
    policy = policy_of(DEFAULT, consented=CONSENTED, rest='[consent]\ngpc = ["analytics"]')
    event = given_event(dnt=True)
    assert fineness(reduce_again(event, policy, consent_hash=policy.consent_hash)) == (NET16, "city", "minute")


def test_under_the_same_policy_consent_counts_as_it_did():
    policy = policy_of(DEFAULT, consented=CONSENTED)
    event = given_event(policy_hash=policy.hash)
    assert fineness(reduce_again(event, policy)) == (NET16, "city", "minute")


def test_another_banner_counts_while_the_policy_has_one():
    policy = policy_of(DEFAULT, consented=CONSENTED, rest='[consent]\nbanner = { kind = "cookiebot" }')
    event = given_event(consent_source="banner")
    assert fineness(reduce_again(event, policy, consent_hash=policy.consent_hash)) == (NET16, "city", "minute")


@pytest.mark.parametrize("consent_hash", [None, "another"])
def test_consent_to_something_else_has_expired(consent_hash):
    policy = policy_of(DEFAULT, consented=CONSENTED)
    again = reduce_again(given_event(visitor_id="a" * 32), policy, consent_hash=consent_hash)
    assert fineness(again) == (NET16, "region", "hour")
    assert again is not None
    assert (again.consent, again.visitor_id) == (dict.fromkeys(GIVEN, "expired"), None)


def test_a_signal_refuses_its_categories_alone():
    policy = policy_of(rest='[consent]\ngpc = ["marketing"]')
    event = given_event(gpc=True)
    again = reduce_again(event, policy, consent_hash=policy.consent_hash)
    assert again is not None
    assert again.consent == {"preferences": "given", "analytics": "given", "marketing": "refused"}


@pytest.mark.parametrize("state", ["unknown", "requested", "refused", "expired", "invalidated", "withdrawn"])
def test_what_was_not_given_stays_what_it_was(state):
    event = event_with(consent={"analytics": state}, consent_source="cookie")
    again = reduce_again(event, policy_of())
    assert again is not None
    assert again.consent == {"analytics": state}


KEY, LONG_KEY, COOKIE_ID = "0123456789ab", "0123456789abcdef" * 2, "fedcba9876543210" * 2


@pytest.mark.parametrize(
    ("default", "consented", "is_given", "found", "expected"),
    [
        ("none", "cookie", True, COOKIE_ID, COOKIE_ID),
        ("none", "cookie", True, KEY, KEY),
        ("none", "none", True, COOKIE_ID, None),
        ("daily_key", "daily_key", True, KEY, KEY),
        ("daily_key", "daily_key", True, COOKIE_ID, None),  # or a key of 128 bits: it can't be told
        ("daily_key", "none", False, LONG_KEY, LONG_KEY[:12]),
        ("daily_key", "none", False, "ab12", "ab12"),
        ("daily_key", "none", False, None, None),
        ("none", "cookie", False, KEY, None),
    ],
)
def test_an_id_stays_where_its_kind_is_allowed(default, consented, is_given, found, expected):
    policy = policy_of({**FINEST, "visitor": default}, consented={**FINEST, "visitor": consented})
    event = event_with(consent=GIVEN if is_given else {}, consent_source="cookie", visitor_id=found)
    again = reduce_again(event, policy, consent_hash=policy.consent_hash)
    assert again is not None
    assert again.visitor_id == expected


# What has no level


@pytest.mark.parametrize(
    ("rest", "columns", "is_kept"),
    [
        ('[exclude]\npaths = ["/admin/*"]', {"path": "/admin/users"}, False),
        ('[exclude]\npaths = ["/admin/*"]', {"path": "/about", "route": "/about"}, True),
        ('[exclude]\npaths = ["/admin/*"]', {"path": None, "route": "/admin/{page}"}, False),
        ('[exclude]\npaths = ["/admin/*"]', {}, True),
        ('[exclude]\nmethods = ["options"]', {"method": "OPTIONS"}, False),
        ('[exclude]\nmethods = ["options"]', {"method": "GET"}, True),
        ('[exclude]\nmethods = ["options"]', {"method": None}, True),
        ('[exclude]\nmethods = ["PROPFIND"]', {"method": "_OTHER"}, False),
        ('[bots]\nrecord = "drop"', {"bot": True}, False),
        ('[bots]\nrecord = "drop"', {"bot": False}, True),
        ('[bots]\nrecord = "drop"', {"bot": None}, True),
        ('[bots]\nrecord = "label"', {"bot": True}, True),
        ("", {"name": "quote_made", "props": {}}, True),
        ("", {"name": "no_longer_declared", "props": {}}, False),
        ("", {"name": "no_longer_declared", "props": None}, False),
    ],
)
def test_what_would_not_be_recorded_is_no_event_any_more(rest, columns, is_kept):
    assert (reduce_again(event_with(**columns), policy_of(rest=rest)) is not None) == is_kept


@pytest.mark.parametrize(
    ("props", "expected"),
    [
        ({"product": "motor", "premium": 7}, {"product": "motor", "premium": 7}),
        ({"product": "boat", "premium": 7.5, "renewed": 1, "ratio": True}, {}),
        ({"agent": "Ivan", "renewed": True}, {"renewed": True}),
        ({"premium": 87011234567}, {}),
    ],
)
def test_of_properties_those_stay_that_are_declared(props, expected):
    again = reduce_again(event_with(name="quote_made", props=props), policy_of())
    assert again is not None
    assert again.props == expected


BOT = {
    "bot": True,
    "bot_reason": "known_bot",
    "bot_name": "GPTBot",
    "bot_operator": "OpenAI",
    "bot_purpose": "training",
}


def test_bots_are_not_labelled_where_the_policy_keeps_them():
    again = reduce_again(event_with(**BOT), policy_of(rest='[bots]\nrecord = "keep"'))
    assert again is not None
    assert {getattr(again, name) for name in BOT} == {None}


@pytest.mark.parametrize(
    ("min_population", "columns", "expected"),
    [
        (15_000, {"country_code": "KZ", "region_code": "KZ-75", "region": "Almaty", "city": "Almaty"}, "city"),
        (100_000, {"country_code": "KZ", "region_code": "KZ-39", "region": "Kostanay", "city": "Zhitikara"}, "region"),
        (0, {"country_code": "KZ", "city": "No Such Aul"}, "city"),
        (15_000, {"country_code": "KZ", "city": "No Such Aul"}, "country"),
        (15_000, {"city": "Almaty"}, None),
    ],
)
def test_a_city_that_is_too_small_now_becomes_its_region(min_population, columns, expected):
    policy = PrivacyPolicy.parse(
        policy_text()
        .replace("[geo]", f"[geo]\nmin_population = {min_population}")
        .replace('geo = "none"', 'geo = "city"')
    )
    again = reduce_again(event_with(**columns, geo_precision="city"), policy)
    assert again is not None
    assert again.geo_precision == expected
    assert (again.city is not None) == (expected == "city")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"path": f"/u/{UUID}/x"}, {"path": "/u/[uuid]/x"}),
        ({"path": "/" + "a" * 2_030 + f"/{UUID}"[:17]}, {"path": "/" + "a" * 2_030 + "/"}),
        ({"path": "/" + "a" * 2_030 + "/2024-05"}, {"path": "/" + "a" * 2_030 + "/2024-05"}),
        ({"referrer_class": "external", "referrer_path": f"/{UUID}"}, {"referrer_path": "/[uuid]"}),
        ({"utm_content": f"mail-{UUID}"}, {"utm_content": "mail-[uuid]"}),
        ({"utm_content": f"{UUID}," * 3 + UUID[:17]}, {"utm_content": "[uuid]," * 3}),
        ({"query": f"q={UUID}&page=2"}, {"query": "q=%5Buuid%5D&page=2"}),
        ({"query": f"q={UUID}&other=2"}, {"query": "q=%5Buuid%5D"}),
        ({"query": "other=2"}, {"query": None}),
    ],
)
def test_texts_lose_uuids_and_keys_that_are_not_kept_any_more(columns, expected):
    again = reduce_again(event_with(**columns), policy_of())
    assert again is not None
    assert {name: getattr(again, name) for name in expected} == expected


@pytest.mark.parametrize("column", ["path", "referrer_path", "utm_term"])
def test_uuids_stay_where_the_policy_lets_them(column):
    policy = PrivacyPolicy.parse(policy_text(FINEST).replace("[page]", "[page]\nscrub_uuids = false"))
    again = reduce_again(event_with(**{column: f"/{UUID}"}), policy)
    assert again is not None
    assert getattr(again, column) == f"/{UUID}"


@pytest.mark.parametrize(
    ("kind", "domain", "page", "is_kept"),
    [
        ("internal", "old.example", "route", False),
        ("internal", "old.example", "path", True),
        ("external", "partner.example", "none", True),
        ("external", "shop.example", "route", False),  # a site of ours now
        ("external", "shop.example", "path", True),
    ],
)
def test_an_internal_referrer_is_never_finer_than_the_page(kind, domain, page, is_kept):
    event = event_with(referrer_class=kind, referrer_domain=domain, referrer_path="/orders/7")
    again = reduce_again(event, policy_of({**FINEST, "page": page}))
    assert again is not None
    assert (again.referrer_domain, again.referrer_path) == (domain, "/orders/7" if is_kept else None)


@pytest.mark.parametrize(
    ("level", "counts", "expected"),
    [
        ("names", {"session": 1, "_ga*": 2, "analytics": 1}, {"_ga*": 2, "analytics": 1, "session": 1}),
        ("names", {"no_longer": 2, "unclassified": 1}, {"unclassified": 3}),
        ("names", {"_ga_X1": 1}, {"_ga*": 1}),
        (
            "counts",
            {"session": 1, "_ga*": 2, "_gid": 1, "no_longer": 1},
            {"analytics": 3, "necessary": 1, "unclassified": 1},
        ),
        ("counts", {}, {}),
        ("none", {"session": 1}, None),
    ],
)
def test_cookies_are_counted_by_the_registry_in_force(level, counts, expected):
    again = reduce_again(event_with(cookies=counts), policy_of({**FINEST, "cookies": level}))
    assert again is not None
    assert again.cookies == expected


@pytest.mark.parametrize(
    ("level", "expected"),
    [("names", {"_gid": 1, "unclassified": 1}), ("counts", {"analytics": 1, "unclassified": 1})],
)
def test_an_entry_counts_as_itself_and_one_that_nobody_judged_as_unclassified(level, expected):
    """`_gid` stands behind a pattern that fits its name, too."""
    entries = [("_g?d", "marketing"), ("_gid", "analytics"), ("new", "unclassified")]
    cookies = [{"name": name, "category": category} for name, category in entries]
    policy = policy_of({**FINEST, "cookies": level}).changed(cookies=cookies)
    again = reduce_again(event_with(cookies={"_gid": 1, "new": 1}), policy)
    assert again is not None
    assert again.cookies == expected


def test_every_name_of_the_registry_is_counted_as_a_request_would_be():
    names = OWN_COOKIES | REGISTRY
    again = reduce_again(event_with(cookies=dict.fromkeys(names, 1)), policy_of({**FINEST, "cookies": "counts"}))
    assert again is not None
    assert again.cookies == {"analytics": 3, "necessary": 3, "preferences": 1, "unclassified": 1}


def test_a_waiver_that_has_run_out_leaves_no_address():
    policy = PrivacyPolicy.parse(policy_text(FINEST).replace("2999-12-31", "2020-01-01"))
    again = reduce_again(event_with(ip_network="203.0.113.7/32"), policy)
    assert again is not None
    assert again.ip_network is None


def test_the_policy_in_force_is_named_and_the_rest_stays():
    event = event_with(name="request", kind="document", method="GET", status=200, site="shop.example", gpc=True)
    policy = policy_of({"page": "route"})
    again = reduce_again(event, policy)
    assert again == msgspec.structs.replace(
        event, time=LONG_AGO.replace(hour=0, minute=0, second=0), time_precision="day",
        policy_version=policy.version, policy_hash=policy.hash,
    )  # fmt: skip
