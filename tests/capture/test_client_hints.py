# ruff: noqa: E501 - real headers stay on a line

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.capture.browser import read_agent, reduce_browser
from centtrack.capture.client_hints import HIGH_ENTROPY, apply_hints, read_hint_lines, read_hints
from centtrack.policy.levels import Browser

POLICY = '[limits.default]\nbrowser = "{}"\n[bots]\nrecord = "label"\n'
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
WINDOWS = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/138.0.0.0 Safari/537.36"
MAC = f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Chrome/138.0.0.0 Safari/537.36"
LINUX = f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/138.0.0.0 Safari/537.36"
PHONE = f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/138.0.0.0 Mobile Safari/537.36"
TABLET = f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/138.0.0.0 Safari/537.36"
SAMSUNG = (
    f"Mozilla/5.0 (Linux; Android 14; SM-S921B) {WEBKIT} SamsungBrowser/27.0 Chrome/138.0.0.0 Mobile Safari/537.36"
)
FACEBOOK = f"Mozilla/5.0 (Linux; Android 14; SM-S921B; wv) {WEBKIT} Version/4.0 Chrome/138.0.7204.63 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/520.0.0.48.96;]"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
BRANDS = '"Not)A;Brand";v="8", "Chromium";v="138", "{}";v="{}"'
CHROME = BRANDS.format("Google Chrome", "138")


def fields(agent, brands, level=Browser.FULL, **hints):
    names = {
        "mobile": b"sec-ch-ua-mobile",
        "platform": b"sec-ch-ua-platform",
        "full": b"sec-ch-ua-full-version-list",
        "platform_version": b"sec-ch-ua-platform-version",
    }
    headers = {b"sec-ch-ua": brands.encode()} | {names[name]: value.encode() for name, value in hints.items()}
    return reduce_browser(apply_hints(read_agent(agent), read_hints(read_hint_lines(headers))), level)


def of(text):
    """What the header alone says."""
    return reduce_browser(read_agent(text), Browser.FULL)


@pytest.mark.parametrize(
    ("agent", "brand", "mobile", "family", "version"),
    [
        (WINDOWS, ("Google Chrome", "138"), "?0", "Chrome", "138"),
        (PHONE, ("Google Chrome", "138"), "?1", "Chrome Mobile", "138"),
        (TABLET, ("Google Chrome", "138"), "?0", "Chrome", "138"),
        (WINDOWS + " Edg/138.0.0.0", ("Microsoft Edge", "138"), "?0", "Edge", "138"),
        (PHONE + " EdgA/138.0.0.0", ("Microsoft Edge", "138"), "?1", "Edge Mobile", "138"),
        (WINDOWS + " OPR/122.0.0.0", ("Opera", "122"), "?0", "Opera", "122"),
        (PHONE + " OPR/90.0.0.0", ("Opera", "90"), "?1", "Opera Mobile", "90"),
        (SAMSUNG, ("Samsung Internet", "27.0"), "?1", "Samsung Internet", "27.0"),
        (WINDOWS, ("YaBrowser", "25.6"), "?0", "Yandex Browser", "25.6"),
        (WINDOWS, ("Brave", "138"), "?0", "Brave", "138"),
        (WINDOWS, ("Vivaldi", "7.5"), "?0", "Vivaldi", "7.5"),
        (PHONE, ("DuckDuckGo", "138"), "?1", "DuckDuckGo Mobile", "138"),
        (PHONE, ("Android WebView", "138"), "?1", "Chrome Mobile WebView", "138"),
        # An app says who it is in its header only.
        (FACEBOOK, ("Android WebView", "138"), "?1", "Facebook", "520.0.0"),
        # A brand that isn't known, and an older one of Chromium's made-up brands.
        (WINDOWS, ("Secure Browser of Ivan Petrov", "7"), "?0", "Chrome", "138.0.0"),
        (WINDOWS, (" Not A;Brand", "99"), "?0", "Chromium", "138"),
    ],
)
def test_the_brand_decides_where_the_header_says_chrome(agent, brand, mobile, family, version):
    found = fields(agent, BRANDS.format(*brand), mobile=mobile)
    assert (found.browser, found.browser_version, found.browser_engine) == (family, version, "Blink")


