# ruff: noqa: E501 - real headers stay on a line

import pytest

from centtrack.capture.capture import Excluded

POLICY = '[limits.default]\nbrowser = "{}"\n[bots]\nrecord = "{}"\n'
CHROME = (
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
GPTBOT = b"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)"


def bot_of(event_of, user_agent, *, browser="family", record="label"):
    headers = [] if user_agent is None else [(b"user-agent", user_agent)]
    return event_of(POLICY.format(browser, record), headers=headers)


@pytest.mark.parametrize(
    ("user_agent", "reason", "name"),
    [
        (b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "known_spider", "Googlebot"),
        (GPTBOT, None, "GPTBot"),
        (b"Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)", None, "YandexBot"),
        (b"Mozilla/5.0 (compatible; ClaudeBot/1.0; +claudebot@anthropic.com)", None, "ClaudeBot"),
        (b"python-requests/2.32", None, "python-requests"),
        (b"curl/8.5.0", None, "curl"),
        (b"Mozilla/5.0 (X11) AppleWebKit/537.36 HeadlessChrome/126.0 Safari/537.36", None, "HeadlessChrome"),
        (None, "no_user_agent", None),
        (b"", "no_user_agent", None),
    ],
)
def test_bots(event_of, user_agent, reason, name):
    event = bot_of(event_of, user_agent)
    assert event.bot is True
    assert event.bot_name == name
    assert event.bot_reason == reason if reason else event.bot_reason


@pytest.mark.parametrize(
    "user_agent",
    [
        CHROME,
        b"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148 Safari/604.1",
        b"Mozilla/5.0 (Linux; Android 13; CUBOT X30) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36",
        b"Mozilla/5.0 (Linux; arm_64; Android 13) AppleWebKit/537.36 Chrome/124.0 YaBrowser/24.6 YandexSearch/24.6 Mobile Safari/537.36",
    ],
    ids=["Chrome", "iPhone", "a phone named CUBOT", "Yandex' app"],
)
def test_browsers_of_people(event_of, user_agent):
    event = bot_of(event_of, user_agent)
    assert (event.bot, event.bot_reason, event.bot_name) == (False, None, None)


def test_keep_says_nothing_of_bots(event_of):
    event = bot_of(event_of, GPTBOT, record="keep")
    assert (event.bot, event.bot_reason, event.bot_name) == (None, None, None)


def test_drop_counts_and_drops(event_of):
    assert bot_of(event_of, GPTBOT, record="drop") == Excluded("bot")
    assert bot_of(event_of, CHROME, record="drop").bot is False


@pytest.mark.parametrize("browser", ["none", "device"])
def test_the_name_is_as_fine_as_a_family(event_of, browser):
    event = bot_of(event_of, GPTBOT, browser=browser)
    assert (event.bot, event.bot_name) == (True, None)
