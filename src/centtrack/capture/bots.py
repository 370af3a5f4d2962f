"""Whether a client is automated, and what gave it away.

crawlerdetect's patterns, run by ua-parser's Rust engine: crawlerdetect's own matching takes time that grows with the
square of the header's length.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import NamedTuple

from crawlerdetect.providers import crawlers, exclusions
from ua_parser_rs import UserAgentExtractor

from centtrack.capture.browser import Agent

# The engine has no look-around. The one pattern that needs it leaves out Yandex' mobile app, a browser of people.
_WITHOUT_LOOKAROUND = {r"Yandex(?!Search)": r"Yandex(?:$|[^S]|S(?:$|[^e]))"}


class BotFields(NamedTuple):
    """Columns of the event."""

    bot: bool | None
    bot_reason: str | None = None
    bot_name: str | None = None


# Names come from this list only: text out of the header itself could be anything.
_NAMES = (
    "AdsBot-Google", "AhrefsBot", "Amazonbot", "anthropic-ai", "Applebot", "archive.org_bot", "Baiduspider", "bingbot",
    "BingPreview", "Bytespider", "CCBot", "ChatGPT-User", "Claude-SearchBot", "Claude-User", "ClaudeBot", "curl",
    "Diffbot", "DotBot", "DuckAssistBot", "DuckDuckBot", "Exabot", "facebookexternalhit", "Feedbin", "Feedfetcher",
    "Feedly", "Go-http-client", "Google-Extended", "Google-InspectionTool", "Googlebot", "GPTBot", "HeadlessChrome",
    "Java", "libwww-perl", "LinkedInBot", "Mail.RU_Bot", "meta-externalagent", "MJ12bot", "MojeekBot", "msnbot",
    "OAI-SearchBot", "Perplexity-User", "PerplexityBot", "PetalBot", "Pinterestbot", "python-requests", "Scrapy",
    "SemrushBot", "SeznamBot", "Slackbot", "Slurp", "Sogou", "TelegramBot", "Tiny Tiny RSS", "Twitterbot",
    "UniversalFeedParser", "UptimeRobot", "Wget", "WhatsApp", "YandexBot", "YandexImages", "YisouSpider", "ZoomBot",
)  # fmt: skip


@cache
def _crawlers() -> UserAgentExtractor:
    patterns = (_WITHOUT_LOOKAROUND.get(pattern, pattern) for pattern in crawlers.data)
    return UserAgentExtractor((f"(?i:({pattern}))", None, None, None, None, None) for pattern in patterns)


@cache
def _exclusions() -> re.Pattern[str]:
    return re.compile("|".join(exclusions.data), re.IGNORECASE)


@cache
def _names() -> UserAgentExtractor:
    return UserAgentExtractor((f"(?i:{re.escape(name)})", name, None, None, None, None) for name in _NAMES)


def warm() -> None:
    """Build the engines, some 180 ms."""
    _crawlers()
    _exclusions()
    _names()


@lru_cache(maxsize=4_096)
def label_bot(user_agent: str | None, agent: Agent | None) -> BotFields:
    """Whether a client is a bot: it names itself as one, or names itself not at all."""
    if not user_agent or agent is None:
        return BotFields(bot=True, bot_reason="no_user_agent")
    if agent.is_spider:
        return BotFields(bot=True, bot_reason="known_spider", bot_name=_name(user_agent))
    if _crawlers().extract(_exclusions().sub("", user_agent)):
        return BotFields(bot=True, bot_reason="crawler_pattern", bot_name=_name(user_agent))
    return BotFields(bot=False)


def _name(user_agent: str) -> str | None:
    found = _names().extract(user_agent)
    return found.family if found else None