@pytest.mark.parametrize(
    ("token", "brand"),
    [
        ("Edg/138.0.0.0", "Microsoft Edge"),
        ("OPR/122.0.0.0", "Opera"),
        ("YaBrowser/25.6.0.0", "YaBrowser"),
        ("Vivaldi/7.5", "Vivaldi"),
        ("Whale/4.33.325.17", "Whale"),
    ],
)
def test_a_browser_has_one_name_with_and_without_hints(token, brand):
    assert of(f"{WINDOWS} {token}").browser == fields(WINDOWS, BRANDS.format(brand, "1")).browser


@pytest.mark.parametrize(
    ("agent", "platform", "sent", "os", "version"),
    [
        (WINDOWS, "Windows", "0.1.0", "Windows", "7"),
        (WINDOWS, "Windows", "0.3.0", "Windows", "8.1"),
        (WINDOWS, "Windows", "1.0.0", "Windows", "10"),
        (WINDOWS, "Windows", "10.0.0", "Windows", "10"),
        (WINDOWS, "Windows", "11.0.0", "Windows", None),  # there was no such version
        (WINDOWS, "Windows", "13.0.0", "Windows", "11"),
        (WINDOWS, "Windows", "19.0.0", "Windows", "11"),
        (MAC, "macOS", "26.0.1", "Mac OS X", "26.0.1"),
        (MAC, "macOS", "15.5.0", "Mac OS X", "15.5"),
        (PHONE, "Android", "16.0.0", "Android", "16"),
        (LINUX, "Linux", "6.8.0", "Linux", None),  # a kernel's version
        # Not asked for, or not understood: the header's are constants.
        (WINDOWS, "Windows", None, "Windows", None),
        (MAC, "macOS", None, "Mac OS X", None),
        (PHONE, "Android", None, "Android", None),
        (PHONE, "Android", "sixteen", "Android", None),
        # Not a constant.
        (SAMSUNG, "Android", None, "Android", "14"),
        # The header says one system, the hint another: the header's is frozen.
        (MAC, "Linux", None, "Linux", None),
        (WINDOWS, "Chrome OS", "16002.44.0", "Chrome OS", None),
        (WINDOWS, "Plan 9 of Ivan Petrov", "4.0.0", "Windows", None),
    ],
)
def test_the_system_version_is_the_hint_s(agent, platform, sent, os, version):
    hints = {"platform": f'"{platform}"'} | ({"platform_version": f'"{sent}"'} if sent else {})
    found = fields(agent, CHROME, **hints)
    assert (found.os, found.os_version) == (os, version)


def test_the_full_version_list_is_finer():
    full = '"Not)A;Brand";v="8.0.0.0", "Chromium";v="138.0.7204.101", "Google Chrome";v="138.0.7204.101"'
    assert fields(WINDOWS, CHROME, full=full).browser_version == "138.0.7204"
    assert fields(WINDOWS, CHROME, Browser.MAJOR, full=full).browser_version == "138"
    assert fields(WINDOWS, CHROME, full=full.replace("138", "139")).browser_version == "138"  # contradicts


@pytest.mark.parametrize(
    ("agent", "mobile", "platform", "device"),
    [
        (PHONE, "?1", "Android", "mobile"),
        (TABLET, "?0", "Android", "tablet"),
        (WINDOWS, "?0", "Windows", "desktop"),
        (WINDOWS, "?1", "Windows", "desktop"),  # no phone runs it
        (LINUX, "?1", "Android", "mobile"),  # a phone that asks for the desktop's page
        (PHONE, "yes", "Android", "mobile"),
    ],
)
def test_device_class(agent, mobile, platform, device):
    hints = {"mobile": mobile, "platform": f'"{platform}"'}
    assert fields(agent, CHROME, Browser.DEVICE, **hints).device_class == device


