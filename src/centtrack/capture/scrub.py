"""Personal data that leaks into URLs: found and replaced by what it was, as in `[email]`.

All patterns are linear: no nested repetition, and the input is cut before. Names of people can't be found reliably.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import zip_longest
from urllib.parse import unquote

from centtrack.capture.headers import MAX_TEXT, clean
from centtrack.policy.identifiers import has_valid_check_digit, is_iin

_DECODINGS = 2
_LOOKED_AT = 2 * MAX_TEXT
_SHORTEST = 6

_EMAIL = re.compile(r"[^\s/?&=;,:<>\"'()@]{1,64}@[^\s/?&=;,:<>\"'()@]{1,190}\.[^\W\d_]{2,24}")
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?")
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Za-z])")
_HEX = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{24,}(?![0-9A-Za-z])")
_NUMBER = re.compile(r"(?<!\d)\+?\(?\d[\d \-().]{5,30}\d(?!\d)")
_BASE64 = re.compile(r"(?<![0-9A-Za-z+/])[0-9A-Za-z+/]{16,}={1,2}(?![0-9A-Za-z=])")
_TOKEN = re.compile(r"(?<![0-9A-Za-z_-])[0-9A-Za-z_-]{20,}={0,2}(?![0-9A-Za-z_-])")
_SEPARATORS = re.compile(r"\D")


@lru_cache(maxsize=4_096)
def scrub(text: str, *, uuids: bool = True, limit: int = MAX_TEXT) -> str:
    """The text, percent-decoded up to twice, with e-mails, phones, cards, tokens, IINs and long ids replaced; clean.

    Args:
        text: a path, a value of a query, a path of a referrer.
        uuids: whether UUIDs go too.
        limit: bytes that are kept. The cut is made after scrubbing, so that half an e-mail can't pass.
    """
    if len(text) > _LOOKED_AT:
        text = _last_whole_part(text[:_LOOKED_AT])
    for _ in range(_DECODINGS):
        if "%" not in text:
            break
        text = unquote(text, errors="replace")
    if len(text) >= _SHORTEST:
        text = _scrub(_UUID.sub("[uuid]", text)) if uuids else _scrub_between_uuids(text)
    return clean(text, limit)


def _scrub(text: str) -> str:
    for pattern, replace in _PATTERNS:
        text = pattern.sub(replace, text)
    return text


def _scrub_between_uuids(text: str) -> str:
    kept = _UUID.findall(text)
    between = map(_scrub, _UUID.split(text))
    return "".join(part for pair in zip_longest(between, kept, fillvalue="") for part in pair)


def _last_whole_part(text: str) -> str:
    """A text that was cut, without the part that the cut went through."""
    return text[: max(text.rfind(separator) for separator in "/&=?") + 1]


def _number(match: re.Match[str]) -> str:
    """What a run of digits is: a card, an IIN, a BIN (which is public, so it stays), a phone, or just a number."""
    found = match[0]
    digits = _SEPARATORS.sub("", found)
    if 13 <= len(digits) <= 19 and _passes_luhn(digits):
        return "[card]"
    if is_iin(digits):
        return "[iin]"
    if len(digits) == 12 and has_valid_check_digit(digits):
        return found
    if _looks_like_phone(found, digits):
        return "[phone]"
    return "[number]" if len(digits) >= 13 else found


def _looks_like_phone(found: str, digits: str) -> bool:
    """E.164 with a plus; or ten and eleven digits as they are dialled in Kazakhstan and Russia."""
    if found.startswith("+"):
        return 8 <= len(digits) <= 15
    return (len(digits) == 11 and digits[0] in "78") or (len(digits) == 10 and digits[0] == "7")


def _passes_luhn(digits: str) -> bool:
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _token(match: re.Match[str]) -> str:
    """A long run that has digits and letters of both cases is a token; words joined by hyphens are a title."""
    found = match[0]
    mixed = any(map(str.isdigit, found)) and any(map(str.isupper, found)) and any(map(str.islower, found))
    return "[token]" if mixed or max(map(len, re.split(r"[-_]", found))) >= 30 else found


def _base64(match: re.Match[str]) -> str:
    """Padded base64 has both cases and a length of fours (RFC 4648, 4)."""
    found = match[0].lstrip("/")
    whole = len(found) % 4 == 0 and any(map(str.isupper, found)) and any(map(str.islower, found))
    return match[0][: -len(found)] + "[token]" if whole else match[0]


_Replacement = str | Callable[[re.Match[str]], str]
_PATTERNS: tuple[tuple[re.Pattern[str], _Replacement], ...] = (
    (_EMAIL, "[email]"),
    (_JWT, "[jwt]"),
    (_BASE64, _base64),
    (_HEX, "[hex]"),
    (_NUMBER, _number),
    (_TOKEN, _token),
)
