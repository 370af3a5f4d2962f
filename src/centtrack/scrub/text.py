"""Personal data that leaks into URLs: found and replaced by what it was, as in `[email]`.

Names of people, postal codes, and identifiers that have no form of their own can't be found unless a key beside them
says what they are, as in `;postcode=050000`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import zip_longest
from typing import NamedTuple
from urllib.parse import unquote

from centtrack.scrub.clean import MAX_TEXT, clean
from centtrack.scrub.digits import DIGITS
from centtrack.scrub.tokens import TOKENS, UUIDS

KINDS = (
    "card", "coordinates", "email", "hex", "iban", "iin", "ip", "jwt", "key", "name", "number", "phone", "postcode",
    "secret", "session", "token", "userinfo", "uuid",
)  # fmt: skip

_DECODINGS = 2
_LOOKED_AT = 2 * MAX_TEXT
_MAX_KEY = 256  # letters; what is longer isn't remembered
# What isn't seen where it is shown would part the digits of a phone: soft hyphens, joiners, marks of direction.
_INVISIBLE = re.compile(r"[\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]+")
# Most paths show at first sight that nothing is there: words in Latin or Cyrillic letters, and short numbers.
_WORD = r"[A-Z\u0400-\u042f]?[a-z\u0430-\u04ff]{1,18}"
_PLAIN = re.compile(rf"(?:/+(?:{_WORD}(?:-{_WORD})*(?:-\d{{1,4}})?|\d{{1,4}}))*(?:/|\.[a-z]{{2,5}})?")


class Scrubbed(NamedTuple):
    """A text without personal data.

    Attributes:
        text: clean, and cut.
        kinds: what was found, one entry a replacement; each is one of `KINDS`.
    """

    text: str
    kinds: tuple[str, ...] = ()


def scrub(text: str, *, uuids: bool = True, limit: int = MAX_TEXT) -> Scrubbed:
    """The text, percent-decoded up to twice, with e-mails, phones, cards, tokens, IINs and long ids replaced; clean.

    Args:
        text: a path, a value of a query, a path of a referrer.
        uuids: whether UUIDs go too.
        limit: bytes that are kept. The cut is made after scrubbing, so that half an e-mail can't pass.
    """
    if len(text) <= _MAX_KEY:
        return _known(text, uuids, limit)
    return _scrubbed(cut_whole(text, _LOOKED_AT), uuids, limit)


def _scrubbed(text: str, uuids: bool, limit: int) -> Scrubbed:
    for _ in range(_DECODINGS):
        if "%" not in text:
            break
        text = unquote(text, errors="replace")
    kinds: list[str] = []
    if not _PLAIN.fullmatch(text):
        text = text if text.isascii() else _INVISIBLE.sub("", text)
        text = _scrub(UUIDS.apply(text, kinds), kinds) if uuids else _scrub_between_uuids(text, kinds)
    return Scrubbed(clean(text, limit), tuple(kinds))


_known = lru_cache(maxsize=2_048)(_scrubbed)  # at worst 5 MB, of texts in letters that take four bytes


def cut_whole(text: str, limit: int) -> str:
    """A text that is too long, without the part that the cut goes through: half an e-mail isn't recognised as one.

    Args:
        text: a path, a query, a URL.
        limit: letters that are kept at most.
    """
    if len(text) <= limit:
        return text
    return text[: max(text.rfind(separator, 0, limit) for separator in "/&=?") + 1]


def _scrub(text: str, kinds: list[str]) -> str:
    letters = set(text)
    rules = (*TOKENS, *DIGITS) if any(map(str.isdecimal, letters)) else TOKENS
    for rule in rules:
        if not (rule.needs and letters.isdisjoint(rule.needs)):
            text = rule.apply(text, kinds)
    return text


def _scrub_between_uuids(text: str, kinds: list[str]) -> str:
    kept = UUIDS.pattern.findall(text)
    between = [_scrub(part, kinds) for part in UUIDS.pattern.split(text)]
    return "".join(part for pair in zip_longest(between, kept, fillvalue="") for part in pair)
