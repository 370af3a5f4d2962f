"""The languages of the consent pages: which one a visitor reads, and how numbers, days and dates are said in it."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from centtrack.policy.model import Text

LANGUAGES = ("kk", "ru", "en")
_FALLBACKS = ("en", "ru")
_MAX_HEADER = 1_024
_LONG_DAYS = 60  # from here on days are hard to picture, so months are said too
_DAYS_A_MONTH = 30.44


class Words(NamedTuple):
    """A text of the policy.

    Attributes:
        text: what it says.
        language: which language it is in, if that isn't the page's or nobody said.
    """

    text: str
    language: str | None = None


def choose_language(accept_language: str, wanted: str | None, default: str) -> str:
    """The language to answer in (RFC 9110, 12.5.4).

    Args:
        accept_language: the header; what can't be read in it is passed over.
        wanted: what the visitor asked for on the page; counts first.
        default: if neither names one of ours.
    """
    if wanted in LANGUAGES:
        return str(wanted)
    weights: dict[str, float] = {}
    for item in accept_language[:_MAX_HEADER].split(","):
        tag, _, parameter = item.partition(";")
        primary = tag.strip().lower().partition("-")[0]
        weights[primary] = max(_weight(parameter), weights.get(primary, 0))
    liked = sorted((name for name in weights if name in LANGUAGES and weights[name]), key=lambda name: -weights[name])
    return liked[0] if liked and weights[liked[0]] >= weights.get("*", 0) else default


def _weight(parameter: str) -> float:
    """The quality value; one that can't be read counts as 0."""
    name, _, value = parameter.partition("=")
    if not name.strip():
        return 1.0
    try:
        weight = float(value) if name.strip().lower() == "q" else 0.0
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


@cache
def texts_in(language: str) -> Mapping[str, Any]:
    """What the pages say, by key."""
    return tomllib.loads(
        files("centtrack.consent.notice").joinpath("texts", f"{language}.toml").read_text(encoding="utf-8")
    )


def pick_words(text: Text, language: str) -> Words:
    """A text of the policy in a language, else in English, Russian or whatever there is."""
    if isinstance(text, str):
        return Words(text)
    by_language = dict[str, str](text.items())
    for candidate in (language, *_FALLBACKS, *by_language):
        if found := by_language.get(candidate):
            return Words(found, None if candidate == language else candidate)
    return Words("")


def say_count(key: str, number: int, language: str) -> str:
    """A number with its noun, as in `3 cookies`.

    Args:
        key: of the forms in the texts.
        number: how many.
        language: whose plural rules (Unicode CLDR, cardinal) count.
    """
    forms = texts_in(language)[key]
    return str(forms[_plural(number, language)]).format(n=number)


def _plural(number: int, language: str) -> int:
    if language == "kk":
        return 0
    if language == "en":
        return int(number != 1)
    if number % 10 == 1 and number % 100 != 11:
        return 0
    return 1 if number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14) else 2


def say_lifetime(days: int | None, language: str) -> str:
    """How long something lasts.

    Args:
        days: 0 for a session, None if nobody said.
        language: to say it in.
    """
    texts = texts_in(language)
    if not days:
        return str(texts["not_stated" if days is None else "session"])
    said = say_count("days", days, language)
    if days < _LONG_DAYS:
        return said
    months = say_count("months_long", round(days / _DAYS_A_MONTH), language)
    return str(texts["about_months"]).format(days=said, months=months)


def say_date(date: dt.date, language: str) -> str:
    """A date, in words."""
    texts = texts_in(language)
    return str(texts["date"]).format(day=date.day, month=texts["months"][date.month - 1], year=date.year)
