"""Events that were recorded under another policy, brought down to the limits of the one that is in force. Never finer.

Only the event is left to go by, so what it doesn't hold can't be judged anew: which address it came from, or a path
that wasn't kept. Where it doesn't tell enough to be sure, the coarser is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from centtrack.capture.coarser import Columns, is_given, reduce_columns
from centtrack.capture.custom import check_custom, scrub_props
from centtrack.capture.page import reduce_method
from centtrack.consent.state import State
from centtrack.event import Event
from centtrack.policy.model import ConsentRules, CustomEvent, Document
from centtrack.policy.policy import PrivacyPolicy

_REQUEST = "request"


def reduce_again(event: Event, policy: PrivacyPolicy, *, consent_hash: str | None = None) -> Event | None:
    """The event as this policy allows it; None if it wouldn't be recorded under it.

    Consent counts only if it was given to what this policy asks for. Where it doesn't, its state becomes `expired`, so
    that no third party gets the event for it either, and of the limits of both tiers the coarser hold.

    Args:
        event: recorded under any policy.
        policy: the one in force.
        consent_hash: `PrivacyPolicy.consent_hash` of the policy that the event was recorded under. Unless it is known
            to be that of the policy in force, no consent counts.
    """
    if _is_excluded(event, policy.document):
        return None
    custom = _custom(event, policy.document.events)
    if custom is None:
        return None
    is_current = event.policy_hash == policy.hash or consent_hash == policy.consent_hash
    states = _states(event, policy.document.consent, is_current=is_current)
    limits = policy.limits(consented=is_given(states))
    if is_given(event.consent) and not is_given(states):
        limits = limits.capped(policy.limits(consented=True))
    changes = {**reduce_columns(event, limits, policy), **custom, "consent": states}
    return msgspec.structs.replace(event, **changes, policy_version=policy.version, policy_hash=policy.hash)


def _is_excluded(event: Event, document: Document) -> bool:
    """Of a path that wasn't kept the route is judged. A method that has no name in events could be any of those."""
    places = [place for place in (event.path, event.route) if place is not None]
    methods = {reduce_method(method.upper()) for method in document.exclude.methods}
    return (
        any(fnmatchcase(place, pattern) for pattern in document.exclude.paths for place in places)
        or event.method in methods
        or (document.bots.record == "drop" and bool(event.bot))
    )


def _custom(event: Event, declared: Sequence[CustomEvent]) -> Columns | None:
    """The properties that are declared, if it is a custom event; None if that isn't declared."""
    if event.name == _REQUEST and event.props is None:
        return {}
    if check_custom(declared, event.name, {}) is not None:
        return None
    props = {
        key: value for key, value in (event.props or {}).items() if not check_custom(declared, event.name, {key: value})
    }
    return {"props": scrub_props(props)[0]}


def _states(event: Event, rules: ConsentRules, *, is_current: bool) -> dict[str, str]:
    """The states of consent as they are under these rules. Only one that was given can become another."""
    sources = (event.consent_source or "").split("+")
    counts = is_current and not ("banner" in sources and rules.banner is None)
    is_signalled = event.gpc or (event.dnt and rules.dnt)
    is_outranked = rules.choice_outranks_signal and "cookie" in sources and "banner" not in sources
    refused = rules.gpc if is_signalled and not is_outranked else ()

    def judge(category: str) -> State:
        if not counts:
            return State.EXPIRED
        return State.REFUSED if category in refused else State.GIVEN

    return {
        category: str(judge(category)) if state == State.GIVEN else state for category, state in event.consent.items()
    }
