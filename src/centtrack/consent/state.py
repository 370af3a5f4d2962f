"""The state of consent, per category, in the terms of the W3C Data Privacy Vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, get_args

from centtrack.policy.model import Category, ConsentRules

SCOPE_KEY = "centtrack"
CATEGORIES: tuple[str, ...] = get_args(Category)
NECESSARY = "necessary"


class State(StrEnum):
    """Only GIVEN allows (https://w3id.org/dpv, consent status)."""

    UNKNOWN = "unknown"
    REQUESTED = "requested"
    REFUSED = "refused"
    GIVEN = "given"
    EXPIRED = "expired"
    INVALIDATED = "invalidated"
    WITHDRAWN = "withdrawn"


class Consent:
    """What a visitor allows. No choice is no consent.

    Attributes:
        states: category → state. `necessary` isn't asked for and has none.
        source: where the states come from: `default`, `gpc` or `dnt`.
    """

    __slots__ = ("_given", "labels", "source", "states")

    def __init__(self, states: Mapping[str, State], source: str) -> None:
        self.states: Mapping[str, State] = MappingProxyType(dict(states))
        self.source = source
        self._given = frozenset({NECESSARY, *(category for category, state in states.items() if state is State.GIVEN)})
        self.labels = {category: str(state) for category, state in states.items()}
        """The states as an event carries them."""

    def allows(self, category: str) -> bool:
        """Whether cookies and purposes of a category are allowed."""
        return category in self._given

    def __repr__(self) -> str:
        states = ", ".join(f"{category}={state}" for category, state in self.states.items())
        return f"Consent({states}; source={self.source})"


_UNKNOWN: dict[str, State] = {category: State.UNKNOWN for category in CATEGORIES if category != NECESSARY}
NO_CHOICE = Consent(_UNKNOWN, "default")


class ConsentReader:
    """Reads consent from the signals of a request.

    A visitor's choice can't be recorded in this version, so no category is ever given; a signal makes it refused.
    """

    def __init__(self, rules: ConsentRules) -> None:
        refused: dict[str, State] = {category: State.REFUSED for category in rules.gpc if category != NECESSARY}
        self._gpc = Consent({**_UNKNOWN, **refused}, "gpc") if refused else NO_CHOICE
        self._dnt = Consent({**_UNKNOWN, **refused}, "dnt") if refused and rules.dnt else NO_CHOICE

    def read(self, *, gpc: bool, dnt: bool) -> Consent:
        """Consent of a request that came with these signals."""
        if gpc:
            return self._gpc
        return self._dnt if dnt else NO_CHOICE


def consent_of(request: Any) -> Consent:
    """What the visitor of a request allows.

    Args:
        request: a request or WebSocket of Starlette or FastAPI, or an ASGI scope.

    Returns:
        The consent that the middleware read. Where it isn't installed: no choice, which allows nothing.
    """
    scope = request if isinstance(request, Mapping) else getattr(request, "scope", {})
    found = getattr(scope.get(SCOPE_KEY), "consent", None)
    return found if isinstance(found, Consent) else NO_CHOICE
