"""Whether a client is automated, what gave it away, and who it is if it is a known one.

Names, operators and purposes come from `data/bots.json`. Bots that aren't listed there are found by the rules of
ua-parser and the patterns of crawlerdetect. All sets of patterns run in ua-parser's Rust engine: crawlerdetect's own
matching takes time that grows with the square of the header's length. One pattern runs in Python, `_MODEL`: it begins
with fixed letters and is of bounded length, so its time grows with the header's length only.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple

import msgspec
from crawlerdetect.providers import crawlers, exclusions
from ua_parser_rs import UserAgentExtractor

from centtrack.capture.browser import Agent
from centtrack.capture.client_hints import Hints

# A phone's model, or what is said of a TV, may read like the name of a bot: Cubot, XBot, C Bot Tab.
_MODEL = re.compile(r"(Andr[o0]id [0-9.]{1,12};(?: [a-zA-Z]{2}[-_][a-zA-Z]{2};)?) [^;()]{1,80}|HbbTV/[^)]{1,200}")
_APPS = (r"Cronet/[0-9.]+", r"libwww-FM", r"yandexstation\w*", r"com\.yandex\.\w+", r"QQDownload")  # of people
# A browser has no address in its header. The one that had advertised the component it was built with.
_CONTACT = r"https?:|\bwww\.|\w(?:@|\[at\])[\w-]+\.[a-z]"
_COMPONENTS = (r"https?://(?:www\.)?bsalsa\.com",)
_MAX_EXCLUSIONS = 40  # parts; of 40,000 public headers none has more than 20

# Systems and devices that ua-parser doesn't know.
_SYSTEMS = (
    r"PlayStation|\bPS[345]\b|Nintendo|Xbox|Android|\biOS\b|iPhone|iPad|Apple ?(?:TV|Watch)|Garmin|Harmony|Amiga|BeOS"
    r"|RISC OS|\bwin(?:7|8|10|11)\b|DoCoMo|\bopera/|browser[/ ][0-9]|UCBrowser"
)

# Browsers built on WebKit or Blink close the bracket after "like Gecko", and don't call themselves compatible.
_GENERAL = (r"\(KHTML, like Gecko; ", r"AppleWebKit/.*compatible;")

# The engine has no look-around. The one pattern that needs it leaves out Yandex' mobile app, a browser of people.
_WITHOUT_LOOKAROUND = {r"Yandex(?!Search)": r"Yandex(?:$|[^S]|S(?:$|[^e]))"}

Reason = Literal[
    "no_user_agent",  # there is no User-Agent header
    "signature_agent",  # it signs its requests (Web Bot Auth)
    "known_bot",  # the list has it
    "http_library",  # the list has it, as a library or tool for HTTP requests
    "headless",  # a browser without a window
    "known_spider",  # the rules of ua-parser call it a spider
    "crawler_pattern",  # a pattern of crawlerdetect, or a general one of ours
    "contact",  # a web or e-mail address stands in the header, as crawlers put it there
    "no_system",  # names no operating system, device or browser, which any browser does
]


class BotFields(NamedTuple):
    """Columns of the event."""

    bot: bool | None = None
    bot_reason: Reason | None = None
    bot_name: str | None = None
    bot_operator: str | None = None
    bot_purpose: str | None = None


class Bot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A known bot.

    Attributes:
        name: what it calls itself, or what it is known as.
        purpose: what it comes for, one of `Bots.purposes`.
        pattern: how its header is recognised, as a regular expression, whatever the case. None: by its name.
        operator: who runs it. None if anybody may.
        reason: what gave it away, where it isn't the obvious.
    """

    name: str
    purpose: str
    pattern: str | None = None
    operator: str | None = None
    reason: Reason | None = None


