"""What a visitor decides: the choice that the cookie carries from then on, and the record of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from centtrack.consent.ledger.records import ConsentRecord, new_id
from centtrack.consent.state import CATEGORIES, NECESSARY
from centtrack.consent.token import Choice
from centtrack.policy.policy import PrivacyPolicy

Method = Literal["form", "banner", "api"]
_STATES = {"granted": "given", "refused": "refused", "withdrawn": "withdrawn"}
_EPOCH = dt.date(1970, 1, 1)


class Decision(NamedTuple):
    """What was decided.

    Attributes:
        choice: for the cookie. Only where something is granted it has a receipt.
        before: what it takes the place of; None if nothing was chosen.
        is_wider: whether it grants what wasn't granted, and proved, before.
    """

    choice: Choice
    before: Choice | None
    is_wider: bool

    @property
    def grants(self) -> bool:
        """Whether anything is granted."""
        return "granted" in self.choice.decisions.values()

    @property
    def withdraws(self) -> bool:
        """Whether it takes back what was given, and gives nothing."""
        return not self.grants and "withdrawn" in self.choice.decisions.values()

    @property
    def unproved(self) -> Choice:
        """The choice if the ledger couldn't keep it. What is still granted has the proof, and the day, of before."""
        if self.before is None or not self.grants:
            return self.choice
        return self.choice._replace(receipt=self.before.receipt, day=self.before.day)

    @property
    def parting(self) -> dict[str, object]:
        """The receipt of what is withdrawn: from now on the visitor's cookie doesn't have it."""
        return {"receipt": self.before.receipt} if self.withdraws and self.before and self.before.receipt else {}

    @property
    def refused(self) -> frozenset[str]:
        """The categories that aren't granted."""
        return frozenset(category for category, decision in self.choice.decisions.items() if decision != "granted")


def decide(
    before: Choice | None,
    granted: Collection[str],
    *,
    given: Collection[str],
    policy_hash: str,
    moment: dt.datetime,
) -> Decision:
    """What a visitor decides. It settles every category: one that wasn't asked about is refused.

    Args:
        before: the choice that the visitor came with.
        granted: the categories that are granted now.
        given: what was allowed until now, also without a choice.
        policy_hash: `PrivacyPolicy.consent_hash`.
        moment: now, UTC.
    """
    earlier = before.decisions if before else {}
    had = {*given, *(name for name, decision in earlier.items() if decision != "refused")}
    decisions = {
        category: "granted" if category in granted else "withdrawn" if category in had else "refused"
        for category in CATEGORIES
        if category != NECESSARY
    }
    receipt = new_id() if "granted" in decisions.values() else None
    proved = {name for name in given if earlier.get(name) == "granted"} if before and before.receipt else set()
    choice = Choice(decisions, policy_hash, (moment.date() - _EPOCH).days, receipt)
    return Decision(choice, before, is_wider=not proved.issuperset(granted))


class Question(NamedTuple):
    """What a visitor was asked.

    Attributes:
        categories: that it was about; the record has no others.
        text_hash: of what the visitor was shown; "" if that wasn't ours.
        language: of that text.
        method: how it was answered.
        page: path of the page where it can be withdrawn.
    """

    categories: Sequence[str]
    text_hash: str
    language: str
    method: Method
    page: str


def make_record(decision: Decision, policy: PrivacyPolicy, question: Question, moment: dt.datetime) -> ConsentRecord:
    """The record of a decision. A withdrawal carries the receipt that it withdraws, a refusal none.

    Args:
        decision: what was decided.
        policy: that it was decided under.
        question: that it answers.
        moment: now, UTC; the minute is kept.
    """
    old = decision.before.receipt if decision.before else None
    rules = policy.document.consent
    return ConsentRecord(
        kind="withdrawal" if decision.withdraws else "decision",
        receipt=old if decision.withdraws else decision.choice.receipt,
        replaces=old if decision.grants else None,
        policy_version=policy.version,
        policy_hash=policy.hash,
        consent_hash=policy.consent_hash,
        text_hash=question.text_hash,
        language=question.language,
        purposes=tuple(question.categories),
        states={category: _STATES[decision.choice.decisions[category]] for category in question.categories},
        time=f"{moment:%Y-%m-%dT%H:%MZ}",
        method=question.method,
        valid_until=(moment.date() + dt.timedelta(days=rules.days - 1)).isoformat(),
        withdrawal_method=question.page,
        jurisdiction=rules.jurisdiction,
    )
