"""Well-known cookies: what the session of a framework, a load balancer or a counter is called, and what it is for."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import msgspec

from centtrack.policy.model import Category, Language


class KnownCookie(NamedTuple):
    """One name of the list.

    Attributes:
        name: exact, or a pattern.
        category: what it belongs to, as a rule.
        purpose: what it is for, by language.
    """

    name: str
    category: Category
    purpose: Mapping[Language, str]


class _Group(msgspec.Struct, forbid_unknown_fields=True):
    of: str
    category: Category
    names: list[str]
    en: str
    ru: str
    kk: str


@cache
def known_cookies() -> tuple[KnownCookie, ...]:
    """The whole list."""
    text = files("centtrack.policy").joinpath("data", "known_cookies.toml").read_text(encoding="utf-8")
    groups = msgspec.convert(tomllib.loads(text)["groups"], list[_Group])
    return tuple(
        KnownCookie(name, group.category, {"en": group.en, "ru": group.ru, "kk": group.kk})
        for group in groups
        for name in group.names
    )


def find_known(name: str) -> KnownCookie | None:
    """What a cookie's name tells; None if it isn't well known."""
    return next((known for known in known_cookies() if fnmatchcase(name, known.name)), None)
