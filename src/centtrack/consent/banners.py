"""Cookies of other consent banners, read only. A visitor could have written them: a grant is only asserted by it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, TypeVar
from urllib.parse import unquote

from centtrack.cookies import cookie_values
from centtrack.policy.model import Banner

MAX_VALUE = 4_096  # bytes; browsers allow no more for name and value (RFC 6265bis, 5.6)
_MAX_KNOWN = 512
_NO_DECISIONS: Mapping[str, str] = MappingProxyType({})
_FLAGS = {"1": True, "0": False}
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)?", re.ASCII)
_PAIR = r"([A-Za-z]\w*):(true|false|-?\d+|'[^'\\]*')"
_COOKIEBOT_PAIR = re.compile(_PAIR, re.ASCII)
_COOKIEBOT = re.compile(rf"\{{{_PAIR}(?:,{_PAIR})*\}}", re.ASCII)

_Value = TypeVar("_Value")


class Answers(NamedTuple):
    """What a visitor answered to a banner.

    Attributes:
        named: the banner's name of a category, group or service → whether it was granted.
        others: the answer for names that aren't there; None if there was none.
        revision: of what the banner asked.
    """

    named: Mapping[str, bool]
    others: bool | None = None
    revision: int | None = None

    def decide(self, names: Iterable[str]) -> str | None:
        """`refused` if one of the names is, `granted` if all are, else None."""
        answers = {self.named.get(name, self.others) for name in names}
        return "refused" if False in answers else "granted" if answers == {True} else None


class BannerReader:
    """Reads the cookie of another banner.

    Args:
        banner: `[consent.banner]` of the policy.
    """

    def __init__(self, banner: Banner) -> None:
        kind = _KINDS[banner.kind]
        self._cookie = (banner.cookie or kind.cookie).encode()
        self._names = tuple((banner.categories or kind.names).items())
        self._parse = kind.parse
        self._revision = banner.revision
        self._known = lru_cache(maxsize=_MAX_KNOWN)(self._read_value)

    def read(self, cookies: bytes) -> Mapping[str, str] | None:
        """Category → `granted` or `refused`; not there if nothing was answered, or the cookie can't be understood.

        Args:
            cookies: the header Cookie.

        Returns:
            None if there is no such cookie.
        """
        values = cookie_values(cookies, self._cookie)
        if not values:
            return None
        return self._known(values[0]) if len(values) == 1 and len(values[0]) <= MAX_VALUE else _NO_DECISIONS

    def _read_value(self, value: bytes) -> Mapping[str, str]:
        try:
            answers = self._parse(value.decode())
        except (ValueError, LookupError, RecursionError):
            return _NO_DECISIONS
        if self._revision is not None and answers.revision != self._revision:
            return _NO_DECISIONS  # the banner will ask again
        decided = {category: answers.decide(names) for category, names in self._names}
        return MappingProxyType({category: decision for category, decision in decided.items() if decision})


def _read_klaro(text: str) -> Answers:
    """`{"matomo":true,"ads":false}`, percent-encoded."""
    answers = _read_object(text)
    services = {name: answer for name, answer in answers.items() if isinstance(answer, bool)}
    if services != answers:
        raise ValueError("not klaro's")
    return Answers(services)


def _read_vanilla(text: str) -> Answers:
    """`{"categories":["necessary","analytics"],"revision":0,…}`, percent-encoded: what isn't listed was refused."""
    fields = _read_object(text)
    categories = fields["categories"]
    if not isinstance(categories, list) or not all(isinstance(name, str) for name in categories):
        raise ValueError("not vanilla-cookieconsent's")
    revision = fields.get("revision")
    return Answers(dict.fromkeys(categories, True), others=False, revision=revision if type(revision) is int else None)


def _read_c15t(text: str) -> Answers:
    """`c.necessary:1,c.measurement:1,i.t:1795000000000,…`: what was refused is left out, or 0 in older versions."""
    pairs = (pair.partition(":") for pair in text.split(","))
    fields = _once((key, value) for key, colon, value in pairs if colon)
    consents = {key.removeprefix("c."): _FLAGS[value] for key, value in fields.items() if key.startswith("c.")}
    if not consents:
        raise ValueError("not c15t's")
    return Answers(consents, others=False)


