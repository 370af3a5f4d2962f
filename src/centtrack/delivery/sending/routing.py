"""What a sink gets of each event: whether it may have it, and which of its columns (clauses 5 to 8)."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from centtrack.event import COLUMNS, Event
from centtrack.policy.model import ConsentRules, SinkRules
from centtrack.policy.policy import PrivacyPolicy
from centtrack.policy.recipients import ASKED_PURPOSES, recipient_of

Reason = Literal["policy", "signal", "consent", "implied", "asserted", "sampling"]
"""Why a sink doesn't get an event."""

_GIVEN = "given"
_CATEGORIES = {
    "analytics": "analytics",
    "statistics": "analytics",
    "preferences": "preferences",
    "marketing": "marketing",
}
_HASHES = 2**64


def why_withheld(event: Event, sink: SinkRules, consent: ConsentRules) -> Reason | None:
    """Why a third party's sink may not have an event; None if it may.

    Args:
        event: the event, with the consent that it was recorded under.
        sink: the entry of a third party's sink.
        consent: the policy's rules.
    """
    sources = (event.consent_source or "").split("+")
    is_signalled = event.gpc or (event.dnt and consent.dnt)
    if is_signalled and not (consent.choice_outranks_signal and "cookie" in sources):
        return "signal"
    if not all(event.consent.get(_CATEGORIES.get(purpose, "")) == _GIVEN for purpose in sink.purposes):
        return "consent"
    if "implied" in sources:
        return "implied"
    # Another banner's cookie could have been written by anybody. It is believed for what the site does itself; what
    # has gone to a third party can't be taken back, and the ledger holds no proof of it.
    if "banner" in sources:
        return "asserted"
    return None if "cookie" in sources else "consent"


def is_in_sample(event_id: str, share: float) -> bool:
    """Whether an event is in a sink's share. Its id alone tells, so a batch that comes again has the same events.

    Args:
        event_id: of the event.
        share: above 0, at most 1. What is in a share is in every larger one.
    """
    digest = hashlib.sha256(event_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * _HASHES


class Route:
    """The way of events to one sink.

    Args:
        policy: the one in force.
        name: of the sink.
    """

    def __init__(self, policy: PrivacyPolicy, name: str) -> None:
        self._policy = policy
        recipient = recipient_of(policy.document, name)
        # A third party needs consent for each purpose of its sink, also for one that another entry names.
        self._third = [
            entry.model_copy(update={"purposes": recipient.purposes})
            for entry in recipient.entries
            if entry.party == "third"
        ]
        self._asked = [purpose for purpose in ASKED_PURPOSES if purpose in recipient.purposes]
        self._sample = recipient.sample
        self._left_out = {column.name: None for column in COLUMNS if column.name not in recipient.columns}

    @property
    def takes_all(self) -> bool:
        """Whether the sink gets each event whole, so that none has to be looked at."""
        return not (self._third or self._asked or self._left_out) and self._sample == 1

    def judge_recorded(self, event: Event) -> Reason | None:
        """Why a third party may not have an event, by what the event says as it was recorded; None if it may."""
        if not self._third:
            return None
        # The journal may hold events from before: their visitors chose knowing of other recipients, or of none.
        if event.policy_hash != self._policy.hash:
            return "policy"
        reasons = (why_withheld(event, entry, self._policy.document.consent) for entry in self._third)
        return next((reason for reason in reasons if reason), None)

    def judge(self, event: Event) -> Reason | None:
        """Why the sink doesn't get an event that is as the policy in force allows it; None if it does."""
        if any(event.consent.get(purpose) != _GIVEN for purpose in self._asked):
            return "consent"
        return None if self._sample == 1 or is_in_sample(event.event_id, self._sample) else "sampling"

    def cut(self, event: Event) -> Event:
        """The event with the columns that the sink gets."""
        return msgspec.structs.replace(event, **self._left_out) if self._left_out else event
