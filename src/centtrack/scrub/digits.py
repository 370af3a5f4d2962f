"""What runs of digits are: cards, IINs, phones, coordinates, addresses; or dates, versions, prices, which stay."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address

from centtrack.policy.identifiers import is_iin
from centtrack.scrub.rules import Rule

_GAP = r"[\s\-.()_+\u2010-\u2015]{0,2}"  # what people write between the digits of a phone
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"

_DEGREES = r"[-+]?\d{1,3}\.\d"
# Three decimals are about 100 m. With fewer a pair looks like a range of prices, unless `@` or `geo:` says more.
_PAIR = re.compile(rf"(?<![\d.])(?P<found>{_DEGREES}{{3,20}}(?:\s?[,;/|_ ]\s?){_DEGREES}{{3,20}})(?!\.?\d)")
_MARKED_PAIR = re.compile(rf"(?:@|geo:)(?P<found>{_DEGREES}{{1,20}},{_DEGREES}{{1,20}}(?:,[\d.]{{1,20}}[a-z]?)?)")
_AXIS = re.compile(
    r"(?i:(?<![^\W\d_])(?:lat|latitude|lon|lng|longitude)[/_-]?)(?P<found>[-+]?\d{1,3}\.\d{2,20})(?!\.?\d)"
)
# Degrees, minutes, seconds, and the quarters in English and Russian letters.
_DEGREE_SIGN = re.compile(r"\d{1,3}(?:\.\d{1,20})?\s?°[\d\s.,°'\"\u2032\u2033NSEW\u0421\u042e\u0412\u0417]{0,60}")
_ZIP = re.compile(r"(?i:(?<![^\W\d_])(?:post(?:al)?[_-]?code|zip(?:[_-]?code)?)/)(?P<found>\d{5,6}(?:-\d{4})?)(?!\w)")
# Four numbers after a `v` are a version.
_IPV4 = re.compile(rf"(?<![\d.vV])(?:{_OCTET}\.){{3}}{_OCTET}(?!\.?\d)")
_IPV6 = re.compile(r"(?:(?<![0-9A-Za-z:.])|(?<=[g-zG-Z]:))[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,8}(?![0-9A-Za-z:])")

_SPACED_CARD = re.compile(r"(?<!\d)\d{4,8}(?:[ .\-_+]\d{4,8}){1,3}(?:[ .\-_+]\d{3})?(?!\d)")
_SPACED_IIN = re.compile(r"(?<!\d)\d{6}[ .\-_+]\d{3}[ .\-_+]?\d{3}(?!\d)|(?<!\d)\d{3}(?:[ .\-_+]\d{3}){3}(?!\d)")
# E.164 with its plus, or with 00 as it is dialled in most of the world. `%2B` is what a third encoding leaves.
_WORLD_PHONE = re.compile(rf"(?<![\d+])(?P<prefix>\+|%2[Bb]|00){_GAP}[1-9](?:{_GAP}\d){{7,14}}(?!\d)")
# As dialled in Kazakhstan and Russia: 1-3-3-2-2, 1-3-2-2-3, 1-4-2-2-2, 1-5-5, with gaps or without.
_PHONE = re.compile(
    rf"(?<!\d)[78]{_GAP}(?=[3-79])(?:\d{{3}}{_GAP}(?:\d{{3}}{_GAP}\d\d{_GAP}\d\d|\d\d{_GAP}\d\d{_GAP}\d{{3}})"
    rf"|\d{{4}}{_GAP}\d\d{_GAP}\d\d{_GAP}\d\d|\d{{5}}{_GAP}\d{{5}})(?!\d)"
)
_LOCAL_PHONE = re.compile(
    rf"(?<!\d)(?:\(\d{{3,5}}\){_GAP}\d{{2,3}}{_GAP}\d\d{_GAP}\d\d"  # (701) 123-45-67
    r"|\d{3}[ .-]\d{3}[ .-]\d\d[ .-]\d\d"  # 701-123-45-67
    r"|\(?[2-9]\d\d(?:\)\s?|[ .-])[2-9]\d\d[ .-]\d{4}"  # (202) 555-0123
    r"|0[1-9]\d{1,3}[ -]\d{3,4}[ -]?\d{3,4})(?!\d)"  # 020 7946 0958
)
_BARE = re.compile(r"(?<!\d)\d{10,}+")
_STAMP = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d[0-5]\d")


def kind_of_number(digits: str) -> str | None:
    """What a number of ten digits or more is, written without gaps: card, IIN, phone, a long number; or nobody's.

    Nobody's are a BIN, which is public; an EAN or ISBN with a valid check digit; a time as YYYYMMDDhhmmss; and what is
    neither that long nor of a form that is known.

    Args:
        digits: ASCII digits.
    """
    length = len(digits)
    if length == 12:
        return "iin" if is_iin(digits) else None
    if length == 11:
        return "phone" if digits[0] in "78" and digits[1] in "345679" else None
    if length == 10:
        return "phone" if digits[0] == "7" and digits[1] in "024567" else None
    is_card = length <= 19 and passes_luhn(digits)
    if _STAMP.fullmatch(digits) or (_is_ean(digits) and not (is_card and digits[0] == "4")):
        return None
    return "card" if is_card else "number"


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of a card (ISO/IEC 7812-1)."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_ean(digits: str) -> bool:
    """Whether it is an EAN or ISBN: 13 digits, which with the weights 1, 3, 1, 3… make 0 modulo 10."""
    return (
        len(digits) == 13
        and sum(int(digit) * (1 + 2 * (position % 2)) for position, digit in enumerate(digits)) % 10 == 0
    )


def _digits_of(text: str) -> str:
    """The digits in a text, of whatever script, in ASCII."""
    return "".join(str(int(letter)) for letter in text if letter.isdecimal())


def _judge_bare(match: re.Match[str]) -> str | None:
    return kind_of_number(_digits_of(match[0]))


def _judge_card(match: re.Match[str]) -> str | None:
    digits = _digits_of(match[0])
    return "card" if 13 <= len(digits) <= 19 and passes_luhn(digits) else None


def _judge_iin(match: re.Match[str]) -> str | None:
    return "iin" if is_iin(_digits_of(match[0])) else None


def _judge_world_phone(match: re.Match[str]) -> str | None:
    """After 00 there are 11 digits or more, or 9 with gaps: shorter ones are numbers filled up with zeros."""
    if match["prefix"] != "00":
        return "phone"
    digits = len(_digits_of(match[0])) - 2
    return "phone" if digits >= 11 or (digits >= 9 and not match[0].isdecimal()) else None


def _judge_ipv4(match: re.Match[str]) -> str | None:
    """Four numbers of one digit are a version: as addresses they would be few, and hardly a visitor's."""
    return None if len(match[0]) == len("1.2.3.4") else "ip"


def _judge_ipv6(match: re.Match[str]) -> str | None:
    try:
        IPv6Address(match[0])
    except AddressValueError:
        return None
    return "ip" if any(map(str.isalnum, match[0])) else None


# Coordinates and addresses have dots, so they come before phones, which may.
DIGITS = (
    Rule(".", _PAIR, "coordinates"),
    Rule("@:", _MARKED_PAIR, "coordinates"),
    Rule(".", _AXIS, "coordinates"),
    Rule("°", _DEGREE_SIGN, "coordinates"),
    Rule("/", _ZIP, "postcode"),
    Rule(".", _IPV4, _judge_ipv4),
    Rule(":", _IPV6, _judge_ipv6),
    Rule(" .-_+", _SPACED_CARD, _judge_card),
    Rule(" .-_+", _SPACED_IIN, _judge_iin),
    Rule("+0%", _WORLD_PHONE, _judge_world_phone),
    Rule("", _BARE, _judge_bare),
    Rule("78", _PHONE, "phone"),
    Rule(" .-()", _LOCAL_PHONE, "phone"),
)
