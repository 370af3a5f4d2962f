# ruff: noqa: E501 - real headers stay on a line

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.capture.browser import BrowserFields, read_agent, reduce_browser
from centtrack.policy.levels import Browser

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.127 Safari/537.36"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
IPAD = "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1"
YANDEX = (
    "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 YaBrowser/24.6.0 Safari/537.36"
)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.mark.parametrize(
    ("text", "family", "os", "device"),
    [
        (CHROME, "Chrome", "Windows", "desktop"),
        (SAFARI, "Mobile Safari", "iOS", "mobile"),
        (IPAD, "Mobile Safari", "iOS", "tablet"),
        (YANDEX, "Yandex Browser", "Windows", "desktop"),
        (GOOGLEBOT, "Googlebot", "Other", "bot"),
        ("", "Other", "Other", "other"),
        ("something else", "Other", "Other", "other"),
    ],
)
def test_families_and_class(text, family, os, device):
    agent = read_agent(text)
    assert (agent.browser, agent.os, agent.device_class) == (family, os, device)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (Browser.NONE, BrowserFields()),
        (Browser.DEVICE, BrowserFields(device_class="mobile")),
        (Browser.FAMILY, BrowserFields("Mobile Safari", None, "WebKit", "iOS", None, "mobile")),
        (Browser.MAJOR, BrowserFields("Mobile Safari", "17", "WebKit", "iOS", "17", "mobile")),
        (Browser.FULL, BrowserFields("Mobile Safari", "17.5", "WebKit", "iOS", "17.5.1", "mobile")),
    ],
)
def test_columns_follow_the_level(level, expected):
    assert reduce_browser(read_agent(SAFARI), level) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Mozilla/5.0 (X11; Linux x86_64; rv:1.0) Gecko/20100101 Firefox/87011234.1.2",
        "Mozilla/5.0 (X11; Linux x86_64; rv:1.0) Gecko/20100101 Firefox/99999.5",
    ],
)
def test_a_major_version_that_is_none_is_not_replaced_by_the_minor(text):
    assert reduce_browser(read_agent(text), Browser.MAJOR).browser_version is None


@pytest.mark.parametrize(
    "text",
    [
        "IvanPetrovBot/1.0 (+http://x)",
        "IvanPetrov/900101300017 CFNetwork/1 Darwin/20",
        "Mozilla/5.0 (IvanPetrov 900101300017) IvanPetrovBrowser/3",
        "Mozilla/5.0 (Linux; Android 13; IvanPetrov Build/X) Chrome/126.0 Mobile",
        "Mozilla/5.0 (X11; IvanPetrov Linux 900101300017) Firefox/126.0",
        "Opera/9.80 (IvanPetrov) IvanPetrov/900101300017",
        "IvanPetrovCrawler 900101300017",
        "Spotify/900101300017 IvanPetrov/1",
        "Mozilla/5.0 (compatible; IvanPetrov-Spider/900101300017)",
        "Windows IvanPetrov 900101300017",
        "Mozilla/5.0 (SMART-TV; IvanPetrov) 900101300017 IvanPetrov TV/1",
    ],
)
def test_nothing_is_copied_from_the_header_but_numbers_of_versions(text, event_of):
    event = event_of('[limits.default]\nbrowser = "full"\n', headers=[(b"user-agent", text.encode())])
    assert "ivanpetrov" not in repr(event).lower()
    assert "900101300017" not in repr(event)


@given(st.text(alphabet=st.characters(codec="latin-1"), max_size=512))
def test_levels_are_nested(text):
    coarse_to_fine = [reduce_browser(read_agent(text), level) for level in Browser]
    for coarse, fine in pairwise(coarse_to_fine):
        for less, more in zip(coarse, fine, strict=True):
            assert less is None or less == more or f"{more}.".startswith(f"{less}.")


def test_the_header_is_cut_at_512_bytes(event_of):
    policy = '[limits.default]\nbrowser = "family"\n'
    assert event_of(policy, headers=[(b"user-agent", b" " * 512 + CHROME.encode())]).browser == "Other"
    assert event_of(policy, headers=[(b"user-agent", CHROME.encode().ljust(9_000))]).browser == "Chrome"


@pytest.mark.parametrize(
    ("text", "engine"),
    [
        (CHROME, "Blink"),
        (YANDEX, "Blink"),
        (CHROME.replace("126.0", "27.0"), "WebKit"),
        (SAFARI, "WebKit"),
        # On iOS they all are.
        (SAFARI.replace("Version/17.5", "CriOS/126.0.6478.54"), "WebKit"),
        (SAFARI.replace("Version/17.5", "FxiOS/127.0"), "WebKit"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0", "Gecko"),
        ("Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", "Trident"),
        ("Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1)", "Trident"),
        ("Mozilla/5.0 (Mobile; Windows Phone 8.1; Android 4.0; Trident/7.0; rv:11.0; IEMobile/11.0) like iPhone OS 7_0_3 Mac OS X AppleWebKit/537 (KHTML, like Gecko) Mobile Safari/537", "Trident"),
        ("Opera/9.80 (Windows NT 6.1) Presto/2.12.388 Version/12.18", "Presto"),
        ("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; en) Opera 8.50", "Presto"),
        ("Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/29.3709; U; en) Presto/2.8.119 Version/11.10", "Presto"),
        (CHROME + " OPR/112.0.0.0", "Blink"),
        # Engines that the column has no name for.
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/70.0.3538.102 Safari/537.36 Edge/18.19582", None),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:102.0) Gecko/20100101 Goanna/6.7 Firefox/102.0 PaleMoon/33.2.1", None),
        (GOOGLEBOT, None),
        ("something else", None),
    ],
)  # fmt: skip
def test_engine(text, engine):
    assert reduce_browser(read_agent(text), Browser.FAMILY).browser_engine == engine
    assert reduce_browser(read_agent(text), Browser.DEVICE).browser_engine is None
