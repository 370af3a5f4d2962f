"""Browser, operating system and class of device, from the User-Agent header.

user-agents is unmaintained since 2020, so this is the only module that knows it: ua-parser's Rust engine parses, and
user-agents' rules tell mobile, tablet and desktop apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from itertools import takewhile
from typing import Any, NamedTuple

from ua_parser import Domain, PartialResult, load_builtins
from ua_parser.core import OS, Device, UserAgent
from ua_parser.regex import Resolver
from user_agents import parsers as rules

from centtrack.policy.levels import Browser

_OTHER = "Other"
_FIRST_GROUP = re.compile(r"\((?!\?)([^()]*(?:\(\?:[^()]*\)[^()]*)*)\)")
_ESCAPED = re.compile(r"\\([-./! ])")
_LITERAL = re.compile(r"[A-Za-z0-9 ._!/+-]+")

# What browsers with client hints write whatever the system's version is (Chromium's user agent reduction).
_FROZEN_SYSTEMS = ("Windows NT 10.0", "Intel Mac OS X 10_15_7", "Android 10; K)", "CrOS x86_64 14541.0.0")
_CHROMIUM = re.compile(r"Chrom(?:e|ium)/([0-9]{1,4})\b")
_FIRST_BLINK = 28  # the version of Chromium
_APPLE = frozenset({"iOS", "WatchOS", "tvOS", "ATV OS X"})  # any browser there is built on WebKit
_OTHER_ENGINES = ("Edge/", "Ladybird/", "Goanna/", "Servo/")  # they name engines that they aren't


class BrowserFields(NamedTuple):
    """Columns of the event."""

    browser: str | None = None
    browser_version: str | None = None
    browser_engine: str | None = None
    os: str | None = None
    os_version: str | None = None
    device_class: str | None = None


class Agent(NamedTuple):
    """A user agent before reduction. Versions are tuples of their parts."""

    browser: str
    browser_version: tuple[str, ...]
    engine: str | None
    os: str
    os_version: tuple[str, ...]
    device_class: str
    is_spider: bool
    chromium: str | None
    has_frozen_os: bool


@cache
def engine() -> Resolver:
    """ua-parser's rules in its Rust engine. Building it takes some 400 ms and 33 MB: once a process."""
    return Resolver(load_builtins())


@cache
def _families() -> tuple[frozenset[str], frozenset[str]]:
    """The names of browsers and systems that the rules themselves spell out.

    Some rules copy a name from the header, which could say anything; such a name is not taken.
    """
    browsers, systems, _ = load_builtins()
    return frozenset(_spelled_out(browsers)), frozenset(_spelled_out(systems))


def _spelled_out(matchers: Iterable[Any]) -> Iterator[str]:
    for matcher in matchers:
        family = matcher.family or "$1"
        if "$" not in family:
            yield family
        elif group := _FIRST_GROUP.search(matcher.regex):
            words = (_ESCAPED.sub(r"\1", word) for word in group[1].split("|"))
            yield from (family.replace("$1", word) for word in words if _LITERAL.fullmatch(word))


def warm() -> None:
    """Build the engine before the first request needs it."""
    engine()
    _families()


class _Classified(rules.UserAgent):  # type: ignore[misc]  # the library has no types
    """user-agents' rules over a result of the engine, instead of over its own slow parser."""

    def __init__(self, text: str, result: PartialResult) -> None:
        os, browser, device = result.os or OS(_OTHER), result.user_agent, result.device
        browser = browser or UserAgent(_OTHER)
        device = device or Device(_OTHER)
        self.ua_string = text
        self.os = rules.parse_operating_system(os.family, os.major, os.minor, os.patch, os.patch_minor)
        self.browser = rules.parse_browser(browser.family, browser.major, browser.minor, browser.patch)
        self.device = rules.parse_device(device.family, device.brand, device.model)


@lru_cache(maxsize=4_096)
def read_agent(text: str) -> Agent:
    """What a User-Agent header says. The text must be cut already: see `headers.MAX_USER_AGENT`."""
    result = engine()(text, Domain.ALL)
    rated = _Classified(text, result)
    browser, os = result.user_agent, result.os
    known_browsers, known_systems = _families()
    browser = browser if browser and browser.family in known_browsers else None
    os = os if os and os.family in known_systems else None
    chromium = _CHROMIUM.search(text)
    system = os.family if os else _OTHER
    return Agent(
        browser.family if browser else _OTHER,
        _version(browser),
        None if rated.is_bot else _engine(text, system, int(chromium[1]) if chromium else 0),
        system,
        _version(os),
        _device_class(rated),
        rated.is_bot,
        chromium[1] if chromium else None,
        any(constant in text for constant in _FROZEN_SYSTEMS),
    )


def _engine(text: str, system: str, chromium: int) -> str | None:
    """The layout engine: the first rule that holds, as most browsers name other engines beside their own."""
    is_opera = "Opera" in text and not chromium
    rules = (
        (system in _APPLE, "WebKit"),
        (is_opera or "Presto/" in text, "Presto"),
        ("Trident/" in text or "MSIE " in text, "Trident"),
        (any(name in text for name in _OTHER_ENGINES), None),
        (chromium >= _FIRST_BLINK, "Blink"),
        ("AppleWebKit/" in text, "WebKit"),
        ("Gecko/" in text, "Gecko"),
    )
    return next((engine for holds, engine in rules if holds), None)


def _version(part: UserAgent | OS | None) -> tuple[str, ...]:
    """Major, minor and patch, up to the first that isn't a short number."""
    numbers = (part.major or "", part.minor or "", part.patch or "") if part else ()
    return tuple(takewhile(lambda number: number.isdigit() and len(number) <= 4, numbers))


def _device_class(rated: _Classified) -> str:
    if rated.is_bot:
        return "bot"
    if rated.is_tablet:
        return "tablet"
    if rated.is_mobile:
        return "mobile"
    return "desktop" if rated.is_pc else "other"


def reduce_browser(agent: Agent | None, level: Browser) -> BrowserFields:
    """Device class, families and versions as the level allows."""
    if agent is None or level is Browser.NONE:
        return BrowserFields()
    if level is Browser.DEVICE:
        return BrowserFields(device_class=agent.device_class)
    parts = {Browser.FAMILY: 0, Browser.MAJOR: 1, Browser.FULL: 3}[level]
    return BrowserFields(
        agent.browser,
        ".".join(agent.browser_version[:parts]) or None,
        agent.engine,
        agent.os,
        ".".join(agent.os_version[:parts]) or None,
        agent.device_class,
    )
