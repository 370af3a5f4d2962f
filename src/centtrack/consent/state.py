"""The state of consent, per category, in the terms of the W3C Data Privacy Vocabulary."""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, get_args

from centtrack.consent.banners import BannerReader
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


_OPEN = frozenset({State.UNKNOWN, State.REQUESTED, State.EXPIRED, State.INVALIDATED})


class Consent:
    """What a visitor allows. No choice is no consent.

    Attributes:
        states: category → state. `necessary` isn't asked for and has none.
        source: where the states come from: `default`, `cookie` (the visitor's choice), `banner` (another banner's
            cookie: asserted by the client), `gpc` or `dnt`, several as in `cookie+gpc`; `implied` by the policy.
        asks: whether to ask this visitor: no choice and no signal decides some category.
        has_invalid_cookie: whether the request carried something as a choice that is none.
    """

    __slots__ = ("asks", "given", "has_invalid_cookie", "labels", "source", "states")

    def __init__(self, states: Mapping[str, State], source: str, *, has_invalid_cookie: bool = False) -> None:
        self.states: Mapping[str, State] = MappingProxyType(dict(states))
        self.source = source
        self.asks = not _OPEN.isdisjoint(states.values())
        self.has_invalid_cookie = has_invalid_cookie
        self.given = frozenset({NECESSARY, *(category for category, state in states.items() if state is State.GIVEN)})
        self.labels: Mapping[str, str] = MappingProxyType({name: str(state) for name, state in states.items()})
        """The states as an event carries them."""

    def allows(self, category: str) -> bool:
        """Whether cookies and purposes of a category are allowed."""
        return category in self.given

    def __repr__(self) -> str:
        states = ", ".join(f"{category}={state}" for category, state in self.states.items())
        return f"Consent({states}; source={self.source})"


_UNKNOWN: dict[str, State] = {category: State.UNKNOWN for category in CATEGORIES if category != NECESSARY}
NO_CHOICE = Consent(_UNKNOWN, "default")
IMPLIED = frozenset({"preferences", "analytics"})
"""What `mode = "implied"` allows without a choice."""

_IMPLIED = Consent({**_UNKNOWN, **dict.fromkeys(IMPLIED, State.GIVEN)}, "implied")
_DECIDED = {"granted": State.GIVEN, "refused": State.REFUSED, "withdrawn": State.WITHDRAWN}
_SIGNALS_REFUSE = {*_OPEN, State.GIVEN}

_Chosen = tuple[tuple[str, State], ...]


class ConsentReader:
    """Reads consent from what a request carries. Order: withdrawal, signal, choice, default.

    Another banner's cookie could be the visitor's own work: it can refuse what our signed cookie grants, and it grants
    only where ours says nothing.

    Args:
        rules: `[consent]` of the policy.
        policy_hash: `PrivacyPolicy.consent_hash`: a choice under another one has expired.
        tokens: reads the consent cookie; None without a secret: then nothing is given but by another banner.
    """

    def __init__(self, rules: ConsentRules, policy_hash: str = "", tokens: ConsentTokens | None = None) -> None:
        self.tokens = tokens
        self._banner = BannerReader(rules.banner) if rules.banner else None
        self._days = rules.days
        self._policy_hash = policy_hash
        self._refused = rules.gpc
        self._reads_dnt = rules.dnt
        self._choice_outranks_signal = rules.choice_outranks_signal
        self._decided = lru_cache(maxsize=1_024)(self._decide)
        self._without_choice = {signal: self._decide((), (), signal) for signal in (None, "gpc", "dnt")}
        if rules.mode == "implied" and tokens is not None:  # without a secret a refusal couldn't be remembered
            self._without_choice[None] = _IMPLIED

    def read(self, *, gpc: bool, dnt: bool, cookies: bytes = b"", host: bytes = b"") -> Consent:
        """Consent of a request.

        Args:
            gpc: whether Sec-GPC is on.
            dnt: whether DNT is on.
            cookies: the header Cookie.
            host: the header Host.
        """
        signal = "gpc" if gpc else "dnt" if dnt and self._reads_dnt else None
        if not cookies:
            return self._without_choice[signal]
        banner = self._banner.read(cookies) if self._banner is not None else None
        asserted = tuple((category, _DECIDED[decision]) for category, decision in banner.items()) if banner else ()
        try:
            choice = self.tokens.read(cookies, host) if self.tokens is not None else None
            chosen = self._states_of(choice) if choice is not None else ()
        except InvalidTokenError:
            denied = tuple(pair for pair in asserted if pair[1] is State.REFUSED)
            return self._decided((), denied, signal, is_invalid=True)
        if choice is None and banner is None:
            return self._without_choice[signal]
        return self._decided(chosen, asserted, signal)

    def _states_of(self, choice: Choice) -> _Chosen:
        age_days = int(time.time() // _DAY_S) - choice.day
        if age_days < -1:  # a clock may run ahead, but not by days
            raise InvalidTokenError
        is_current = age_days < self._days and choice.policy_hash == self._policy_hash
        return tuple(
            (category, _DECIDED[decision] if is_current else State.EXPIRED)
            for category, decision in choice.decisions.items()
            if category in _UNKNOWN
        )

    def _decide(self, chosen: _Chosen, asserted: _Chosen, signal: str | None, *, is_invalid: bool = False) -> Consent:
        choice, banner = {**_UNKNOWN, **dict(chosen)}, dict(asserted)
        states = {category: _combine(state, banner.get(category)) for category, state in choice.items()}
        sources = ["cookie"] if chosen else []
        sources += ["banner"] if states != choice else []
        refused = [
            category
            for category in self._refused
            if signal
            and states[category] in _SIGNALS_REFUSE
            and not (self._choice_outranks_signal and choice[category] is State.GIVEN)
        ]
        states.update(dict.fromkeys(refused, State.REFUSED))
        sources += [signal] if signal and refused else []
        return Consent(states, "+".join(sources) or "default", has_invalid_cookie=is_invalid)


def _combine(chosen: State, asserted: State | None) -> State:
    """The state of a category by our cookie and by another banner's."""
    if asserted is State.REFUSED and chosen is not State.WITHDRAWN:
        return State.REFUSED
    return State.GIVEN if asserted is State.GIVEN and chosen is State.UNKNOWN else chosen


def consent_of(request: Any) -> Consent:
    """What the visitor of a request allows.

    Args:
        request: a request or WebSocket of Starlette or FastAPI, or an ASGI scope.

    Returns:
        The consent that the middleware read. Where it isn't installed: no choice, which allows nothing.
    """
    try:
        scope = request if isinstance(request, Mapping) else getattr(request, "scope", {})
        found = getattr(scope.get(SCOPE_KEY), "consent", None)
        return found if isinstance(found, Consent) else NO_CHOICE
    except Exception:  # noqa: BLE001 - nothing of ours may reach the app, and what can't be read allows nothing
        return NO_CHOICE
