"""User-Agent Client Hints: what Chromium-based browsers say beside their frozen User-Agent header.

Read are brands, versions, platform, and whether the device is mobile (W3C, User-Agent Client Hints). The hints for
model, architecture, bitness, form factor and WoW64 are never read: no column has room for them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import takewhile
from typing import Final, NamedTuple, cast

import http_sf

from centtrack.capture.browser import Agent
from centtrack.capture.headers import Headers

HIGH_ENTROPY: Final = ("Sec-CH-UA-Full-Version-List", "Sec-CH-UA-Platform-Version")
"""The hints that a browser sends only to a site that asks for them in `Accept-CH`."""

_MAX_LINE = 256  # bytes; what browsers send is half of that

# Brand → the name that ua-parser has for the browser, on a desktop and on a phone. The most specific first: a browser
# names Chromium too, and Opera and others have at times named "Google Chrome".
_BRANDS: Final[dict[str, tuple[str, str]]] = {
    "Microsoft Edge": ("Edge", "Edge Mobile"),
    "Opera": ("Opera", "Opera Mobile"),
    "Opera GX": ("Opera GX", "Opera GX"),
    "OperaMobile": ("Opera Mobile", "Opera Mobile"),
    "OperaTouch": ("Opera Touch", "Opera Touch"),
    "YaBrowser": ("Yandex Browser", "Yandex Browser"),
    "Yandex": ("Yandex Browser", "Yandex Browser"),
    "Samsung Internet": ("Samsung Internet", "Samsung Internet"),
    "Brave": ("Brave", "Brave"),
    "Vivaldi": ("Vivaldi", "Vivaldi"),
    "Whale": ("Whale", "Whale"),
    "Huawei Browser": ("Huawei Browser", "Huawei Browser"),
    "HuaweiBrowser": ("Huawei Browser", "Huawei Browser"),
    "Miui Browser": ("MiuiBrowser", "MiuiBrowser"),
    "DuckDuckGo": ("DuckDuckGo", "DuckDuckGo Mobile"),
    "Oculus Browser": ("Oculus Browser", "Oculus Browser"),
    "Avast Secure Browser": ("Avast Secure Browser", "Avast Secure Browser"),
    "AVG Secure Browser": ("AVG", "AVG"),
    "CCleaner Browser": ("CCleaner", "CCleaner"),
    "Norton Private Browser": ("Norton", "Norton"),
    "Android WebView": ("Chrome Mobile WebView", "Chrome Mobile WebView"),
    "Google Chrome": ("Chrome", "Chrome Mobile"),
    (_CHROMIUM := "Chromium"): ("Chromium", "Chromium"),
}
_HEADLESS = "HeadlessChrome"

# The value as it stands in the header → the name that ua-parser has for the system.
_PLATFORMS: Final = {
    b'"Windows"': "Windows",
    b'"macOS"': "Mac OS X",
    b'"Linux"': "Linux",
    b'"Android"': "Android",
    b'"Chrome OS"': "Chrome OS",
    b'"Chromium OS"': "Chrome OS",
}
_DESKTOPS = frozenset({"Windows", "Mac OS X", "Chrome OS"})
_NUMBERED = frozenset({"Windows", "Mac OS X", "Android"})  # Linux gives its kernel's version, or nothing
_MOBILE: Final = {b"?1": True, b"?0": False}

# Names in a User-Agent header that say no more than a hint does. Any other name there is finer: an app, a distribution.
_PLAIN_BROWSERS = frozenset({"Other", "Chrome", "Chrome Mobile", "Chrome Mobile WebView", "Chromium"})
_PLAIN_SYSTEMS = frozenset({"Other", *_PLATFORMS.values()})

_VERSION = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}")
_QUOTED_VERSION = re.compile(rb'"([0-9]{1,6}(?:\.[0-9]{1,6}){0,3})"')
# Made-up brands keep sites from relying on a fixed list. Chromium's are "Not A Brand" with other characters between.
_MADE_UP = re.compile(r"[^A-Za-z]*Not[^A-Za-z]*A[^A-Za-z]*Brand[^A-Za-z]*")
# Web Bot Auth: a string, in later drafts a dictionary of strings.
_SIGNER = re.compile(rb'(?:[a-z*][a-z0-9_.*-]*=)?"(?:https://)?([a-z0-9.-]+)/?"')

_Members = list[tuple[object, Mapping[str, object]]]  # what http_sf's list is; its type doesn't say so
HintLines = tuple[bytes, ...]
Version = tuple[str, ...]


class Hints(NamedTuple):
    """What the hints say, before reduction. Every name is one of a fixed list, but the signer's."""

    brand: str | None = None
    brand_version: Version = ()
    chromium: str | None = None
    platform: str | None = None
    platform_version: Version = ()
    is_mobile: bool | None = None
    is_headless: bool = False
    signer: str | None = None


_NONE = Hints()


def read_hint_lines(headers: Headers) -> HintLines:
    """The headers that `read_hints` understands, each cut to 256 bytes. Empty, and cheap, if none came."""
    if b"sec-ch-ua" not in headers and b"signature-agent" not in headers:
        return ()
    get = headers.get
    return (
        get(b"sec-ch-ua", b"")[:_MAX_LINE],
        get(b"sec-ch-ua-mobile", b"")[:_MAX_LINE],
        get(b"sec-ch-ua-platform", b"")[:_MAX_LINE],
        get(b"sec-ch-ua-full-version-list", b"")[:_MAX_LINE],
        get(b"sec-ch-ua-platform-version", b"")[:_MAX_LINE],
        get(b"signature-agent", b"")[:_MAX_LINE],
    )


