"""Secrets to plant: each of a kind, unique and random, so that finding one in any byte is proof."""

from __future__ import annotations

import base64
import string
import uuid
from collections.abc import Callable, Iterable
from itertools import cycle
from random import Random
from typing import NamedTuple

from centtrack.policy.identifiers import is_iin


class Secret(NamedTuple):
    """A secret.

    Attributes:
        kind: what it is.
        text: as it is planted.
        core: the parts of it that identify somebody, long enough not to come up by chance; without the form around.
    """

    kind: str
    text: str
    core: tuple[str, ...]


LETTERS, DIGITS = string.ascii_lowercase, string.digits
ALNUM = string.ascii_letters + DIGITS


def word(random: Random) -> str:
    """A word that looks like a name, so that no rule for tokens finds it."""
    return "".join(random.choice("bdgklmnprstvz") + random.choice("aeiou") for _ in range(6))


def some(random: Random, letters: str, length: int) -> str:
    """Random letters; of letters and digits at least one of each."""
    while True:
        text = "".join(random.choice(letters) for _ in range(length))
        if letters is not ALNUM or (any(map(str.isdigit, text)) and not text.isupper() and not text.islower()):
            return text


def with_luhn(digits: str) -> str:
    """A card's number with its check digit."""
    doubled = (int(digit) * factor for digit, factor in zip(reversed(digits), cycle((2, 1))))
    return digits + str(-sum(value // 10 + value % 10 for value in doubled) % 10)


def iin(random: Random) -> str:
    """A valid number of a person born in 1990."""
    while True:
        number = f"90{random.randint(1, 12):02}{random.randint(1, 28):02}{random.choice('34')}{some(random, DIGITS, 4)}"
        for check in DIGITS:
            if is_iin(number + check):
                return number + check


def iban(random: Random) -> str:
    """A valid account number of Kazakhstan (ISO 13616)."""
    account = some(random, DIGITS, 3) + some(random, string.ascii_uppercase + DIGITS, 13)
    number = int("".join(str(int(letter, 36)) for letter in f"{account}KZ00"))
    return f"KZ{98 - number % 97:02}{account}"


def jwt(random: Random) -> str:
    """A signed token (RFC 7519) that names somebody."""
    parts = [b'{"alg":"HS256","typ":"JWT"}', f'{{"sub":"{word(random)}"}}'.encode(), random.randbytes(32)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _phone(form: str) -> Callable[[Random], Secret]:
    def make(random: Random) -> Secret:
        area, rest = random.choice(["701", "702", "705", "707", "747", "771", "777"]), some(random, DIGITS, 7)
        text = form.format(area, rest[:3], rest[3:5], rest[5:])
        return Secret("", text, (area + rest, text))

    return make


def _german_phone(random: Random) -> Secret:
    tail = some(random, "123456789", 8)
    return Secret("", f"+49 30 {tail}", (f"30 {tail}", f"4930{tail}"))


def _card(prefix: str, length: int, *groups: int, gap: str = "") -> Callable[[Random], Secret]:
    def make(random: Random) -> Secret:
        number = with_luhn(prefix + some(random, DIGITS, length - 1 - len(prefix)))
        parts, start = [], 0
        for size in groups or (length,):
            parts.append(number[start : start + size])
            start += size
        text = gap.join(parts)
        return Secret("", text, (number, text, number[6:]))

    return make


def _email(form: str) -> Callable[[Random], Secret]:
    def make(random: Random) -> Secret:
        name = word(random)
        return Secret("", form.format(name), (name,))

    return make


def _encoded_email(encode: Callable[[str], str]) -> Callable[[Random], Secret]:
    def make(random: Random) -> Secret:
        name = word(random)
        text = encode(f"{name}@mail.example.kz")
        return Secret("", text, (name, text[:16]))

    return make


def _key(prefix: str, letters: str, length: int) -> Callable[[Random], Secret]:
    def make(random: Random) -> Secret:
        tail = some(random, letters, length)
        return Secret("", prefix + tail, (tail,))

    return make


def _plain(make_text: Callable[[Random], str]) -> Callable[[Random], Secret]:
    def make(random: Random) -> Secret:
        text = make_text(random)
        return Secret("", text, (text,))

    return make


def _coordinates(form: str) -> Callable[[Random], Secret]:
    def make(random: Random) -> Secret:
        one, two = f"43.{some(random, DIGITS, 6)}", f"76.{some(random, DIGITS, 6)}"
        return Secret("", form.format(one, two), (one, two))

    return make


def ipv4(random: Random) -> str:
    """A public address, with octets of three digits."""
    return ".".join(str(random.randint(low, 199)) for low in (171, 101, 101, 101))


def ipv6(random: Random) -> str:
    """An address of the documentation's network, without zeros to shorten."""
    return "2001:db8:" + ":".join(f"{random.randint(0x1000, 0xFFFF):x}" for _ in range(6))


def _spell(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


HEX, UPPER = "0123456789abcdef", string.ascii_uppercase + DIGITS

# Kinds that scrubbing knows: not to be found at any level of any limit, wherever a client may have put them.
KNOWN: dict[str, Callable[[Random], Secret]] = {
    "e-mail": _email("{}@mail.example.kz"),
    "e-mail, upper case": _encoded_email(str.upper),
    "e-mail, with tag": _email("{}+news@mail.example.kz"),
    "e-mail, quoted name": _email("Ivan {}@mail.example.kz"),
    "e-mail, mailto": _email("mailto:{}@mail.example.kz"),
    "e-mail, wide at": _email("{}\uff20mail.example.kz"),
    "e-mail, each letter escaped": _encoded_email(_spell),
    "e-mail, base64": _encoded_email(_base64),
    "phone, +7 and brackets": _phone("+7 ({}) {}-{}-{}"),
    "phone, 8 and hyphens": _phone("8-{}-{}-{}-{}"),
    "phone, E.164": _phone("+7{}{}{}{}"),
    "phone, 11 digits": _phone("8{}{}{}{}"),
    "phone, dots": _phone("+7.{}.{}.{}.{}"),
    "phone, German": _german_phone,
    "card, Visa": _card("4", 16),
    "card, Visa in fours": _card("4", 16, 4, 4, 4, 4, gap=" "),
    "card, Mastercard with hyphens": _card("51", 16, 4, 4, 4, 4, gap="-"),
    "card, American Express": _card("37", 15),
    "card, Mir": _card("2200", 16),
    "card, UnionPay": _card("62", 19),
    "IIN": _plain(iin),
    "IBAN": _plain(iban),
    "JWT": _plain(jwt),
    "key, Stripe": _key("sk_live_", ALNUM, 24),
    "key, GitHub": _key("ghp_", ALNUM, 36),
    "key, AWS": _key("AKIA", UPPER, 16),
    "key, Slack": _key("xoxb-", ALNUM, 24),
    "key, Google": _key("AIza", ALNUM, 35),
    "key, GitLab": _key("glpat-", ALNUM, 20),
    "key, SendGrid": _plain(lambda random: f"SG.{some(random, ALNUM, 22)}.{some(random, ALNUM, 43)}"),
    "key, Telegram bot": _plain(lambda random: f"{some(random, '123456789', 9)}:{some(random, ALNUM, 35)}"),
    "key, npm": _key("npm_", ALNUM, 36),
    "session, 32 hex digits": _key("", HEX, 32),
    "session, SHA-256": _key("", HEX, 64),
    "session, PHP": _key("PHPSESSID=", LETTERS + DIGITS, 26),
    "session, Java": _key("index;jsessionid=", UPPER, 32),
    "session, ASP.NET": _plain(lambda random: f"(S({some(random, LETTERS + DIGITS, 24)}))"),
    "UUID": _plain(lambda random: str(uuid.UUID(bytes=random.randbytes(16), version=4))),
    "token, base64": _plain(lambda random: base64.b64encode(random.randbytes(20)).decode()),
    "token, URL-safe": _plain(lambda random: base64.urlsafe_b64encode(random.randbytes(24)).decode()),
    "IPv4": _plain(ipv4),
    "IPv6": _plain(ipv6),
    "coordinates, pair": _coordinates("{},{}"),
    "coordinates, map": _coordinates("@{},{},15z"),
    "coordinates, geo URI": _coordinates("geo:{},{}"),
    "password, keyed": _email("password={}"),
    "name, keyed": _email("lastname={}"),
}  # fmt: skip

# Kinds that look like any other word or number: they may show where a level lets words through, and nowhere else.
UNKNOWN: dict[str, Callable[[Random], Secret]] = {
    "name": _email("{}"),
    "full name": _email("Ivan {}"),
    "postal code": _plain(lambda random: "Z{}{}K{}P{}".format(*(some(random, DIGITS, size) for size in (1, 1, 2, 3)))),
}


def make_secret(kind: str, *key: str) -> Secret:
    """A secret of a kind. The same key gives the same secret in each run.

    Args:
        kind: one of those above.
        *key: what makes it unique.
    """
    maker = {**KNOWN, **UNKNOWN}[kind]
    return maker(Random("/".join((kind, *key))))._replace(kind=kind)


def unique(secrets: Iterable[Secret]) -> bool:
    """Whether no two have a part in common."""
    parts = [part for secret in secrets for part in set(secret.core)]
    return len(parts) == len(set(parts))
