# ruff: noqa: E501 - real headers stay on a line

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from crawlerdetect.providers import exclusions
from hypothesis import given
from hypothesis import strategies as st

from centtrack.capture import bots
from centtrack.capture.bots import Reason, known_bots, label_bot
from centtrack.capture.browser import read_agent
from centtrack.capture.capture import Excluded
from centtrack.capture.client_hints import read_hints

HEADER_PARTS = (
    "Mozilla/5.0",
    "(Windows NT 10.0; Win64; x64)",
    "like Gecko",
    " Chrome",
    "com.yandex.browser",
    "super/1/Android/2",
    "bot",
)
POLICY = '[limits.default]\nbrowser = "{}"\n[bots]\nrecord = "{}"\n'
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/138.0.0.0 Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
GPTBOT = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)"


def bot_of(event_of, user_agent, *more, browser="family", record="label"):
    headers = [] if user_agent is None else [(b"user-agent", user_agent.encode())]
    return event_of(POLICY.format(browser, record), headers=[(b"host", b"shop.example"), *headers, *more])


@pytest.mark.parametrize(
    ("user_agent", "name", "operator", "purpose"),
    [
        (GPTBOT, "GPTBot", "OpenAI", "training"),
        ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; OAI-SearchBot/1.3; +https://openai.com/searchbot", "OAI-SearchBot", "OpenAI", "search"),
        ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; +https://openai.com/bot", "ChatGPT-User", "OpenAI", "user_triggered"),
        ("Mozilla/5.0 (compatible; ClaudeBot/1.0; +claudebot@anthropic.com)", "ClaudeBot", "Anthropic", "training"),
        ("Mozilla/5.0 (compatible; Claude-SearchBot/1.0; +searchbot@anthropic.com)", "Claude-SearchBot", "Anthropic", "search"),
        ("Mozilla/5.0 (compatible; Claude-User/1.0; +Claude-User@anthropic.com)", "Claude-User", "Anthropic", "user_triggered"),
        ("Mozilla/5.0 (compatible; PerplexityBot/1.0; +https://perplexity.ai/perplexitybot)", "PerplexityBot", "Perplexity", "search"),
        ("meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)", "meta-externalagent", "Meta", "training"),
        ("CCBot/2.0 (https://commoncrawl.org/faq/)", "CCBot", "Common Crawl", "training"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot", "Google", "search"),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "bingbot", "Microsoft", "search"),
        ("Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)", "YandexBot", "Yandex", "search"),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", "AhrefsBot", "Ahrefs", "seo"),
        ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "facebookexternalhit", "Meta", "preview"),
        ("WhatsApp/2.23.20.0 A", "WhatsApp", "Meta", "preview"),
        ("TelegramBot (like TwitterBot)", "TelegramBot", "Telegram", "preview"),
        # Apple's messages name two others.
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0", "iMessage preview", "Apple", "preview"),
        ("Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", "UptimeRobot", "UptimeRobot", "monitoring"),
        ("Mozilla/5.0 (compatible; archive.org_bot +http://archive.org/details/archive.org_bot)", "archive.org_bot", "Internet Archive", "archive"),
        ("Mozilla/5.0 (compatible; CensysInspect/1.1; +https://about.censys.io/)", "CensysInspect", "Censys", "security"),
    ],
)  # fmt: skip
def test_known_bots(event_of, user_agent, name, operator, purpose):
    event = bot_of(event_of, user_agent)
    assert (event.bot, event.bot_reason) == (True, "known_bot")
    assert (event.bot_name, event.bot_operator, event.bot_purpose) == (name, operator, purpose)


