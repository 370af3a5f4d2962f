"""Warnings about a policy that is valid: what singles people out, what has no effect, what surprises."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from centtrack.policy.levels import Browser, Geo, Ip, Page, Time, Visitor
from centtrack.policy.limits import Limits
from centtrack.policy.model import UNCLASSIFIED, Cookie
from centtrack.policy.policy import PrivacyPolicy
from centtrack.policy.recipients import find_idle_limits, find_refusals

_MAX_TRACKER_DAYS = 390  # 13 months: CNIL, guidelines on cookies and other trackers of 17 September 2020


def find_warnings(policy: PrivacyPolicy) -> list[str]:
    """What an officer should know about a valid policy."""
    default, consented = policy.limits(), policy.limits(consented=True)
    warnings = list(_about_tier("limits.default", default))
    if consented != default:
        warnings += _about_tier("limits.consented", consented)
    about = (
        _about_geo, _about_hints, _about_visitors, _about_consent, _about_gate, _about_cookies, _about_sinks,
        _about_version,
    )  # fmt: skip
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


def _about_consent(policy: PrivacyPolicy) -> Iterator[str]:
    rules = policy.document.consent
    if rules.mode == "implied":
        yield (
            'consent.mode = "implied": who says nothing counts as having agreed, though nobody chose. It never unlocks '
            "marketing, and every report says so"
        )
    if not rules.gpc:
        yield "consent.gpc is empty: Global Privacy Control refuses no cookie here, and /.well-known/gpc.json says so"
    sites = [f".{site.lower()}" for site in policy.document.controller.site]
    if rules.domain and sites and not any(site.endswith(f".{rules.domain}") for site in sites):
        yield f'consent.domain = "{rules.domain}": no controller.site is in it, so browsers refuse the consent cookie'


def _about_gate(policy: PrivacyPolicy) -> Iterator[str]:
    rules, entries = policy.document.consent, policy.document.cookies
    if rules.gate == "enforce" and not entries:
        yield 'consent.gate = "enforce" without [[cookies]]: every cookie of the app is removed, that of a login too'
    if rules.gate == "observe" and (entries or "gate" in rules.model_fields_set):
        yield 'consent.gate is "observe": cookies are counted, and none is removed, whatever visitors choose'
    if rules.gate == "observe" and rules.hide:
        yield 'consent.hide has no effect while consent.gate is "observe"'


def _about_cookies(policy: PrivacyPolicy) -> Iterator[str]:
    entries = policy.document.cookies
    optional = [entry for entry in entries if entry.category != "necessary"]
    judged = [entry for entry in optional if entry.category != UNCLASSIFIED]
    if unclassified := [entry for entry in optional if entry not in judged]:
        yield f'cookies: nobody has judged {_names(unclassified)}: gate = "enforce" removes what is unclassified'
    if silent := [entry for entry in judged if not entry.purpose]:
        yield f"cookies: no purpose is given for {_names(silent)}: visitors read it before they choose"
    if lasting := [entry for entry in optional if (entry.lifetime or 0) > _MAX_TRACKER_DAYS]:
        yield f"cookies: {_names(lasting)}: over {_MAX_TRACKER_DAYS} days; the CNIL allows trackers 13 months at most"
    for number, entry in enumerate(entries):
        if before := next((one for one in entries[:number] if _is_about_all_of(one, entry)), None):
            yield f'cookies: the entry "{entry.name}" never counts: "{before.name}" stands before it, and fits first'


def _names(entries: Iterable[Cookie]) -> str:
    return ", ".join(dict.fromkeys(f'"{entry.name}"' for entry in entries))


def _is_about_all_of(before: Cookie, entry: Cookie) -> bool:
    """Whether each cookie that an entry is about fits one that stands before it."""
    domain, wider = ((one.domain or "*").lower().lstrip(".") for one in (entry, before))
    return (
        _covers(before.name, entry.name) and _covers(wider, domain) and _covers(before.path or "*", entry.path or "*")
    )


def _covers(wider: str, pattern: str) -> bool:
    """Whether a pattern fits all that another one fits. Where that isn't easily told, no."""
    is_name = not set("*?[") & set(pattern)
    is_simple = "[" not in wider + pattern and "?" not in wider  # then what fits the pattern's text fits its names
    return wider == pattern or ((is_name or is_simple) and fnmatchcase(pattern, wider))


def _about_sinks(policy: PrivacyPolicy) -> Iterator[str]:
    document = policy.document
    if document.recipients.undeclared_sinks == "refuse" and not document.sinks:
        yield 'recipients.undeclared_sinks = "refuse" without [[sinks]]: the app refuses every sink'
    for entry in document.sinks:
        if entry.party == "third" and entry.fields is None:
            yield f'sinks: "{entry.name}" is a third party\'s and gets every column: name those it needs in `fields`'
    names = list(dict.fromkeys(entry.name for entry in document.sinks))
    if names and document.recipients.undeclared_sinks == "refuse" and (idle := find_idle_limits(policy, names)):
        yield f"sinks: none gets anything of {', '.join(idle)}: what is recorded under these limits serves no purpose"
    for name in names:
        for refusal in find_refusals(policy, name):
            yield f"sinks: the app refuses this one: {refusal.problem}"


def _about_version(policy: PrivacyPolicy) -> Iterator[str]:
    if any(sink.retention for sink in policy.document.sinks):
        yield "sinks.retention: it holds for what waits for delivery; in the sink itself nothing is deleted yet"
