"""The consent cookie's value: a choice by category, signed, with the day and nothing finer.

A refusal carries no identifier at all. Whatever can't be read, or was read twice, is no choice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from centtrack.cookies import CONSENT_COOKIE, OwnCookie
from centtrack.signing import make_serializer, read_signed

VERSION = 1
MAX_TOKEN = 1_024  # bytes
_RECEIPT = re.compile(r"[0-9a-f]{32}")
_SIGNS = {"granted": "g", "refused": "r", "withdrawn": "w"}


class InvalidTokenError(Exception):
    """What came as a choice is none."""


class Choice(NamedTuple):
    """What a visitor chose.

    Attributes:
        decisions: category → `granted`, `refused` or `withdrawn`.
        policy_hash: of what the choice depends on: `PrivacyPolicy.consent_hash`.
        day: when, in days since 1970, UTC.
        receipt: random id of the grant in the ledger, 32 hex digits; None where nothing was granted.
    """

    decisions: Mapping[str, str]
    policy_hash: str
    day: int
    receipt: str | None = None


class _Payload(msgspec.Struct, forbid_unknown_fields=True):
    v: int
    p: str
    d: int
    c: dict[str, str]
    r: str | None = None


class ConsentTokens:
    """Signs and reads choices.

    Args:
        secrets: what they are signed with, oldest to newest.
        domain: of the hosts that share one choice; None: each host has its own.

    Attributes:
        cookie: what carries them.
    """

    def __init__(self, secrets: Sequence[bytes], domain: str | None = None) -> None:
        self.cookie = OwnCookie(CONSENT_COOKIE, domain)
        self._serializer = make_serializer(secrets, "consent")
        self._known = lru_cache(maxsize=1_024)(self._verified)

    def sign(self, choice: Choice) -> bytes:
        """The cookie's value."""
        granted = "granted" in choice.decisions.values()
        payload = {
            "v": VERSION,
            "p": choice.policy_hash,
            "d": choice.day,
            "c": {category: _SIGNS[decision] for category, decision in sorted(choice.decisions.items())},
            **({"r": choice.receipt} if granted and choice.receipt else {}),
        }
        return self._serializer.dumps(payload).encode()

    def read(self, cookies: bytes, host: bytes) -> Choice | None:
        """The choice that a request carries; None if there is none.

        Args:
            cookies: the header Cookie.
            host: the header Host.

        Raises:
            InvalidTokenError: if it is forged, damaged, too long, of an unknown version, or there are two.
        """
        tokens = self.cookie.values(cookies, host)
        if not tokens:
            return None
        choice = self._known(tokens[0]) if len(tokens) == 1 and len(tokens[0]) <= MAX_TOKEN else None
        if choice is None:
            raise InvalidTokenError
        return choice

    def _verified(self, token: bytes) -> Choice | None:
        try:
            payload = msgspec.convert(read_signed(self._serializer, token), _Payload)
            meanings = {sign: decision for decision, sign in _SIGNS.items()}
            decisions = {category: meanings[sign] for category, sign in payload.c.items()}
        except (msgspec.ValidationError, LookupError):
            return None
        if payload.v != VERSION or (payload.r is not None and not _RECEIPT.fullmatch(payload.r)):
            return None
        return Choice(decisions, payload.p, payload.d, payload.r)
