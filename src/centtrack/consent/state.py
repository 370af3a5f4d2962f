"""The state of consent, per category, in the terms of the W3C Data Privacy Vocabulary."""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, get_args

from centtrack.consent.token import ConsentTokens
from centtrack.policy.model import Category, ConsentRules

SCOPE_KEY = "centtrack"
_DAY_S = 86_400
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
        source: where the states come from: `default`, `cookie` (the visitor's choice), `gpc` or `dnt`.
        receipt: id of the grant's receipt; never recorded in an event.
    """

    __slots__ = ("_given", "labels", "receipt", "source", "states")

    def __init__(self, states: Mapping[str, State], source: str, receipt: str | None = None) -> None:
        self.states: Mapping[str, State] = MappingProxyType(dict(states))
        self.source = source
        self.receipt = receipt
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
_DECIDED = {"granted": State.GIVEN, "refused": State.REFUSED, "withdrawn": State.WITHDRAWN}
_SIGNALS_REFUSE = {State.UNKNOWN, State.REQUESTED, State.GIVEN, State.EXPIRED, State.INVALIDATED}


class ConsentReader:
    """Reads consent from what a request carries. Order: withdrawal, signal, choice, default.

    Args:
        rules: `[consent]` of the policy.
        policy_hash: `PrivacyPolicy.consent_hash`: a choice under another one has expired.
        tokens: reads the consent cookie; None without a secret: then nothing is ever given.
    """

    def __init__(self, rules: ConsentRules, policy_hash: str = "", tokens: ConsentTokens | None = None) -> None:
        self.tokens = tokens
        self._days = rules.days
        self._policy_hash = policy_hash
        self._refused = frozenset(category for category in rules.gpc if category != NECESSARY)
        self._reads_dnt = rules.dnt
        self._decided = lru_cache(maxsize=1_024)(self._decide)

    def read(self, *, gpc: bool, dnt: bool, cookies: bytes = b"", host: bytes = b"") -> Consent:
        """Consent of a request.

        Args:
            gpc: whether Sec-GPC is on.
            dnt: whether DNT is on.
            cookies: the header Cookie.
            host: the header Host.
        """
        choice = self.tokens.read(cookies, host) if self.tokens is not None and cookies else None
        signal = "gpc" if gpc else "dnt" if dnt and self._reads_dnt else None
        if choice is None:
            return self._decided(None, None, "", 0, signal)
        age = int(time.time() // _DAY_S) - choice.day
        return self._decided(tuple(choice.decisions.items()), choice.receipt, choice.policy_hash, age, signal)

    def _decide(
        self,
        decisions: tuple[tuple[str, str], ...] | None,
        receipt: str | None,
        policy_hash: str,
        age_days: int,
        signal: str | None,
    ) -> Consent:
        states, source = dict(_UNKNOWN), "default"
        if decisions is not None and age_days >= -1:  # a clock may run ahead, but not by days
            current = age_days < self._days and policy_hash == self._policy_hash
            for category, decision in decisions:
                if category in states:
                    states[category] = _DECIDED[decision] if current else State.EXPIRED
            source = "cookie"
        if signal and self._refused:
            refused = {category for category in self._refused if states[category] in _SIGNALS_REFUSE}
            states.update(dict.fromkeys(refused, State.REFUSED))
            source = signal if refused else source
        return Consent(states, source, receipt)


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
