"""What a sink gets of an event, and why it doesn't get one."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack import PrivacyPolicy
from centtrack.delivery.sending.routing import Route, is_in_sample, why_withheld
from centtrack.event import COLUMNS
from centtrack.policy.model import ALWAYS_SENT, ConsentRules, SinkRules
from centtrack.testing import make_event

CHOICE = {"analytics": "given", "marketing": "given", "preferences": "given"}


@pytest.mark.parametrize(
    ("purposes", "event", "rules", "expected"),
    [
        # the visitor's own choice
        (("analytics",), {"consent_source": "cookie"}, {}, None),
        (("statistics",), {"consent_source": "cookie"}, {}, None),
        (("preferences", "marketing"), {"consent_source": "cookie"}, {}, None),
        (("statistics",), {"consent_source": "cookie", "consent": {"analytics": "refused"}}, {}, "consent"),
        # every purpose must be granted
        (("analytics", "marketing"), {"consent_source": "cookie", "consent": {"analytics": "given"}}, {}, "consent"),
        (("analytics",), {"consent_source": "default", "consent": {}}, {}, "consent"),
        (("analytics",), {"consent_source": "cookie", "consent": {"analytics": "expired"}}, {}, "consent"),
        (("analytics",), {"consent_source": "cookie", "consent": {"analytics": "Given"}}, {}, "consent"),
        # signals
        (("analytics",), {"consent_source": "cookie", "gpc": True}, {}, "signal"),
        (("analytics",), {"consent_source": "cookie+gpc", "gpc": True}, {"gpc": []}, "signal"),
        (("analytics",), {"consent_source": "cookie", "dnt": True}, {}, None),
        (("analytics",), {"consent_source": "cookie", "dnt": True}, {"dnt": True}, "signal"),
        (("analytics",), {"consent_source": "cookie", "gpc": True}, {"choice_outranks_signal": True}, None),
        (("analytics",), {"consent_source": "banner", "gpc": True}, {"choice_outranks_signal": True}, "signal"),
        (("analytics",), {"consent_source": "implied", "gpc": True}, {"choice_outranks_signal": True}, "signal"),
        (
            ("marketing",),
            {"consent_source": "cookie+gpc", "gpc": True, "consent": {"marketing": "refused"}},
            {"choice_outranks_signal": True},
            "consent",
        ),
        # nobody chose, or somebody else says so
        (("analytics",), {"consent_source": "implied"}, {}, "implied"),
        (("analytics",), {"consent_source": "banner"}, {}, "asserted"),
        (("analytics",), {"consent_source": "cookie+banner"}, {}, "asserted"),
        (("analytics",), {"consent_source": "banner", "consent": {"analytics": "refused"}}, {}, "consent"),
        # what no version of ours wrote
        (("analytics",), {"consent_source": None}, {}, "consent"),
        (("analytics",), {"consent_source": "default"}, {}, "consent"),
    ],
)
def test_who_gets_what(purposes, event, rules, expected):
    sink = SinkRules(name="s", party="third", purposes=purposes)
    made = make_event(**{"consent": CHOICE, **event})
    assert why_withheld(made, sink, ConsentRules(**rules)) == expected


STATES = st.sampled_from(["given", "refused", "unknown", "withdrawn", "expired", "invalidated", "requested"])
SOURCES = st.sampled_from([None, "", "default", "cookie", "gpc", "cookie+gpc", "implied", "banner", "banner+gpc"])


@given(
    consent=st.dictionaries(st.sampled_from(sorted(CHOICE)), STATES),
    source=SOURCES,
    gpc=st.none() | st.booleans(),
    purposes=st.sets(st.sampled_from(["analytics", "statistics", "preferences", "marketing"]), min_size=1),
)
def test_only_a_choice_of_ones_own_unlocks(consent, source, gpc, purposes):
    sink = SinkRules(name="s", party="third", purposes=tuple(purposes))
    event = make_event(consent=consent, consent_source=source, gpc=gpc)
    if why_withheld(event, sink, ConsentRules()) is None:
        assert "cookie" in source
        assert not gpc
        needed = {"analytics" if purpose == "statistics" else purpose for purpose in purposes}
        assert {consent.get(category) for category in needed} == {"given"}


def policy(*entries, rest=""):
    """A policy with these tables for the sink `s`."""
    tables = [f'[[sinks]]\nname = "s"\n{entry}\n' for entry in entries]
    return PrivacyPolicy.parse("\n".join([rest, *tables]))


PURPOSES = "[purposes]\n" + "".join(f'{name} = "x"\n' for name in (*sorted(CHOICE), "security", "statistics"))


def test_two_entries_for_one_sink_must_both_allow():
    rules = policy('party = "third"', 'party = "third"\npurposes = ["marketing"]', rest=PURPOSES)
    route = Route(rules, "s")
    event = make_event(policy_hash=rules.hash, consent={"analytics": "given"}, consent_source="cookie")
    assert route.judge_recorded(event) == "consent"
    assert route.judge_recorded(make_event(policy_hash=rules.hash, consent=CHOICE, consent_source="cookie")) is None


@pytest.mark.parametrize(
    ("other", "consent", "expected"),
    [
        ('purposes = ["analytics"]', {"marketing": "given"}, "consent"),
        ('purposes = ["statistics"]', {"marketing": "given", "analytics": "refused"}, "consent"),
        ('purposes = ["analytics"]', {"marketing": "given", "analytics": "given"}, None),
        ('purposes = ["security"]', CHOICE, "consent"),  # that nobody is asked about
    ],
)
def test_a_third_party_needs_consent_for_each_purpose_of_its_sink(other, consent, expected):
    """Whichever of the sink's entries names it."""
    rules = policy('party = "third"\npurposes = ["marketing"]', other, rest=PURPOSES)
    event = make_event(policy_hash=rules.hash, consent=consent, consent_source="cookie")
    assert Route(rules, "s").judge_recorded(event) == expected