def without_unasked(lines: HintLines, asked: Collection[str]) -> HintLines:
    """The lines, without the high-entropy hints that the policy doesn't ask for: another part of the site may have.

    Args:
        lines: from `read_hint_lines`.
        asked: names out of `HIGH_ENTROPY`.
    """
    if not lines:
        return lines
    kept = [line if name in asked else b"" for name, line in zip(HIGH_ENTROPY, lines[3:5], strict=True)]
    return (*lines[:3], *kept, lines[5])


@lru_cache(maxsize=4_096)
def read_hints(lines: HintLines) -> Hints:
    """What the lines say. A line that is malformed counts as not sent.

    Args:
        lines: from `read_hint_lines`.
    """
    if not lines:
        return _NONE
    brands, mobile, platform, full, platform_version, signature = lines
    signed = _SIGNER.fullmatch(signature)
    hints = Hints(signer=signed[1].decode() if signed else None)
    versions = _read_brands(brands)
    if _CHROMIUM not in versions:
        return hints  # only browsers made from Chromium send hints, and all of them name it
    brand, named = _brand(versions), _PLATFORMS.get(platform)
    return hints._replace(
        brand=brand,
        brand_version=_finer(versions[brand], _read_brands(full).get(brand, ())) if brand else (),
        chromium=next(iter(versions[_CHROMIUM]), None),
        platform=named,
        platform_version=_system_version(named, platform_version),
        is_mobile=_MOBILE.get(mobile),
        is_headless=_HEADLESS in versions,
    )


def _read_brands(line: bytes) -> dict[str, Version]:
    """Brand → version. RFC 9651: a list of strings, each with the parameter `v`, itself a string."""
    try:
        members = cast("_Members", http_sf.parse(line, tltype="list"))
    except http_sf.StructuredFieldError:
        return {}
    found = {}
    for brand, parameters in members:
        version = parameters.get("v")
        if not isinstance(brand, str) or not isinstance(version, str):
            return {}
        found[brand] = _split(version)
    return found


def _split(version: str) -> Version:
    parts = version.split(".") if _VERSION.fullmatch(version) else ()
    return tuple(takewhile(lambda part: len(part) <= 4, parts))[:3]


def _brand(versions: dict[str, Version]) -> str | None:
    """The most specific brand. None if there is one that we don't know: the User-Agent header may say more."""
    for brand in _BRANDS:
        if brand in versions and brand != _CHROMIUM:
            return brand
    unknown = (name for name in versions if name != _CHROMIUM and not _MADE_UP.fullmatch(name))
    return None if any(unknown) else _CHROMIUM


def _finer(version: Version, full: Version) -> Version:
    return full if full[:1] == version[:1] else version


def _system_version(platform: str | None, line: bytes) -> Version:
    quoted = _QUOTED_VERSION.fullmatch(line)
    if platform not in _NUMBERED or quoted is None:
        return ()
    parts = _split(quoted[1].decode())
    if platform == "Windows":
        return _windows(parts)
    while parts[-1:] == ("0",):  # "14.0.0" is what a User-Agent header calls 14
        parts = parts[:-1]
    return parts


def _windows(parts: Version) -> Version:
    """Windows gives the version of an API: 0.1 to 0.3 are 7 to 8.1, 1 to 10 are 10, from 13 on it is 11."""
    if parts[:1] == ("0",):
        return {"1": ("7",), "2": ("8",), "3": ("8", "1")}.get("".join(parts[1:2]), ())
    major = int(parts[0]) if parts else 0
    if major >= 13:
        return ("11",)
    return ("10",) if 1 <= major <= 10 else ()


def apply_hints(agent: Agent, hints: Hints) -> Agent:
    """The agent, with what is frozen in its header taken from the hints.

    Hints that contradict the header are those of another browser, or made up: they are left aside.
    """
    if hints.chromium is None or hints.chromium != agent.chromium or agent.is_spider:
        return agent
    os = hints.platform if hints.platform and agent.os in _PLAIN_SYSTEMS else agent.os
    browser, version = _browser(agent, hints)
    return agent._replace(
        browser=browser,
        browser_version=version,
        os=os,
        os_version=_os_version(agent, hints, os),
        device_class=_device_class(agent, hints, os),
    )


def _browser(agent: Agent, hints: Hints) -> tuple[str, Version]:
    if hints.brand is None:
        return agent.browser, agent.browser_version
    is_phone = agent.device_class == "mobile" if hints.is_mobile is None else hints.is_mobile
    family = _BRANDS[hints.brand][is_phone]
    if agent.browser != family:
        return (family, hints.brand_version) if agent.browser in _PLAIN_BROWSERS else agent[:2]
    is_frozen = agent.browser_version[1:] == ("0", "0")
    is_finer = is_frozen or len(hints.brand_version) > len(agent.browser_version[:2])
    agrees = hints.brand_version[:1] == agent.browser_version[:1]
    return family, hints.brand_version if is_finer and agrees else agent.browser_version


def _os_version(agent: Agent, hints: Hints, os: str) -> Version:
    if os == hints.platform and hints.platform_version:
        return hints.platform_version
    return () if os != agent.os or agent.has_frozen_os else agent.os_version


def _device_class(agent: Agent, hints: Hints, os: str) -> str:
    """Phone or not. A tablet says the same as a desktop here, so the header tells those apart."""
    is_desktop = os in _DESKTOPS
    if hints.is_mobile and not is_desktop and agent.device_class != "tablet":
        return "mobile"
    if hints.is_mobile is False and is_desktop:
        return "desktop"
    return agent.device_class
