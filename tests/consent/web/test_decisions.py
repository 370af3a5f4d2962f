import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.consent.state import CATEGORIES
from centtrack.consent.token import Choice
from centtrack.consent.web.decisions import Question, decide, make_record
from centtrack.policy import PrivacyPolicy

ASKED = ("preferences", "analytics", "marketing")
MOMENT = dt.datetime(2026, 11, 22, 21, 5, 59, 999, tzinfo=dt.UTC)
DAY = 20_779  # 2026-11-22
OLD = "0123456789abcdef" * 2
POLICY = PrivacyPolicy.parse('version = "7"\n[consent]\ndays = 10\njurisdiction = "KZ"')


def chosen(receipt=None, **decisions):
    return Choice(decisions, "an older policy", DAY - 5, receipt)


def decided(before=None, granted=(), given=()):
    return decide(before, granted, given=given, policy_hash="hash", moment=MOMENT)


def recorded(decision, asked=ASKED):
    return make_record(decision, POLICY, Question(asked, "", "kk", "form", "/consent"), MOMENT)


@pytest.mark.parametrize(
    ("before", "granted", "given", "expected"),
    [
        # nothing chosen yet
        (None, ASKED, (), "granted granted granted"),
        (None, ("analytics",), (), "refused granted refused"),
        (None, (), (), "refused refused refused"),
        # implied by the policy, or by another banner, until now
        (None, (), ("analytics",), "refused withdrawn refused"),
        # granted before
        (chosen(analytics="granted", marketing="refused"), (), (), "refused withdrawn refused"),
        (chosen(analytics="granted"), ("preferences",), (), "granted withdrawn refused"),
        (chosen(analytics="granted"), ("analytics",), (), "refused granted refused"),
        # withdrawn stays withdrawn, until it is granted again
        (chosen(analytics="withdrawn"), (), (), "refused withdrawn refused"),
        (chosen(analytics="withdrawn"), ("analytics",), (), "refused granted refused"),
        # a category that isn't one any more
        (chosen(statistics="granted"), (), (), "refused refused refused"),
    ],
)
def test_what_becomes_of_each_category(before, granted, given, expected):
    assert decided(before, granted, given).choice.decisions == dict(zip(ASKED, expected.split(), strict=True))


def test_a_refusal_carries_no_identifier():
    assert decided().choice.receipt is None
    assert decided(chosen(OLD, analytics="granted")).choice.receipt is None
    record = recorded(decided())
    assert (record.kind, record.receipt, record.replaces) == ("decision", None, None)


def test_a_grant_has_a_new_receipt_each_time():
    receipts = {decided(granted=["analytics"]).choice.receipt for _ in range(50)}
    assert len(receipts) == 50
    assert all(len(receipt) == 32 and int(receipt, 16) for receipt in receipts)


def test_a_grant_replaces_the_one_before():
    decision = decided(chosen(OLD, analytics="granted"), ["marketing"])
    record = recorded(decision)
    assert (record.kind, record.replaces) == ("decision", OLD)
    assert record.receipt == decision.choice.receipt != OLD
    assert record.states == {"preferences": "refused", "analytics": "withdrawn", "marketing": "given"}


def test_a_withdrawal_carries_the_receipt_that_it_withdraws():
    record = recorded(decided(chosen(OLD, analytics="granted")))
    assert (record.kind, record.receipt, record.replaces) == ("withdrawal", OLD, None)


@pytest.mark.parametrize(
    ("before", "granted", "given", "is_wider"),
    [
        (None, (), (), False),
        (None, ("analytics",), (), True),
        (None, ("analytics",), ("analytics",), True),  # implied, or by another banner: nobody has proof of it
        (chosen(OLD, analytics="granted"), ("analytics",), ("analytics",), False),
        (chosen(OLD, analytics="granted", marketing="granted"), ("analytics",), ("analytics", "marketing"), False),
        (chosen(OLD, analytics="granted"), ("analytics", "marketing"), ("analytics",), True),
        (chosen(OLD, analytics="granted"), ("analytics",), (), True),  # it had expired
        (chosen(None, analytics="granted"), ("analytics",), ("analytics",), True),
        (chosen(OLD, analytics="withdrawn"), ("analytics",), ("analytics",), True),
        (chosen(OLD, analytics="granted"), (), ("analytics",), False),
    ],
)
def test_what_needs_new_proof(before, granted, given, is_wider):
    decision = decided(before, granted, given)
    assert decision.is_wider is is_wider
    if granted and not is_wider:
        assert (decision.unproved.receipt, decision.unproved.day) == (OLD, DAY - 5)
        assert decision.unproved.decisions == decision.choice.decisions
    elif not granted:
        assert decision.unproved == decision.choice


def test_the_record():
    record = recorded(decided(granted=["analytics"]), asked=("analytics",))
    assert record.policy_version == "7"
    assert (record.policy_hash, record.consent_hash) == (POLICY.hash, POLICY.consent_hash)
    assert record.states == {"analytics": "given"}  # nobody was asked about the rest
    assert record.purposes == ("analytics",)
    assert recorded(decided()).purposes == ASKED
    assert record.time == "2026-11-22T21:05Z"
    assert record.valid_until == "2026-12-01"  # the tenth day, from today
    assert (record.method, record.language, record.jurisdiction) == ("form", "kk", "KZ")
    assert record.withdrawal_method == "/consent"


def test_day_and_policy_are_those_of_now():
    choice = decided(chosen(OLD, analytics="granted")).choice
    assert (choice.day, choice.policy_hash) == (DAY, "hash")


words = st.sampled_from(["granted", "refused", "withdrawn"])
choices = st.none() | st.builds(
    lambda decisions, receipt: Choice(decisions, "h", 1, receipt),
    st.dictionaries(st.sampled_from(CATEGORIES), words),
    st.none() | st.just(OLD),
)


@given(choices, st.sets(st.sampled_from(ASKED)), st.sets(st.sampled_from(ASKED)))
def test_only_what_is_granted_now_is_granted(before, granted, given_until_now):
    decision = decided(before, granted, given_until_now)
    assert {name for name, word in decision.choice.decisions.items() if word == "granted"} == granted
    assert decision.refused == set(ASKED) - granted
    assert (decision.choice.receipt is not None) == decision.grants == bool(granted)
    assert set(decision.choice.decisions) == set(ASKED)
    recorded(decision)
