"""What a sink of a third party doesn't get: events of visitors who didn't consent to its purposes (clause 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from centtrack.event import Event
from centtrack.policy.model import ConsentRules, Document, SinkRules

Reason = Literal["signal", "consent", "implied", "asserted"]
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


def make_withholding(document: Document, name: str) -> Withhold | None:
    """What is to be withheld from a sink; None if it isn't a third party's.

    Args:
        document: the policy.
        name: of the sink.
    """
    entries = [entry for entry in document.sinks if entry.party == "third" and _is_named(entry.name, name)]
    if not entries:
        return None

    def withhold(event: Event) -> Reason | None:
        reasons = (why_withheld(event, entry, document.consent) for entry in entries)
        return next((reason for reason in reasons if reason), None)

    return withhold


def find_unmatched(document: Document, names: Iterable[str]) -> list[str]:
    """Names in the policy's `[[sinks]]` that no sink bears: what they say holds for nothing."""
    known = list(names)
    return [entry.name for entry in document.sinks if not any(_is_named(entry.name, name) for name in known)]


def _is_named(written: str, name: str) -> bool:
    """Whether an entry is about a sink: by its name, or by the URL of its file, as it is given to `sink=`."""
    scheme, colon, target = written.partition(":")
    is_file = colon and target and "://" not in target
    return written == name or bool(is_file and f"{scheme}:{Path(target).expanduser().absolute()}" == name)
