"""What of a batch a sink gets: under the policy in force, in an order that tells nothing."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack import PrivacyPolicy
from centtrack.delivery.records import StoredBatch
from centtrack.delivery.sending import selection
from centtrack.delivery.sending.selection import Selector
from centtrack.testing import make_event

POLICY = PrivacyPolicy.parse('[limits.default]\ntime = "second"\npage = "path"\n')
COARSE = PrivacyPolicy.parse('[limits.default]\ntime = "hour"\npage = "none"\n')
CUSTOM = PrivacyPolicy.parse('[limits.default]\ntime = "second"\n[[events]]\nname = "order"\n')


def stored(*events):
    """A batch of events, or of what should have been some."""
    lines = [event if isinstance(event, bytes) else msgspec.json.encode(event) for event in events]
    return StoredBatch(7, False, len(lines), b"".join(line + b"\n" for line in lines))


def visit(policy=POLICY, **columns):
    return make_event(**{"time_precision": "second", "policy_hash": policy.hash, **columns})


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([visit(), visit()], False),
        ([visit(name="order", props={"plan": "gold"})], False),
        ([visit(), visit(COARSE)], True),
        ([visit(policy_hash=None)], True),
        ([visit(time_precision="hour"), visit()], True),  # their order could tell more
        # properties of a custom event can't pass for its hash
        ([visit(COARSE, name="order", props={"policy_hash": POLICY.hash})], True),
        ([visit(COARSE, name="order", props={"policy_hash": POLICY.hash, "props": "null"})], True),
        ([visit(COARSE, name="order", props={"policy_hash": POLICY.hash, "props": "{"})], True),
        # nor can text
        ([visit(COARSE, path=f'"policy_hash":"{POLICY.hash}","props":null')], True),
        # so can a custom event's property that has the name of the precision of times
        ([visit(time_precision="minute", name="order", props={"time_precision": "second"})], True),
        ([visit(name="order", props={"time_precision": "minute"})], True),
        # what an earlier version wrote, with other columns, is looked at
        ([visit(), b'{"event_id":"1","policy_hash":"%s"}' % POLICY.hash.encode()], True),
    ],
)
def test_rows_are_decoded_where_need_be(events, expected):
    assert Selector(POLICY, "s").needs_events(stored(*events)) is expected


def test_for_a_third_party_and_without_a_policy():
    third = PrivacyPolicy.parse('[limits.default]\ntime = "second"\n[[sinks]]\nname = "s"\nparty = "third"\n')
    assert Selector(third, "s").needs_events(stored(visit(third)))
    assert not Selector(third, "other").needs_events(stored(visit(third)))
    assert not Selector(None, "s").needs_events(stored(visit(COARSE)))


def test_lines_go_as_they_are():
    batch = stored(visit(), visit())
    chosen = Selector(POLICY, "s").select_lines(batch, "stream")
    assert (chosen.batch.lines, chosen.batch.stream, chosen.batch.sequence) == (batch.lines, "stream", 7)
    assert (chosen.dead, chosen.withheld) == ([], {})


def test_what_was_recorded_under_a_finer_policy_is_reduced_again():
    events = [visit(path=f"/visitors/{number}") for number in range(50)]
    chosen = Selector(COARSE, "s").select_events(stored(*events), "stream")
    assert {(event.path, event.time_precision, event.policy_hash) for event in chosen.batch} == {
        (None, "hour", COARSE.hash)
    }
    assert [event.event_id for event in chosen.batch] == sorted(event.event_id for event in events)
    assert (chosen.dead, chosen.withheld) == ([], {})


def test_what_the_policy_would_not_record_is_withheld():
    events = [visit(CUSTOM, name="order", props={}), visit()]
    chosen = Selector(POLICY, "s").select_events(stored(*events), "stream")
    assert [event.event_id for event in chosen.batch] == [events[1].event_id]
    assert chosen.withheld == {"policy": 1}


def test_a_third_party_gets_nothing_from_before():
    """Reduced again, an event bears the hash of the policy in force: it must not be judged by that."""
    third = PrivacyPolicy.parse('[[sinks]]\nname = "s"\nparty = "third"\n')
    agreed = {"consent": {"analytics": "given"}, "consent_source": "cookie"}
    chosen = Selector(third, "s").select_events(stored(visit(**agreed), visit(third, **agreed)), "stream")
    assert (len(chosen.batch), chosen.withheld) == (1, {"policy": 1})


def test_what_cannot_be_reduced_is_laid_aside_alone(monkeypatch):
    def fail_on_bad(event, policy, **_):
        if event.path == "/bad":
            raise ValueError("visitor 4711")
        return event

    monkeypatch.setattr(selection, "reduce_again", fail_on_bad)
    events = [visit(), visit(path="/bad"), visit()]
    chosen = Selector(COARSE, "s").select_events(stored(*events), "stream")
    assert len(chosen.batch) == 2
    [(reason, event)] = chosen.dead
    assert reason.startswith("can't be reduced again: ValueError")
    assert "4711" not in reason
    assert event == msgspec.json.encode(events[1])


@pytest.mark.parametrize("value", ["aselkhan@example.kz", "it's aselkhan@example.kz's", "\naselkhan@example.kz\n"])
def test_the_reason_of_what_cannot_be_read_shows_no_value_of_it(value):
    """Reasons are listed without their events, and go into logs."""
    line = msgspec.json.encode({**msgspec.to_builtins(visit()), "kind": value})
    [(reason, event)] = Selector(POLICY, "s").select_events(stored(line), "stream").dead
    assert reason == "unreadable: Invalid enum value - at `$.kind`"
    assert event == line


@given(policies=st.lists(st.sampled_from([POLICY, COARSE, None]), max_size=30), junk=st.lists(st.integers(0, 30)))
def test_every_event_is_accounted_for_and_under_the_policy_in_force(policies, junk):
    lines = [msgspec.json.encode(visit(policy) if policy else visit(policy_hash=None)) for policy in policies]
    for place in junk:
        lines.insert(place, b"not json")
    for policy in (POLICY, COARSE):
        batch = stored(*lines)
        chosen = Selector(policy, "s").select_events(batch, "stream")
        assert len(chosen.batch) + len(chosen.dead) + chosen.withheld.total() == batch.total
        assert len(chosen.dead) == len(junk)
        assert {event.policy_hash for event in chosen.batch} <= {policy.hash}
        again = Selector(policy, "s").select_events(batch, "stream")
        assert list(again.batch) == list(chosen.batch)  # a repeated batch has the same events in the same order


SECOND = '[limits.default]\ntime = "second"\npage = "path"\n'


@pytest.mark.parametrize("recorded", ["now", "before"])
def test_fields_and_sample_hold_whatever_policy_an_event_was_recorded_under(recorded):
    rules = PrivacyPolicy.parse(f'{SECOND}[[sinks]]\nname = "s"\nfields = ["route"]\nsample = 0.5\n')
    before = POLICY if recorded == "before" else rules
    batch = stored(*(visit(before, path="/a", route="/{x}", ip_network="192.0.2.0/24") for _ in range(200)))
    selector = Selector(rules, "s")
    assert selector.needs_events(batch)
    chosen = selector.select_events(batch, "stream")
    assert {(event.route, event.path, event.ip_network) for event in chosen.batch} == {("/{x}", None, None)}
    assert chosen.withheld == {"sampling": 200 - len(chosen.batch)}
    assert b"192.0.2.0" not in chosen.batch.lines
    assert list(selector.select_events(batch, "stream").batch) == list(chosen.batch)
    assert not Selector(rules, "other").needs_events(stored(visit(rules)))


def test_what_is_laid_aside_for_a_sink_holds_only_its_fields(monkeypatch):
    """Whoever looks into the dead letters of a sink sees no more than the sink would have."""

    def fail(event, policy, **_):
        raise ValueError

    monkeypatch.setattr(selection, "reduce_again", fail)
    rules = PrivacyPolicy.parse(f'{SECOND}[[sinks]]\nname = "s"\nfields = ["route"]\n')
    [(_, event)] = Selector(rules, "s").select_events(stored(visit(path="/a", route="/{x}")), "stream").dead
    assert b'"path":null' in event
    assert b'"route":"/{x}"' in event


def test_a_first_party_needs_consent_that_counts_for_marketing():
    """Consent that was given to another policy doesn't."""
    text = f'{SECOND}[purposes]\nmarketing = "Advertising"\n[[sinks]]\nname = "s"\npurposes = ["marketing"]\n'
    rules = PrivacyPolicy.parse(text)
    before = PrivacyPolicy.parse(text.replace("[[sinks]]", 'analytics = "Visits"\n[[sinks]]'))
    agreed = {"consent": {"marketing": "given"}, "consent_source": "cookie"}
    events = [visit(rules, **agreed), visit(before, **agreed), visit(rules)]
    chosen = Selector(rules, "s").select_events(stored(*events), "stream")
    assert [event.event_id for event in chosen.batch] == [events[0].event_id]
    assert chosen.withheld == {"consent": 2}


