"""The levels of each limit, coarse to fine, so that the smaller of two is always the safer one."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class Level(IntEnum):
    """A level of a limit. Compares by fineness: `Geo.REGION < Geo.CITY`."""

    @property
    def label(self) -> str:
        """The word that stands in `privacy.toml`."""
        return self.name.lower()

    @classmethod
    def labels(cls) -> list[str]:
        """The words that are allowed, coarse to fine."""
        return [level.label for level in cls]

    @classmethod
    def finest(cls) -> Self:
        """The level that tells most."""
        return cls(len(cls) - 1)


class Ip(Level):
    """NET16 is IPv4 /16 and IPv6 /32; NET24 is /24 and /48."""

    NONE, NET16, NET24, FULL = range(4)


class Geo(Level):
    """A city is the finest that exists in this code (clause 4.9 of the source policy)."""

    NONE, COUNTRY, REGION, CITY = range(4)


class Time(Level):
    """UTC. There is always a time, so no NONE."""

    DAY, HOUR, MINUTE, SECOND = range(4)


class Page(Level):
    """ROUTE is the template; PATH is scrubbed; QUERY keeps listed keys only."""

    NONE, ROUTE, PATH, QUERY = range(4)


class Campaign(Level):
    """FULL has utm_campaign, utm_term and utm_content, which can carry one id a recipient."""

    NONE, CHANNEL, SOURCE, FULL = range(4)


class Referrer(Level):
    """CLASS is one of internal, search, social, external, none."""

    NONE, CLASS, DOMAIN, PATH = range(4)


class Browser(Level):
    """DEVICE is the class of device only."""

    NONE, DEVICE, FAMILY, MAJOR, FULL = range(5)


class Language(Level):
    """PRIMARY: `ru-KZ` becomes `ru`."""

    NONE, PRIMARY = range(2)


class Cookies(Level):
    """COUNTS a category, or NAMES of the registry. Values have no level: they are never read."""

    NONE, COUNTS, NAMES = range(3)


class Visitor(Level):
    """DAILY_KEY is a keyed hash with the salt of the day; COOKIE needs analytics consent."""

    NONE, DAILY_KEY, COOKIE = range(3)


class Duration(Level):
    """ROUNDED keeps one significant digit of the milliseconds."""

    NONE, ROUNDED, EXACT = range(3)