@pytest.mark.parametrize(
    ("agent", "brands"),
    [
        (FIREFOX, CHROME),  # has no hints
        (WINDOWS, CHROME.replace("138", "137")),  # another version than the header's
        (WINDOWS, '"Google Chrome";v="138"'),  # made from Chromium without naming it
        (WINDOWS, '"Chromium";v="138", "Google Chrome"'),  # no version
        (WINDOWS, '"Chromium";v=138'),  # a number, not a string
        (WINDOWS, "Chromium;v=138"),
        (WINDOWS, '"Chromium";v="138", "Google Chrome;v="138"'),
        (WINDOWS, '("Chromium");v="138"'),
        (WINDOWS, '"Chromium";v="onehundred"'),
        (WINDOWS, ""),
        (WINDOWS, ", ".join([CHROME] * 5)),  # longer than 256 bytes
    ],
)
def test_hints_that_are_malformed_or_contradict_the_header_count_as_not_sent(agent, brands):
    hints = {"mobile": "?1", "platform": '"Android"', "platform_version": '"16.0.0"'}
    assert fields(agent, brands, **hints) == of(agent)


def test_through_the_whole_way(event_of):
    headers = [
        (b"host", b"shop.example"),
        (b"user-agent", PHONE.encode()),
        (b"sec-ch-ua", BRANDS.format("Microsoft Edge", "138").encode()),
        (b"sec-ch-ua-mobile", b"?1"),
        (b"sec-ch-ua-platform", b'"Android"'),
        (b"sec-ch-ua-platform-version", b'"16.0.0"'),
        (b"sec-ch-ua-model", b'"Phone of Ivan Petrov"'),
    ]
    unasked = event_of(POLICY.format("full"), headers=headers)
    assert (unasked.browser, unasked.browser_version, unasked.os_version) == ("Edge Mobile", "138", None)
    asked = '\n[browser]\naccept_ch = ["Sec-CH-UA-Platform-Version"]'
    event = event_of(POLICY.format("full") + asked, headers=headers)
    assert (event.browser, event.browser_version, event.os, event.os_version) == ("Edge Mobile", "138", "Android", "16")
    assert (event.device_class, event.browser_engine, event.bot) == ("mobile", "Blink", False)
    assert "Ivan" not in repr(event)
    event = event_of(POLICY.format("device"), headers=headers)
    assert (event.browser, event.os, event.device_class, event.browser_engine) == (None, None, "mobile", None)


def test_no_user_agent_is_not_made_up_for(event_of):
    headers = [(b"host", b"shop.example"), (b"sec-ch-ua", CHROME.encode())]
    event = event_of(POLICY.format("full"), headers=headers)
    assert (event.browser, event.bot_reason) == (None, "no_user_agent")


def test_the_hints_to_ask_for_are_those_that_are_read():
    names = [name.lower().encode() for name in HIGH_ENTROPY]
    headers = dict.fromkeys([b"sec-ch-ua", *names], b"x")
    assert read_hint_lines(headers).count(b"x") == 3
    assert read_hint_lines({b"host": b"shop.example"}) == ()


LINE = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([CHROME.encode(), b"?0", b"?1", b'"Windows"', b'"Android"', b'"16.0.0"', b'"138.0.7204.101"']),
)


@given(st.sampled_from([WINDOWS, MAC, LINUX, PHONE, TABLET, SAMSUNG, FIREFOX]), st.tuples(*[LINE] * 6))
def test_levels_are_nested_and_nothing_is_copied_but_numbers(text, lines):
    agent = apply_hints(read_agent(text), read_hints(lines))
    coarse_to_fine = [reduce_browser(agent, level) for level in Browser]
    for coarse, fine in pairwise(coarse_to_fine):
        for less, more in zip(coarse, fine, strict=True):
            assert less is None or less == more or f"{more}.".startswith(f"{less}.")
    assert agent.browser in {read_agent(text).browser, "Chrome", "Chrome Mobile"}
    assert agent.os in {read_agent(text).os, "Windows", "Android"}
    assert all(part.isdigit() and len(part) <= 4 for part in agent.browser_version + agent.os_version)