@pytest.mark.parametrize(
    ("until", "network"), [("9999-12-31", "203.0.113.7/32"), ("2026-01-01", None)], ids=["waived", "lapsed"]
)
def test_a_full_address_goes_out_only_under_a_waiver(until, network):
    """It may have been recorded under the very policy, and wait longer than the waiver holds."""
    rules = PrivacyPolicy.parse(
        '[limits.default]\nip = "full"\ntime = "second"\npage = "path"\n'
        f'[waiver.ip]\nreason = "fraud"\nby = "officer"\nuntil = {until}\n'
    )
    batch = stored(visit(rules, ip_network="203.0.113.7/32", path="/a"), visit(rules, path="/b", ip_network=None))
    selector = Selector(rules, "s")
    assert selector.needs_events(batch) is (network is None)
    chosen = selector.select_events(batch, "stream").batch
    assert [(event.ip_network, event.path) for event in chosen] == [(network, "/a"), (None, "/b")]


@pytest.mark.parametrize(("known", "state"), [(True, "given"), (False, "expired")])
def test_consent_counts_on_where_both_policies_ask_for_the_same(known, state):
    """The journal tells what consent was given to under the policy of before, if it knows."""
    before = PrivacyPolicy.parse('[limits.default]\ntime = "second"\n[exclude]\npaths = ["/old"]')
    after = PrivacyPolicy.parse('[limits.default]\ntime = "second"\n[exclude]\npaths = ["/new"]')
    assert before.hash != after.hash
    assert before.consent_hash == after.consent_hash
    event = visit(policy_hash=before.hash, consent={"analytics": "given"}, consent_source="cookie")
    known_hashes = {before.hash: before.consent_hash} if known else {}
    [chosen] = Selector(after, "s", known_hashes.get).select_events(stored(event), "stream").batch
    assert chosen.consent["analytics"] == state
