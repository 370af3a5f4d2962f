"""Which channel and campaign a visit came by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from centtrack.capture.click_ids import CLICK_IDS
from centtrack.capture.page import MAX_QUERY, parse_query
from centtrack.capture.referrer import kind_of_domain, normal_host
from centtrack.policy.levels import Campaign
from centtrack.scrub.text import scrub

_MAX_VALUE = 128
_UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")

_TAGGED = re.compile("|".join(["utm_", *map(re.escape, CLICK_IDS)]).encode())

# Of the default channel groups of Google Analytics 4, joined to the channels we have.
_PAID_MEDIUM = re.compile(
    r"(?<![a-z])(?:paid|(?:cp[acmlv]|ppc|retargeting|remarketing|display|banner|expandable|interstitial)(?![a-z]))"
)
_MEDIA = {
    **dict.fromkeys(("email", "e-mail", "e_mail", "e mail", "newsletter", "mailing", "mail"), "email"),
    **dict.fromkeys(("social", "social-network", "social-media", "sm", "social network", "social media"), "social"),
    **dict.fromkeys(("ai", "ai-assistant", "ai_assistant", "ai assistant", "llm", "chatbot"), "ai_assistant"),
    **dict.fromkeys(("organic", "search"), "search"),
    **dict.fromkeys(("referral", "app", "link"), "referral"),
}
# How people and tools write sources that are no host; a host is looked up in the list of sources.
_SOURCES = {
    **dict.fromkeys(
        ("google", "bing", "yandex", "duckduckgo", "yahoo", "baidu", "ecosia", "brave", "mailru"), "search"),
    **dict.fromkeys(
        ("facebook", "fb", "instagram", "ig", "threads", "vk", "vkontakte", "ok", "odnoklassniki", "telegram", "tg",
         "whatsapp", "wa", "viber", "youtube", "yt", "tiktok", "linkedin", "twitter", "x", "pinterest", "reddit",
         "discord", "slack", "snapchat", "bluesky", "mastodon", "max", "dzen"), "social"),
    **dict.fromkeys(
        ("chatgpt", "openai", "perplexity", "claude", "gemini", "copilot", "deepseek", "grok", "gigachat", "alice",
         "alisa", "yandexgpt", "mistral", "le-chat", "qwen"), "ai_assistant"),
    **dict.fromkeys(("email", "e-mail", "e_mail", "e mail", "newsletter", "mailchimp", "gmail"), "email"),
}  # fmt: skip
_CHANNEL_OF_SOURCE = {
    "none": "direct", "internal": "internal", "search": "search", "social": "social", "email": "email",
    "ai": "ai_assistant", "spam": "spam", "external": "referral",
}  # fmt: skip


class CampaignFields(NamedTuple):
    """Columns of the event, and the kinds of what was scrubbed on the way."""

    channel: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: str | None = None
    scrubbed: tuple[str, ...] = ()


def reduce_campaign(query: bytes, source_kind: str, level: Campaign, *, scrub_uuids: bool) -> CampaignFields:
    """Channel and UTM values as the level allows. Of a click identifier only the fact is used, never the id."""
    if level is Campaign.NONE:
        return CampaignFields()
    if not _TAGGED.search(query[:MAX_QUERY]):
        return CampaignFields(_CHANNEL_OF_SOURCE[source_kind])
    fields: Mapping[str, str] = dict(reversed(parse_query(query)))  # the first of doubles wins
    channel = read_channel(fields, source_kind)
    if level is Campaign.CHANNEL:
        return CampaignFields(channel)
    names = _UTM[:2] if level is Campaign.SOURCE else _UTM
    found = {name: scrub(fields.get(name, ""), uuids=scrub_uuids, limit=_MAX_VALUE) for name in names}
    kinds = tuple(kind for value in found.values() for kind in value.kinds)
    return CampaignFields(channel, scrubbed=kinds, **{name: value.text or None for name, value in found.items()})


def read_channel(fields: Mapping[str, str], source_kind: str) -> str:
    """How the visit came about: what the link says of itself, before the referrer; and paid before all else.

    Of a link within the site only a paid medium or e-mail counts: other tags there are the site's own.

    Args:
        fields: of the query, decoded.
        source_kind: of the referrer, as `Source.kind`.
    """
    if source_kind == "spam":
        return "spam"
    medium = fields.get("utm_medium", "").strip().lower()
    clicked = {CLICK_IDS[key] for key in CLICK_IDS.keys() & fields.keys()}
    said = "paid" if "paid" in clicked or _PAID_MEDIUM.search(medium) else _MEDIA.get(medium)
    if source_kind == "internal":
        return said if said in {"paid", "email"} else "internal"
    if said := said or _channel_of_utm_source(fields.get("utm_source", "")):
        return said
    if source_kind in {"none", "external"} and clicked:
        return min(clicked)  # there is hardly ever more than one
    tagged = source_kind == "none" and any(fields.get(name) for name in _UTM)
    return "campaign" if tagged else _CHANNEL_OF_SOURCE[source_kind]


def _channel_of_utm_source(value: str) -> str | None:
    """Of `chatgpt.com`, `https://www.chatgpt.com/` and `ChatGPT` alike; None if it isn't known."""
    name = value[:_MAX_VALUE].strip().lower()
    if "." not in name:
        return _SOURCES.get(name)
    host = normal_host(name.removeprefix("https://").removeprefix("http://").rstrip("/"))
    kind = kind_of_domain(host) if host else "external"
    return None if kind == "external" else _CHANNEL_OF_SOURCE[kind]
