"""Which channel and campaign a visit came by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from centtrack.capture.page import parse_query
from centtrack.capture.scrub import scrub
from centtrack.policy.levels import Campaign

_MAX_VALUE = 128
# Not fbclid: Facebook adds one to every link, paid or not.
_PAID_CLICK_IDS = frozenset({"gclid", "gbraid", "wbraid", "dclid", "msclkid", "yclid", "ttclid", "twclid"})
_PAID_MEDIA = frozenset({"cpc", "ppc", "cpm", "cpa", "cpv", "paid", "paidsearch", "paid_social", "display", "banner"})
_EMAIL_MEDIA = frozenset({"email", "e-mail", "newsletter"})
_CHANNEL_OF_SOURCE = {
    "none": "direct", "internal": "internal", "search": "search", "social": "social", "email": "email",
    "external": "referral",
}  # fmt: skip


class CampaignFields(NamedTuple):
    """Columns of the event."""

    channel: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: str | None = None


def reduce_campaign(query: bytes, source_kind: str, level: Campaign, *, scrub_uuids: bool) -> CampaignFields:
    """Channel and UTM values as the level allows. Of a click identifier only the fact is used, never the id."""
    if level is Campaign.NONE:
        return CampaignFields()
    if b"utm_" not in query and b"clid" not in query and b"braid" not in query:
        return CampaignFields(_CHANNEL_OF_SOURCE[source_kind])
    fields: Mapping[str, str] = dict(reversed(parse_query(query)))  # the first of doubles wins
    channel = read_channel(fields, source_kind)
    if level is Campaign.CHANNEL:
        return CampaignFields(channel)

    def value(key: str) -> str | None:
        return scrub(fields.get(key, ""), uuids=scrub_uuids, limit=_MAX_VALUE) or None

    if level is Campaign.SOURCE:
        return CampaignFields(channel, value("utm_source"), value("utm_medium"))
    return CampaignFields(channel, *map(value, ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")))


def read_channel(fields: Mapping[str, str], source_kind: str) -> str:
    """How the visit came about: paid before e-mail before the referrer; a tagged link without one is a campaign."""
    medium = fields.get("utm_medium", "").lower()
    if medium in _PAID_MEDIA or not _PAID_CLICK_IDS.isdisjoint(fields):
        return "paid"
    if medium in _EMAIL_MEDIA:
        return "email"
    if source_kind == "none" and ("utm_source" in fields or medium):
        return "campaign"
    return _CHANNEL_OF_SOURCE[source_kind]
