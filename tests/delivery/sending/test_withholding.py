"""What a third party's sink doesn't get, and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack import PrivacyPolicy
from centtrack.delivery.sending.withholding import (
    check_third_parties,
    find_unmatched,
    make_withholding,
    retention_of,
    why_withheld,
)
from centtrack.errors import ConfigurationError
from centtrack.policy.model import ConsentRules, SinkRules
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


def policy(*sinks):
    tables = [f'[[sinks]]\nname = "{name}"\nparty = "{party}"\n' for name, party in sinks]
    return PrivacyPolicy.parse("\n".join(tables))


@pytest.mark.parametrize(
    ("written", "party", "name", "is_third"),
    [
        ("memory:", "third", "memory:", True),
        ("memory:", "first", "memory:", False),
        ("other", "third", "memory:", False),
        ("my_app.sinks.send", "third", "my_app.sinks.send", True),
        ("delta:s3://bucket/table", "third", "delta:s3://bucket/table", True),
        ("delta:./telemetry", "third", "delta:{here}/telemetry", True),  # as it is given to sink=
        ("delta:telemetry", "third", "delta:{here}/telemetry", True),
        ("jsonl:telemetry", "third", "delta:{here}/telemetry", False),
        ("jsonl:-", "third", "jsonl:-", True),
    ],
)
def test_whose_sink_it_is(tmp_path, monkeypatch, written, party, name, is_third):
    monkeypatch.chdir(tmp_path)
    rules = policy((written, party))
    assert bool(make_withholding(rules, name.format(here=tmp_path))) is is_third


def test_two_entries_for_one_sink_must_both_allow():
    text = '[[sinks]]\nname = "s"\nparty = "third"\n[[sinks]]\nname = "s"\nparty = "third"\npurposes = ["marketing"]\n'
    rules = PrivacyPolicy.parse(f'{text}[purposes]\nanalytics = "a"\nmarketing = "m"\n')
    withhold = make_withholding(rules, "s")
    event = make_event(policy_hash=rules.hash, consent={"analytics": "given"}, consent_source="cookie")
    assert withhold(event) == "consent"
    assert withhold(make_event(policy_hash=rules.hash, consent=CHOICE, consent_source="cookie")) is None


@pytest.mark.parametrize("before", [None, "", policy().hash, policy(("s", "first")).hash])
def test_what_was_recorded_under_another_policy_is_withheld(before):
    """The visitor consented, but to a policy in which this sink was nobody's, or ours."""
    withhold = make_withholding(policy(("s", "third")), "s")
    assert withhold(make_event(policy_hash=before, consent=CHOICE, consent_source="cookie")) == "policy"


def test_names_that_no_sink_bears():
    rules = policy(("a", "first"), ("b", "third"), ("c", "third")).document
    assert find_unmatched(rules, ["b", "d"], "first") == ["a"]
    assert find_unmatched(rules, ["b", "d"], "third") == ["c"]


def test_a_third_party_that_no_sink_is_must_not_be_overlooked():
    check_third_parties(policy(("a", "first"), ("b", "third")), ["b"])
    with pytest.raises(ConfigurationError, match=r'names "c" as a third party\'s, but the sinks here are named b, d'):
        check_third_parties(policy(("b", "third"), ("c", "third")), ["b", "d"])


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], None),
        ([("s", None)], None),
        ([("other", 3)], None),
        ([("s", 30)], 30),
        ([("s", 30), ("s", 7), ("s", None)], 7),
    ],
)
def test_how_long_events_may_wait(entries, expected):
    tables = [
        f'[[sinks]]\nname = "{name}"\nparty = "first"\n' + (f"retention = {days}\n" if days else "")
        for name, days in entries
    ]
    assert retention_of(PrivacyPolicy.parse("".join(tables)), "s") == expected
