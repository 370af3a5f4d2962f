import pytest

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


@pytest.mark.parametrize(
    ("query", "referrer", "expected"),
    [
        (b"", b"", "direct"),
        (b"", b"https://google.com/", "search"),
        (b"", b"https://facebook.com/", "social"),
        (b"", b"https://partner.example/", "referral"),
        (b"", b"https://mail.google.com/", "email"),
        (b"", b"https://shop.example/a", "internal"),
        (b"gclid=x", b"https://google.com/", "paid"),
        (b"utm_medium=CPC", b"https://google.com/", "paid"),
        (b"fbclid=x", b"https://facebook.com/", "social"),  # every link of Facebook's has one
        (b"utm_medium=newsletter", b"", "email"),
        (b"utm_source=flyer", b"", "campaign"),
        (b"utm_source=flyer", b"https://partner.example/", "referral"),
        (b"utm_medium=no-such-medium", b"https://google.com/", "search"),
    ],
)
def test_channel(event_of, query, referrer, expected):
    headers = [(b"host", b"shop.example"), (b"referer", referrer)]
    assert event_of(POLICY.format("channel"), query=query, headers=headers).channel == expected


@pytest.mark.parametrize("key", ["gclid", "fbclid", "yclid", "msclkid", "wbraid"])
def test_of_a_click_identifier_only_the_fact_is_used(event_of, key):
    assert "Secret1" not in repr(event_of(POLICY.format("full"), query=f"{key}=Secret1&utm_source=a".encode()))


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