@pytest.mark.parametrize("before", [None, "", policy().hash, policy('party = "first"').hash])
def test_what_was_recorded_under_another_policy_is_withheld(before):
    """The visitor consented, but to a policy in which this sink was nobody's, or ours."""
    route = Route(policy('party = "third"'), "s")
    assert route.judge_recorded(make_event(policy_hash=before, consent=CHOICE, consent_source="cookie")) == "policy"


@pytest.mark.parametrize(
    ("entry", "takes_all"),
    [
        ("", True),
        ('purposes = ["analytics", "security", "statistics"]\nsample = 1.0\nretention = 3\ncountry = "KZ"', True),
        (f"fields = {[column.name for column in COLUMNS]}", True),
        ("fields = []", False),
        ("sample = 0.999", False),
        ('party = "third"', False),
        ('purposes = ["analytics", "marketing"]', False),
        ('purposes = ["preferences"]', False),
    ],
)
def test_where_nothing_is_left_out_no_event_has_to_be_looked_at(entry, takes_all):
    rules = policy(entry, rest=PURPOSES)
    assert Route(rules, "s").takes_all is takes_all
    assert Route(rules, "other").takes_all


# A first party, too, records for advertising and recommendations only who agreed to it (clauses 5.2 and 5.3).
@pytest.mark.parametrize(
    ("purposes", "consent", "expected"),
    [
        (["marketing"], {}, "consent"),
        (["marketing"], {"marketing": "refused"}, "consent"),
        (["marketing"], {"marketing": "expired"}, "consent"),
        (["marketing"], {"marketing": "given"}, None),
        (["preferences"], {"preferences": "given"}, None),
        (["preferences"], {"marketing": "given", "analytics": "given"}, "consent"),
        (["analytics", "marketing"], {"analytics": "given"}, "consent"),  # it would be used for both
        (["analytics", "marketing"], {"marketing": "given"}, None),  # measuring one's own site asks nobody
        (["analytics", "security", "statistics"], {}, None),
    ],
)
def test_what_a_first_party_needs_consent_for(purposes, consent, expected):
    route = Route(policy(f"purposes = {purposes}", rest=PURPOSES), "s")
    event = make_event(consent=consent, consent_source="cookie")
    assert (route.judge_recorded(event), route.judge(event)) == (None, expected)


@given(
    event_id=st.text(st.characters(codec="utf-8")),
    shares=st.lists(st.floats(0, 1, exclude_min=True), min_size=2, max_size=2),
)
def test_a_share_is_in_every_larger_one(event_id, shares):
    small, large = sorted(shares)
    assert is_in_sample(event_id, small) <= is_in_sample(event_id, large) <= is_in_sample(event_id, 1.0)
    assert is_in_sample(event_id, 1.0)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_sample_is_a_share_of_all(share):
    ids = [str(number) for number in range(20_000)]  # always the same, so this never fails by chance
    assert abs(sum(is_in_sample(one, share) for one in ids) / len(ids) - share) < 0.01


def test_sampling_is_a_reason_of_its_own_and_the_last_one():
    rules = policy('sample = 0.5\npurposes = ["marketing"]', rest=PURPOSES)
    route = Route(rules, "s")
    assert {route.judge(make_event(consent=CHOICE)) for _ in range(200)} == {None, "sampling"}
    assert {route.judge(make_event()) for _ in range(200)} == {"consent"}


FULL = make_event(
    **{column.name: "x" for column in COLUMNS if column.type == (str | None)},
    status=200, duration_ms=1.5, response_bytes=7, bot=True, gpc=False, dnt=False, cookies={"necessary": 1},
    consent=CHOICE, props={"plan": "gold"},
)  # fmt: skip


@given(fields=st.sets(st.sampled_from([column.name for column in COLUMNS])))
def test_a_sink_gets_its_fields_and_what_every_record_needs(fields):
    route = Route(policy(f"fields = {sorted(fields)}"), "s")
    whole, cut = msgspec.structs.asdict(FULL), msgspec.structs.asdict(route.cut(FULL))
    assert {name for name, value in whole.items() if value in (None, {})} == set()  # else this would show nothing
    assert cut == {name: value if name in {*fields, *ALWAYS_SENT} else None for name, value in whole.items()}
    assert msgspec.json.decode(msgspec.json.encode(route.cut(FULL)), type=type(FULL)) == route.cut(FULL)


def test_of_several_entries_the_strictest_holds():
    route = Route(policy('fields = ["path", "route"]\nsample = 0.9', 'fields = ["route", "city"]\nsample = 0.2'), "s")
    cut = route.cut(FULL)
    assert (cut.route, cut.path, cut.city) == ("x", None, None)
    events = [make_event() for _ in range(300)]
    assert [route.judge(one) for one in events] == [
        None if is_in_sample(one.event_id, 0.2) else "sampling" for one in events
    ]
