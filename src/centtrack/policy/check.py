"""Warnings about a policy that is valid: what singles people out, and what this version doesn't do yet."""

from __future__ import annotations

from collections.abc import Iterator

from centtrack.policy.levels import Browser, Geo, Ip, Page, Time, Visitor
from centtrack.policy.model import Limits
from centtrack.policy.policy import PrivacyPolicy


def find_warnings(policy: PrivacyPolicy) -> list[str]:
    """What an officer should know about a valid policy."""
    default, consented = policy.limits(), policy.limits(consented=True)
    warnings = list(_about_tier("limits.default", default))
    if consented != default:
        warnings += _about_tier("limits.consented", consented)
    about = (_about_geo, _about_hints, _about_visitors, _about_version)
    return [*_about_ceiling(policy), *warnings, *(warning for check in about for warning in check(policy))]


def _about_ceiling(policy: PrivacyPolicy) -> Iterator[str]:
    document = policy.document
    for tier in ("default", "consented"):
        written = getattr(document.limits, tier)
        for name, level in written.by_name().items() if written else ():
            ceiling = getattr(document.ceiling, name)
            if level > ceiling:
                yield f'limits.{tier}.{name} = "{level.label}" is cut to "{ceiling.label}" by [ceiling]'


def _about_tier(tier: str, limits: Limits) -> Iterator[str]:
    if limits.geo >= Geo.CITY and limits.time >= Time.MINUTE and limits.browser >= Browser.FULL:
        yield f"{tier}: city, {limits.time.label} and the full browser version together can single a person out"
    if limits.ip >= Ip.NET24 and limits.browser >= Browser.FULL:
        yield f"{tier}: a /24 network and the full browser version together often are one person"
    if limits.ip is Ip.FULL:
        yield f"{tier}: full addresses are personal data; the waiver must hold for every day until it ends"
    if limits.visitor is Visitor.DAILY_KEY and limits.time >= Time.SECOND and limits.page >= Page.PATH:
        yield f"{tier}: a daily key with times to the second and paths shows the way of one person through the site"
    if limits.page >= Page.QUERY and limits.visitor > Visitor.NONE:
        yield f"{tier}: query values and a visitor id together show what one person did"


def _about_geo(policy: PrivacyPolicy) -> Iterator[str]:
    uses_places = max(policy.limits().geo, policy.limits(consented=True).geo) > Geo.NONE
    if uses_places and not policy.geo_databases:
        yield "geo.databases is empty: places stay empty"
    for path in policy.geo_databases:
        if not path.is_file():
            yield f"geo.databases: there is no file {path}: places stay empty"


def _about_hints(policy: PrivacyPolicy) -> Iterator[str]:
    finest = max(policy.limits().browser, policy.limits(consented=True).browser)
    if policy.document.browser.accept_ch and finest < Browser.MAJOR:
        yield f'browser.accept_ch: nothing is asked for, as no tier records more than browser = "{finest.label}"'


def _about_visitors(policy: PrivacyPolicy) -> Iterator[str]:
    levels = {policy.limits().visitor, policy.limits(consented=True).visitor}
    if Visitor.DAILY_KEY in levels and not policy.document.controller.site:
        yield "controller.site is empty: daily keys then hold no site's name, and several hosts can't share their salts"


def _about_version(policy: PrivacyPolicy) -> Iterator[str]:
    document = policy.document
    if document.consent.gate != "observe":
        yield f'consent.gate = "{document.consent.gate}": this version has no cookie gate yet, it removes no cookie'
    if any(sink.retention for sink in document.sinks):
        yield "sinks.retention: this version deletes nothing by itself yet"