class Bots(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The list of known bots, the most specific first.

    Attributes:
        purposes: each purpose and what it means.
        bots: recognised by the User-Agent header.
        signers: recognised by the host in the header Signature-Agent.
    """

    purposes: dict[str, str]
    bots: tuple[Bot, ...]
    signers: dict[str, Bot]


@cache
def known_bots() -> Bots:
    """What `data/bots.json` holds."""
    text = files("centtrack.capture").joinpath("data", "bots.json").read_bytes()
    return msgspec.json.decode(text, type=Bots)


def _extractor(patterns: dict[str, str]) -> UserAgentExtractor:
    """Finds the first pattern that fits. Its result's `family` is the pattern's key."""
    return UserAgentExtractor((f"(?i:{pattern})", key, None, None, None, None) for key, pattern in patterns.items())


@cache
def _known() -> tuple[UserAgentExtractor, dict[str, BotFields]]:
    bots = known_bots().bots
    patterns = {bot.name: bot.pattern or rf"\b{re.escape(bot.name)}" for bot in bots}
    return _extractor(patterns), {bot.name: _fields(bot) for bot in bots}


def _fields(bot: Bot) -> BotFields:
    reason: Reason = bot.reason or ("http_library" if bot.purpose == "library" else "known_bot")
    return BotFields(True, reason, bot.name, bot.operator, bot.purpose)


@cache
def _crawlers() -> UserAgentExtractor:
    patterns = (_WITHOUT_LOOKAROUND.get(pattern, pattern) for pattern in crawlers.data)
    return _extractor({pattern: pattern for pattern in patterns})


@cache
def _general() -> UserAgentExtractor:
    return _extractor({pattern: pattern for pattern in _GENERAL})


@cache
def _exclusions() -> UserAgentExtractor:
    """Finds the first part of a header that no bot is told by. Its result's `family` is that part."""
    patterns = "|".join((*_APPS, *_COMPONENTS, *exclusions.data))
    return UserAgentExtractor([(f"(?i:({patterns}))", "$1", None, None, None, None)])


def _without_exclusions(text: str) -> str:
    """The header without those parts.

    The patterns look at nothing around them, so what they find first is also the first place where it stands. A space
    is left there: what stood apart makes no new word.
    """
    kept, extract = [], _exclusions().extract
    for _ in range(_MAX_EXCLUSIONS):
        found = extract(text)
        if found is None or not found.family:
            break
        before, _, text = text.partition(found.family)
        kept.append(before)
    return " ".join((*kept, text))


@cache
def _contact() -> UserAgentExtractor:
    return _extractor({"contact": _CONTACT})


@cache
def _systems() -> UserAgentExtractor:
    return _extractor({"system": _SYSTEMS})


def warm() -> None:
    """Build the engines, some 250 ms."""
    _known()
    _crawlers()
    _general()
    _exclusions()
    _contact()
    _systems()


@lru_cache(maxsize=4_096)
def label_bot(user_agent: str | None, agent: Agent | None, hints: Hints) -> BotFields:
    """Whether a client is a bot: it names itself as one, or names itself not at all."""
    if not user_agent or agent is None:
        return BotFields(bot=True, bot_reason="no_user_agent")
    if hints.signer is not None:
        return _signer(hints.signer)
    extractor, fields = _known()
    text = _MODEL.sub(r"\1", user_agent)
    if found := extractor.extract(text):
        return fields[found.family]
    if hints.is_headless:
        return fields["HeadlessChrome"]
    reason = _reason(text, agent)
    return BotFields(reason is not None, reason)


def _reason(text: str, agent: Agent) -> Reason | None:
    """What gives away a bot that isn't listed."""
    if agent.is_spider:
        return "known_spider"
    rest = _without_exclusions(text)
    if _crawlers().extract(rest) or _general().extract(text):
        return "crawler_pattern"
    if _contact().extract(rest):
        return "contact"
    names_nothing = (agent.browser, agent.os, agent.device_class) == ("Other", "Other", "other")
    return "no_system" if names_nothing and not _systems().extract(rest) else None


def _signer(host: str) -> BotFields:
    """Who signs the requests. The signature itself isn't checked."""
    known = known_bots().signers.get(host)
    fields = _fields(known) if known else BotFields(bot=True)
    return fields._replace(bot_reason="signature_agent")
