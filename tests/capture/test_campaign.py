import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.capture.campaign import reduce_campaign
from centtrack.capture.click_ids import CLICK_IDS
from centtrack.policy.levels import Campaign

POLICY = '[limits.default]\ncampaign = "{}"\n'
TAGGED = b"utm_source=news&utm_medium=email&utm_campaign=may&utm_term=casco&utm_content=banner7"


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("none", (None, None, None, None, None, None)),
        ("channel", ("email", None, None, None, None, None)),
        ("source", ("email", "news", "email", None, None, None)),
        ("full", ("email", "news", "email", "may", "casco", "banner7")),
    ],
)
def test_columns_follow_the_level(event_of, level, expected):
    event = event_of(POLICY.format(level), query=TAGGED)
    found = (event.channel, event.utm_source, event.utm_medium, event.utm_campaign, event.utm_term, event.utm_content)
    assert found == expected


CHANNELS = [
    # the referrer alone
    (b"", b"", "direct"),
    (b"", b"https://google.com/", "search"),
    (b"", b"https://facebook.com/", "social"),
    (b"", b"https://partner.example/", "referral"),
    (b"", b"https://mail.google.com/", "email"),
    (b"", b"https://shop.example/a", "internal"),
    (b"", b"android-app://com.google.android.gm/", "email"),
    (b"", b"android-app://org.telegram.messenger/", "social"),
    (b"q=utm", b"https://google.com/", "search"),
    # AI assistants
    *(
        (b"", f"https://{host}/".encode(), "ai_assistant")
        for host in (
            "chatgpt.com", "chat.openai.com", "www.perplexity.ai", "claude.ai", "gemini.google.com",
            "copilot.microsoft.com", "www.bing.com/chat", "you.com", "chat.mistral.ai", "chat.deepseek.com", "grok.com",
            "www.meta.ai", "poe.com", "www.phind.com", "duck.ai", "giga.chat", "alice.yandex.ru", "chat.qwen.ai",
        )
    ),
    (b"utm_source=chatgpt.com", b"", "ai_assistant"),  # as ChatGPT tags its links
    (b"utm_source=chatgpt.com", b"https://chatgpt.com/", "ai_assistant"),
    (b"utm_source=perplexity", b"", "ai_assistant"),
    (b"utm_source=copilot.com", b"", "ai_assistant"),
    # spam, whatever it says of itself
    (b"", b"https://0n-line.tv/", "spam"),
    (b"utm_medium=cpc&gclid=x", b"https://0n-line.tv/", "spam"),
    # paid, by medium
    *(
        (b"utm_medium=" + medium, b"https://google.com/", "paid")
        for medium in (b"cpc", b"CPC", b"ppc", b"cpm", b"cpa", b"cpv", b"cpl", b"paid", b"paidsearch", b"paid_social",
                       b"paid-social", b"social-paid", b"social_cpc", b"retargeting", b"display", b"banner",
                       b"interstitial", b"expandable", b"%20cpc%20")
    ),
    (b"utm_medium=cpcake", b"https://google.com/", "search"),
    (b"utm_medium=unpaid", b"https://google.com/", "search"),
    # e-mail
    *((b"utm_medium=" + medium, b"", "email") for medium in (b"email", b"e-mail", b"E_mail", b"e+mail", b"newsletter")),
    (b"utm_source=newsletter", b"", "email"),
    (b"utm_medium=email&utm_source=facebook", b"https://google.com/", "email"),
    # social, search and referral, as a link says
    (b"utm_medium=social", b"", "social"),
    (b"utm_medium=social-network", b"https://partner.example/", "social"),
    (b"utm_medium=organic", b"", "search"),
    (b"utm_medium=referral", b"", "referral"),
    (b"utm_source=facebook", b"", "social"),
    (b"utm_source=ig&utm_medium=no-such-medium", b"", "social"),
    (b"utm_source=telegram", b"https://partner.example/", "social"),
    (b"utm_source=VK", b"", "social"),
    (b"utm_source=www.Instagram.com", b"", "social"),
    (b"utm_source=https%3A%2F%2Fwww.linkedin.com%2F", b"", "social"),
    (b"utm_source=google", b"", "search"),
    (b"utm_source=yandex.kz", b"", "search"),
    # tagged, but unknown
    (b"utm_source=flyer", b"", "campaign"),
    (b"utm_source=flyer", b"https://partner.example/", "referral"),
    (b"utm_source=partner.example", b"", "campaign"),
    (b"utm_campaign=may", b"", "campaign"),
    (b"utm_medium=no-such-medium", b"https://google.com/", "search"),
    (b"utm_source=&utm_medium=", b"", "direct"),
    (b"utm_source=a%00b.%ff", b"", "campaign"),
    # tags within the site are its own, but for ads and mails that lead there
    (b"utm_source=facebook", b"https://shop.example/a", "internal"),
    (b"utm_medium=social", b"https://shop.example/a", "internal"),
    (b"utm_medium=email", b"https://shop.example/a", "email"),
    (b"gclid=x", b"https://shop.example/a", "paid"),
    # click identifiers of search, social networks and e-mail tell where no referrer does
    (b"fbclid=x", b"", "social"),
    (b"fbclid=x", b"https://facebook.com/", "social"),  # every link of Facebook's has one
    (b"fbclid=x&utm_medium=paid", b"https://facebook.com/", "paid"),
    (b"fbclid=x", b"https://google.com/", "search"),
    (b"igshid=x", b"", "social"),
    (b"ysclid=x", b"", "search"),  # of Yandex's results, not of its ads
    (b"srsltid=x", b"https://google.com/", "search"),
    (b"mc_eid=x", b"", "email"),
    (b"_hsenc=x", b"https://partner.example/", "email"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "referrer", "expected"), CHANNELS)
