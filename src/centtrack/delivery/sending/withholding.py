"""What a sink of a third party doesn't get: events of visitors who didn't consent to its purposes (clause 8)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal

from centtrack.errors import ConfigurationError
from centtrack.event import Event
from centtrack.policy.model import ConsentRules, Document, SinkRules
from centtrack.policy.policy import PrivacyPolicy

Reason = Literal["policy", "signal", "consent", "implied", "asserted"]
Withhold = Callable[[Event], Reason | None]
"""Tells why a sink may not have an event; None if it may."""

_GIVEN = "given"
_CATEGORIES = {
    "analytics": "analytics",
    "statistics": "analytics",
    "preferences": "preferences",
    "marketing": "marketing",
}


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


def make_withholding(policy: PrivacyPolicy, name: str) -> Withhold | None:
    """What is to be withheld from a sink; None if it isn't a third party's.

    Args:
        policy: the one in force.
        name: of the sink.
    """
    document = policy.document
    entries = [entry for entry in document.sinks if entry.party == "third" and _is_named(entry.name, name)]
    if not entries:
        return None

    def withhold(event: Event) -> Reason | None:
        # The journal may hold events from before: their visitors chose knowing of other recipients, or of none.
        if event.policy_hash != policy.hash:
            return "policy"
        reasons = (why_withheld(event, entry, document.consent) for entry in entries)
        return next((reason for reason in reasons if reason), None)

    return withhold


def retention_of(policy: PrivacyPolicy, name: str) -> int | None:
    """Days that events may be kept for a sink; None if the policy doesn't say. Of several entries the shortest."""
    entries = [entry for entry in policy.document.sinks if _is_named(entry.name, name)]
    return min((entry.retention for entry in entries if entry.retention), default=None)


def find_unmatched(document: Document, names: Collection[str], party: Literal["first", "third"]) -> list[str]:
    """Names in the policy's `[[sinks]]` that no sink bears: what they say holds for nothing.

    Args:
        document: the policy.
        names: of the sinks.
        party: whose entries to look at.
    """
    entries = [entry for entry in document.sinks if entry.party == party]
    return [entry.name for entry in entries if not any(_is_named(entry.name, name) for name in names)]


def check_third_parties(policy: PrivacyPolicy, names: Collection[str]) -> None:
    """Refuse a policy whose third parties aren't all found: one that is misspelled would get everything.

    Args:
        policy: the one in force.
        names: of the sinks.

    Raises:
        ConfigurationError: if an entry of a third party names no sink.
    """
    unmatched = find_unmatched(policy.document, names, "third")
    if unmatched:
        listed = ", ".join(f'"{name}"' for name in unmatched)
        raise ConfigurationError(
            f"{policy.source}: [[sinks]] names {listed} as a third party's, but the sinks here are named "
            f"{', '.join(names)}. One that is misspelled would get every event: write the name as it is here, or take "
            "the entry out"
        )


def _is_named(written: str, name: str) -> bool:
    """Whether an entry is about a sink: by its name, or by the URL of its file, as it is given to `sink=`."""
    scheme, colon, target = written.partition(":")
    is_file = colon and target and "://" not in target
    return written == name or bool(is_file and f"{scheme}:{Path(target).expanduser().absolute()}" == name)