REASONS = [
    (None, "no_user_agent", None),
    ("", "no_user_agent", None),
    ("SemrushBot", "known_bot", "SemrushBot"),
    ("python-requests/2.32", "http_library", "python-requests"),
    ("curl/8.5.0", "http_library", "curl"),
    ("okhttp/4.12.0", "http_library", "okhttp"),
    (f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/138.0.0.0 Safari/537.36", "headless", "HeadlessChrome"),
    ("Mozilla/5.0 (compatible; some-spider/1.0)", "known_spider", None),
    ("Mozilla/5.0 (X11; Linux x86_64) Some Link Checker", "crawler_pattern", None),
    (f"{CHROME[:-18]} (KHTML, like Gecko; Some Tool)", "crawler_pattern", None),
    (f"{CHROME} (+https://something.example/about)", "contact", None),
    (f"{CHROME} someone@something.example", "contact", None),
    ("Something/1.0", "no_system", None),
    ("Mozilla/5.0 (compatible; Something)", "no_system", None),
]


@pytest.mark.parametrize(("user_agent", "reason", "name"), REASONS)
def test_what_gave_it_away(event_of, user_agent, reason, name):
    event = bot_of(event_of, user_agent)
    assert (event.bot, event.bot_reason, event.bot_name) == (True, reason, name)


def test_each_reason_is_shown_above():
    assert {reason for _, reason, _ in REASONS} | {"signature_agent"} == set(get_args(Reason))


@pytest.mark.parametrize(
    ("header", "name", "operator"),
    [
        (b'"https://chatgpt.com"', "ChatGPT agent", "OpenAI"),
        (b'sig1="https://chatgpt.com"', "ChatGPT agent", "OpenAI"),
        (b'"https://ivanpetrov.example"', None, None),
    ],
)
def test_an_agent_that_signs_its_requests(event_of, header, name, operator):
    event = bot_of(event_of, CHROME, (b"signature-agent", header))
    assert (event.bot, event.bot_reason) == (True, "signature_agent")
    assert (event.bot_name, event.bot_operator) == (name, operator)
    assert "ivanpetrov" not in repr(event)


def test_a_signature_agent_that_is_none(event_of):
    assert bot_of(event_of, CHROME, (b"signature-agent", b"who knows")).bot is False


def test_a_headless_browser_that_tells_it_by_its_hints_only(event_of):
    brands = b'"Not)A;Brand";v="8", "Chromium";v="138", "HeadlessChrome";v="138"'
    event = bot_of(event_of, CHROME, (b"sec-ch-ua", brands))
    assert (event.bot, event.bot_reason, event.bot_name) == (True, "headless", "HeadlessChrome")


@pytest.mark.parametrize(
    "user_agent",
    [
        CHROME,
        f"{IPHONE} Version/18.5 Mobile/15E148 Safari/604.1",
        # Phones and tablets with names like a bot's.
        f"Mozilla/5.0 (Linux; Android 13; CUBOT X30) {WEBKIT} Chrome/126.0 Mobile Safari/537.36",
        f"Mozilla/5.0 (Linux; Android 7.0; C Bot Tab 70) {WEBKIT} Chrome/78.0.3904.108 Safari/537.36",
        f"Mozilla/5.0 (Linux; Android 8.1.0; XBot_Senior Build/O11019) {WEBKIT} Chrome/65.0.3325.109 Mobile Safari/537.36",
        # Apps that show pages.
        f"Mozilla/5.0 (Linux; arm_64; Android 13) {WEBKIT} Chrome/124.0 YaBrowser/24.6 YandexSearch/24.6 Mobile Safari/537.36",
        f"{IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/520.0.0.38.101;FBDV/iPhone14,5]",
        f"{IPHONE} Mobile/15E148 Instagram 390.0.0.28.85 (iPhone14,5; iOS 18_5; ru_KZ; ru; scale=3.00; 1170x2532; 742000000)",
        f"{IPHONE} Mobile/15E148 [Pinterest/iOS]",
        f"{IPHONE} Mobile/22F76 LinkedInApp",
        f"Mozilla/5.0 (Linux; Android 14; SM-S921N; wv) {WEBKIT} Version/4.0 Chrome/138.0.7204.63 Mobile Safari/537.36;KAKAOTALK 2511000",
        f"{IPHONE} Version/18.5 Mobile/15E148 Safari/605.1.15 (Ecosia ios@11.0.2.2268)",
        f"{CHROME} Viber/24.6.0",
        "Dalvik/2.1.0 (Linux; U; Android 14; SM-S921B Build/UP1A.231005.007)",
        # Televisions and consoles.
        f"Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) {WEBKIT} Version/7.0 TV Safari/537.36",
        f"Mozilla/5.0 (Web0S; Linux/SmartTV) {WEBKIT} Chrome/94.0.4606.128 Safari/537.36 WebAppManager",
        "Mozilla/5.0 (PlayStation; PlayStation 5/6.50) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.4 Safari/605.1.15",
        "Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/606.4 (KHTML, like Gecko) NF/6.0.1.16.10 NintendoBrowser/5.1.0.20923",
        # Old ones.
        "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1; EmbeddedWB 14.52 from: http://www.bsalsa.com/ EmbeddedWB 14.52)",
        "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/29.3709; U; en) Presto/2.8.119 Version/11.10",
        "Lynx/2.9.0 libwww-FM/2.14 SSL-MM/1.4.1",
    ],
)
def test_browsers_of_people(event_of, user_agent):
    event = bot_of(event_of, user_agent)
    assert (event.bot, event.bot_reason, event.bot_name) == (False, None, None)


def test_keep_says_nothing_of_bots(event_of):
    event = bot_of(event_of, GPTBOT, record="keep")
    assert (event.bot, event.bot_reason, event.bot_name, event.bot_operator, event.bot_purpose) == (None,) * 5


def test_drop_counts_and_drops(event_of):
    assert bot_of(event_of, GPTBOT, record="drop") == Excluded("bot")
    assert bot_of(event_of, CHROME, record="drop").bot is False


@pytest.mark.parametrize("browser", ["none", "device"])
def test_who_it_is_is_as_fine_as_a_family(event_of, browser):
    event = bot_of(event_of, GPTBOT, browser=browser)
    assert (event.bot, event.bot_reason) == (True, "known_bot")
    assert (event.bot_name, event.bot_operator, event.bot_purpose) == (None, None, None)


def test_the_list_keeps_to_its_purposes():
    listed = known_bots()
    for bot in (*listed.bots, *listed.signers.values()):
        assert bot.purpose in listed.purposes
    names = [bot.name.lower() for bot in listed.bots]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("bot", [bot for bot in known_bots().bots if bot.pattern is None], ids=lambda bot: bot.name)
def test_no_pattern_hides_another(bot):
    """The more specific stands before the more general."""
    text = f"Mozilla/5.0 (compatible; {bot.name}/1.0)"
    assert label_bot(text, read_agent(text), read_hints(())).bot_name == bot.name


@given(st.text(st.characters(codec="latin-1"), max_size=512))
def test_names_come_from_the_list_only(text):
    found = label_bot(text, read_agent(text), read_hints(()))
    assert found.bot_name in {None, *(bot.name for bot in known_bots().bots)}
    assert found.bot_reason is None if found.bot is False else found.bot_reason in get_args(Reason)


# Below what was reached by a little, so that a new release of a dependency may shift a few.
FLOORS = {
    "crawler-user-agents": 0.97,
    "Matomo's test bots": 0.97,
    "ai-crawler-index": 0.98,
    "user-agents": 0.001,
    "fake-useragent": 0.001,
    "Matomo's test devices, browsers": 0.001,
}


@pytest.mark.real_data
def test_recall_and_false_alarms_on_public_lists():
    """Lists that centtrack doesn't use: see benchmarks/bots.py."""
    folder = os.environ.get("CENTTRACK_TEST_BOTS")
    if not folder:
        pytest.skip("CENTTRACK_TEST_BOTS is not set: it names the folder that benchmarks/bots.py has filled")
    script = Path(__file__).parents[2] / "benchmarks" / "bots.py"
    done = subprocess.run([sys.executable, script, folder, "--json"], capture_output=True, text=True, check=True)
    checked = set()
    for result in json.loads(done.stdout):
        key = next((name for name in FLOORS if re.match(re.escape(name) + r"\b", result["name"])), None)
        if key is None:
            continue
        checked.add(key)
        share, floor = result["share"], FLOORS[key]
        assert share >= floor if result["is_bots"] else share <= floor, result["name"]
    assert checked == FLOORS.keys()


@given(st.lists(st.sampled_from([*HEADER_PARTS, "1.1", "x", " ", "Chrome/1.2.3.4"]), max_size=60).map("".join))
def test_what_no_bot_is_told_by_is_taken_out_as_python_would(text):
    """The engine finds one part at a time: together they are what one substitution takes out."""
    pattern = re.compile("|".join((*bots._APPS, *bots._COMPONENTS, *exclusions.data)), re.IGNORECASE)
    assert bots._without_exclusions(text) == pattern.sub(" ", text, count=bots._MAX_EXCLUSIONS)


def test_exclusions_look_at_nothing_around_them():
    """Else the place where one was found couldn't be told from its text alone."""
    patterns = "".join((*bots._APPS, *bots._COMPONENTS, *exclusions.data))
    assert not re.search(r"\\[bBAzZ]|\(\?[=!<]|[$]|(?<!\[)\^", patterns)