def test_channel(event_of, query, referrer, expected):
    headers = [(b"host", b"shop.example"), (b"referer", referrer)]
    for level in ("channel", "source", "full"):
        assert event_of(POLICY.format(level), query=query, headers=headers).channel == expected


@pytest.mark.parametrize("key", [key for key, channel in CLICK_IDS.items() if channel == "paid"])
@pytest.mark.parametrize("referrer", [b"", b"https://google.com/", b"https://partner.example/"])
def test_a_click_identifier_of_an_ad_makes_a_visit_paid(event_of, key, referrer):
    event = event_of(POLICY.format("channel"), query=f"a=1&{key}=x".encode(), headers=[(b"referer", referrer)])
    assert event.channel == "paid"


@pytest.mark.parametrize("level", ["none", "class", "domain", "path"])
def test_the_channel_does_not_depend_on_the_limit_of_the_referrer(event_of, level):
    policy = f'[limits.default]\ncampaign = "channel"\nreferrer = "{level}"\n'
    assert event_of(policy, headers=[(b"referer", b"https://chatgpt.com/")]).channel == "ai_assistant"


@pytest.mark.parametrize("key", CLICK_IDS)
def test_of_a_click_identifier_only_the_fact_is_used(event_of, key):
    assert "Secret1" not in repr(event_of(POLICY.format("full"), query=f"{key}=Secret1&utm_source=a".encode()))


def test_kinds_of_what_was_scrubbed_go_along(capture_of, observation):
    def kinds(level):
        query = b"utm_source=ivan%40mail.example&utm_term=%2B77011234567&utm_content=4111111111111111"
        return capture_of(POLICY.format(level)).make(observation(query=query)).scrubbed

    assert kinds("full") == ("email", "phone", "card")
    assert kinds("source") == ("email",)
    assert kinds("channel") == ()


WORDS = [
    "utm_source",
    "utm_medium",
    "utm_term",
    "gclid",
    "fbclid",
    "mc_eid",
    "=",
    "&",
    "cpc",
    "email",
    "google",
    "%",
    "x",
]


@given(st.lists(st.sampled_from(WORDS)).map("".join), st.sampled_from(["none", "internal", "external", "spam", "ai"]))
def test_a_coarser_level_says_nothing_that_a_finer_one_does_not(query, kind):
    finest = reduce_campaign(query.encode(), kind, Campaign.FULL, scrub_uuids=True)
    assert finest.channel in {
        "direct", "search", "social", "referral", "email", "paid", "ai_assistant", "internal", "campaign", "spam"
    }  # fmt: skip
    for level in Campaign:
        found = reduce_campaign(query.encode(), kind, level, scrub_uuids=True)
        assert all(value in {None, of_finest} for value, of_finest in zip(found[:6], finest[:6], strict=True))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", None),
        ("ivan%40example.com", "[email]"),
        ("%2B7%20701%20123-45-67", "[phone]"),
        ("a&utm_source=b", "a"),  # the first of doubles
        ("a%00b", "a\ufffdb"),
        ("a%2500b", "a\ufffdb"),
        ("x" * 300, "x" * 128),
    ],
)
def test_values_are_scrubbed_cleaned_and_cut(event_of, value, expected):
    found = event_of(POLICY.format("source"), query=f"utm_source={value}".encode()).utm_source
    if value.startswith("xx"):
        assert len(found) <= 128
    else:
        assert found == expected


@pytest.mark.parametrize("visible", [9, 12, 19])
def test_the_cut_at_128_does_not_uncover_an_e_mail(event_of, visible):
    value = "a " * ((128 - visible) // 2) + "ivan.petrov@example.kz"
    found = event_of(POLICY.format("source"), query=b"utm_source=" + value.replace(" ", "%20").encode()).utm_source
    assert "ivan.pe" not in found
