"""The columns of an event, brought down to limits: from what the event says, not from the request."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_network
from typing import NamedTuple
from urllib.parse import urlencode

from centtrack.addresses import reduce_address
from centtrack.capture.clock import one_digit, reduce_time
from centtrack.capture.page import parse_query, reduce_size
from centtrack.capture.referrer import normal_host
from centtrack.consent.registry import CookieRegistry, registry_of
from centtrack.consent.state import CATEGORIES, State
from centtrack.event import Event
from centtrack.geo.cities import population
from centtrack.geo.place import Place, reduce_place
from centtrack.policy.levels import Browser, Campaign, Cookies, Duration, Ip, Language, Page, Referrer, Time, Visitor
from centtrack.policy.limits import Limits
from centtrack.policy.model import UNCLASSIFIED, Document
from centtrack.policy.policy import PrivacyPolicy
from centtrack.scrub.tokens import UUIDS

_COOKIE_ID = 32  # hex digits of a visitor cookie's id
_CUT_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{1,8}(?:-[0-9A-Fa-f-]{0,27})?$")
_MAX_PATH, _MAX_VALUE, _MAX_UTM = 2_045, 509, 125  # bytes from which on a text may have been cut, within a letter too

_UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")

Columns = dict[str, object]


class _Rules(NamedTuple):
    """What is worked out once for a policy."""

    document: Document
    registry: CookieRegistry
    sites: frozenset[str]


@lru_cache(maxsize=4)
def _rules_of(policy: PrivacyPolicy) -> _Rules:
    document = policy.document
    sites = frozenset(normal_host(name) or name for name in document.controller.site)
    return _Rules(document, registry_of(policy), sites)


def is_given(states: Mapping[str, str]) -> bool:
    """Whether these states of consent allow analytics."""
    return states.get("analytics") == State.GIVEN


def reduce_columns(event: Event, limits: Limits, policy: PrivacyPolicy) -> Columns:
    """The columns that have a limit, none finer than it, nor than in the event.

    Args:
        event: any.
        limits: those that hold for this visitor.
        policy: whose other rules hold.
    """
    rules = _rules_of(policy)
    return {
        **_visit(event, limits, rules),
        **_client(event, limits, rules.document),
        **_page(event, limits.page, rules.document),
        **_origin(event, limits, rules),
    }


def _visit(event: Event, limits: Limits, rules: _Rules) -> Columns:
    """Time, duration, cookies, id of the visitor."""
    precision = min(limits.time, Time[event.time_precision.upper()])
    duration = event.duration_ms
    if duration is not None and limits.duration is not Duration.EXACT:
        duration = float(one_digit(duration)) if limits.duration is Duration.ROUNDED else None
    return {
        "time": reduce_time(event.time.timestamp(), precision),
        "time_precision": precision.label,
        "duration_ms": duration,
        "cookies": _cookies(event.cookies, limits.cookies, rules.registry),
        "visitor_id": _visitor_id(event, limits.visitor, rules.document.visitor.bits),
    }


def _visitor_id(event: Event, level: Visitor, bits: int) -> str | None:
    """A daily key cut to its length; nothing where only that is allowed, and it may be the id of a cookie."""
    found = event.visitor_id
    if found is None or level is Visitor.COOKIE:
        return found
    may_be_cookie = is_given(event.consent) and len(found) == _COOKIE_ID
    return None if level is Visitor.NONE or may_be_cookie else found[: bits // 4]


def _cookies(counts: Mapping[str, int] | None, level: Cookies, registry: CookieRegistry) -> dict[str, int] | None:
    if counts is None or level is Cookies.NONE:
        return None
    kept: Counter[str] = Counter()
    for key, count in counts.items():
        kept[_cookie_key(key, level, registry)] += count
    return dict(sorted(kept.items()))


def _cookie_key(key: str, level: Cookies, registry: CookieRegistry) -> str:
    """A category as it is; an entry of the registry by its name as it stands there, even if that is a pattern."""
    if key == UNCLASSIFIED or key in CATEGORIES:
        return key
    exact = (entry for entry in registry.entries if entry.name == key)
    entry = next(exact, None) or next(iter(registry.fitting(key)), None)
    if entry is None or entry.category == UNCLASSIFIED:
        return UNCLASSIFIED
    return entry.name if level is Cookies.NAMES else entry.category


def _client(event: Event, limits: Limits, document: Document) -> Columns:
    """Network, place, browser, bot, language."""
    place = Place(event.country_code, event.region_code, event.region, event.city)
    place = _without_small_city(place, document.geo.min_population)
    return {
        "ip_network": _network(event.ip_network, limits.ip),
        **reduce_place(place, limits.geo)._asdict(),
        "browser_version": _version(event.browser_version, limits.browser),
        "os_version": _version(event.os_version, limits.browser),
        "language": event.language if limits.language is not Language.NONE else None,
        **dict.fromkeys(_dropped(limits.browser, labels_bots=document.bots.record != "keep")),
    }


def _version(version: str | None, level: Browser) -> str | None:
    if version is None or level < Browser.MAJOR:
        return None
    return version if level is Browser.FULL else version.partition(".")[0]


def _dropped(level: Browser, *, labels_bots: bool) -> list[str]:
    """Columns of browser and bot that stay empty."""
    bots = [] if labels_bots else ["bot", "bot_reason"]
    names = [] if labels_bots and level >= Browser.FAMILY else ["bot_name", "bot_operator", "bot_purpose"]
    families = [] if level >= Browser.FAMILY else ["browser", "browser_engine", "os"]
    return bots + names + families + ([] if level >= Browser.DEVICE else ["device_class"])


def _network(network: str | None, level: Ip) -> str | None:
    if network is None or level is Ip.NONE:
        return None
    known = ip_network(network)
    coarser = ip_network(reduce_address(known.network_address, level) or network)
    return str(coarser) if coarser.prefixlen < known.prefixlen else network


def _without_small_city(place: Place, min_population: int) -> Place:
    """Also without one whose name GeoNames doesn't have in the language of the event."""
    if not place.city or not min_population:
        return place
    inhabitants = population(place.country_code or "", place.city, region_code=place.region_code, region=place.region)
    return place if inhabitants >= min_population else place._replace(city=None)