def _read_django(text: str) -> Answers:
    """`social=-1|optional=2026-11-22T21:05:00+00:00`, in quotes as Django sets it. An empty group has no time."""
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"'
    pairs = (pair.partition("=") for pair in (text[1:-1] if is_quoted else text).split("|"))
    groups = _once((group, version) for group, _, version in pairs)
    if not all(version in {"-1", ""} or _ISO_TIME.fullmatch(version) for version in groups.values()):
        raise ValueError("not django-cookie-consent's")
    return Answers({group: version != "-1" for group, version in groups.items() if version})


def _read_onetrust(text: str) -> Answers:
    """`…&interactionCount=1&landingPath=NotLandingPage&groups=C0001%3A1%2CC0002%3A0&AwaitingReconsent=false`.

    OneTrust sets it on the first page already, with the groups as they are by default: that is no answer.
    """
    pairs = (field.partition("=") for field in text.split("&"))
    fields = _once((key, value) for key, _, value in pairs)
    is_answered = (
        fields.get("interactionCount") != "0"
        and fields.get("landingPath", "NotLandingPage") == "NotLandingPage"
        and fields.get("AwaitingReconsent") != "true"
    )
    groups = (group.partition(":") for group in _decode(fields["groups"]).split(","))
    flags = _once((group, _FLAGS[flag]) for group, _, flag in groups)
    return Answers(flags if is_answered else {})


def _read_cookiebot(text: str) -> Answers:
    """`{stamp:'…',necessary:true,statistics:false,method:'explicit',…}`, percent-encoded, or `0` for a refusal of all.

    `-1` and the method `implied` stand for visitors who weren't asked.
    """
    decoded = _decode(text)
    if decoded == "0":
        return Answers({}, others=False)
    if not _COOKIEBOT.fullmatch(decoded):
        raise ValueError("not Cookiebot's")
    fields = _once((pair[1], pair[2]) for pair in _COOKIEBOT_PAIR.finditer(decoded))
    if fields.get("method") == "'implied'":
        return Answers({})
    return Answers({key: value == "true" for key, value in fields.items() if value in {"true", "false"}})


def _read_object(text: str) -> dict[str, object]:
    found = json.loads(_decode(text), object_pairs_hook=_once)
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def _decode(text: str) -> str:
    if _BAD_PERCENT.search(text):
        raise ValueError("not percent-encoded")
    return unquote(text, errors="strict")


def _once(pairs: Iterable[tuple[str, _Value]]) -> dict[str, _Value]:
    """The pairs as a dictionary, if no key is there twice: which of them counts depends on who reads it."""
    listed = list(pairs)
    found = dict(listed)
    if len(found) != len(listed):
        raise ValueError("a key is there twice")
    return found


class _Kind(NamedTuple):
    """A banner: its cookie's name, how it reads, and what it calls our categories where it has names of its own."""

    cookie: str
    parse: Callable[[str], Answers]
    names: Mapping[str, tuple[str, ...]]


_KINDS = {
    "klaro": _Kind("klaro", _read_klaro, {}),
    "vanilla-cookieconsent": _Kind(
        "cc_cookie",
        _read_vanilla,
        {"preferences": ("functionality",), "analytics": ("analytics",), "marketing": ("marketing",)},
    ),
    "c15t": _Kind(
        "c15t",
        _read_c15t,
        {
            "preferences": ("functionality", "experience"),
            "analytics": ("measurement",),
            "marketing": ("marketing",),
        },
    ),
    "django-cookie-consent": _Kind("cookie_consent", _read_django, {}),
    "onetrust": _Kind(
        "OptanonConsent",
        _read_onetrust,
        {"preferences": ("C0003",), "analytics": ("C0002",), "marketing": ("C0004",)},
    ),
    "cookiebot": _Kind(
        "CookieConsent",
        _read_cookiebot,
        {"preferences": ("preferences",), "analytics": ("statistics",), "marketing": ("marketing",)},
    ),
}
