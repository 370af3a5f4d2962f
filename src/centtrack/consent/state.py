"""The state of consent, per category, in the terms of the W3C Data Privacy Vocabulary."""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, get_args

from centtrack.consent.token import Choice, ConsentTokens, InvalidTokenError
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
        source: where the states come from: `default`, `cookie` (the visitor's choice), `gpc` or `dnt`, or both, as in
            `cookie+gpc`.
        receipt: id of the grant's receipt; never recorded in an event.
        has_invalid_cookie: whether the request carried something as a choice that is none.
    """

    __slots__ = ("_given", "has_invalid_cookie", "labels", "receipt", "source", "states")

    def __init__(
        self,
        states: Mapping[str, State],
        source: str,
        receipt: str | None = None,
        *,
        has_invalid_cookie: bool = False,
    ) -> None:
        self.states: Mapping[str, State] = MappingProxyType(dict(states))
        self.source = source
        self.receipt = receipt
        self.has_invalid_cookie = has_invalid_cookie
        self._given = frozenset({NECESSARY, *(category for category, state in states.items() if state is State.GIVEN)})
        self.labels: Mapping[str, str] = MappingProxyType({name: str(state) for name, state in states.items()})
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
        self._without_choice = {signal: self._decide((), None, signal) for signal in (None, "gpc", "dnt")}

    def read(self, *, gpc: bool, dnt: bool, cookies: bytes = b"", host: bytes = b"") -> Consent:
        """Consent of a request.

        Args:
            gpc: whether Sec-GPC is on.
            dnt: whether DNT is on.
            cookies: the header Cookie.
            host: the header Host.
        """
        signal = "gpc" if gpc else "dnt" if dnt and self._reads_dnt else None
        try:
            choice = self.tokens.read(cookies, host) if self.tokens is not None and cookies else None
        except InvalidTokenError:
            return self._decided((), None, signal, is_invalid=True)
        if choice is None:
            return self._without_choice[signal]
        return self._decided(self._states_of(choice), choice.receipt, signal)

    def _states_of(self, choice: Choice) -> tuple[tuple[str, State], ...]:
        age_days = int(time.time() // _DAY_S) - choice.day
        if age_days < -1:  # a clock may run ahead, but not by days
            return ()
        is_current = age_days < self._days and choice.policy_hash == self._policy_hash
        return tuple(
            (category, _DECIDED[decision] if is_current else State.EXPIRED)
            for category, decision in choice.decisions.items()
            if category in _UNKNOWN
        )

    def _decide(
        self,
        chosen: tuple[tuple[str, State], ...],
        receipt: str | None,
        signal: str | None,
        *,
        is_invalid: bool = False,
    ) -> Consent:
        states = {**_UNKNOWN, **dict(chosen)}
        refused = [category for category in self._refused if signal and states[category] in _SIGNALS_REFUSE]
        states.update(dict.fromkeys(refused, State.REFUSED))
        sources = [*(["cookie"] if chosen else []), *([signal] if signal and refused else [])]
        return Consent(states, "+".join(sources) or "default", receipt, has_invalid_cookie=is_invalid)


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