def _page(event: Event, level: Page, document: Document) -> Columns:
    uuids, keys = document.page.scrub_uuids, frozenset(document.page.query_keys)
    return {
        "route": event.route if level >= Page.ROUTE else None,
        "path": _text(event.path, _MAX_PATH, scrub_uuids=uuids) if level >= Page.PATH else None,
        "query": _query(event.query, keys, scrub_uuids=uuids) if level >= Page.QUERY else None,
        "response_bytes": reduce_size(event.response_bytes, level),
    }


def _query(query: str | None, keys: frozenset[str], *, scrub_uuids: bool) -> str | None:
    kept = [
        urlencode({key: _text(value, _MAX_VALUE, scrub_uuids=scrub_uuids)})
        for key, value in parse_query((query or "").encode())
        if key in keys
    ]
    return "&".join(kept) or None


def _text(text: str | None, cut_from: int, *, scrub_uuids: bool) -> str | None:
    """A scrubbed text, without UUIDs too, also without the half of one that a cut left at its end."""
    if not text or not scrub_uuids:
        return text
    may_be_cut = len(text.encode()) >= cut_from
    text = UUIDS.apply(text, [])
    return _CUT_UUID.sub("", text) if may_be_cut else text


def _origin(event: Event, limits: Limits, rules: _Rules) -> Columns:
    """Referrer, channel and campaign."""
    level, uuids = limits.referrer, rules.document.page.scrub_uuids
    is_internal = event.referrer_class == "internal" or event.referrer_domain in rules.sites
    shows_path = level is Referrer.PATH and (limits.page >= Page.PATH or not is_internal)
    shown = {Campaign.FULL: 5, Campaign.SOURCE: 2}.get(limits.campaign, 0)
    values = [event.utm_source, event.utm_medium, event.utm_campaign, event.utm_term, event.utm_content]
    kept = [_text(value, _MAX_UTM, scrub_uuids=uuids) or None for value in values[:shown]]
    return {
        "referrer_class": event.referrer_class if level >= Referrer.CLASS else None,
        "referrer_domain": event.referrer_domain if level >= Referrer.DOMAIN else None,
        "referrer_path": _text(event.referrer_path, _MAX_PATH, scrub_uuids=uuids) if shows_path else None,
        "channel": event.channel if limits.campaign >= Campaign.CHANNEL else None,
        **dict.fromkeys(_UTM),
        **dict(zip(_UTM, kept, strict=False)),
    }
