"""Cookies of other banners.

Values of klaro, vanilla-cookieconsent and c15t were made by their own code; that of django-cookie-consent after its source,
those of OneTrust and Cookiebot after what is known of them.
"""

# ruff: noqa: E501 - a cookie's value stays on a line

import json
import re
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.consent.banners import MAX_VALUE, BannerReader
from centtrack.policy import PrivacyPolicy
from centtrack.policy.model import Banner

KLARO = {"kind": "klaro", "categories": {"analytics": ["matomo"], "marketing": ["meta", "ads"]}}
VANILLA = {"kind": "vanilla-cookieconsent"}
C15T = {"kind": "c15t"}
DJANGO = {
    "kind": "django-cookie-consent",
    "categories": {"preferences": ["optional"], "analytics": ["analytics"], "marketing": ["social"]},
}
ONETRUST = {"kind": "onetrust"}
COOKIEBOT = {"kind": "cookiebot"}
KINDS = {one["kind"]: one for one in (KLARO, VANILLA, C15T, DJANGO, ONETRUST, COOKIEBOT)}
COOKIES = {
    "klaro": "klaro",
    "vanilla-cookieconsent": "cc_cookie",
    "c15t": "c15t",
    "django-cookie-consent": "cookie_consent",
    "onetrust": "OptanonConsent",
    "cookiebot": "CookieConsent",
}


def read(settings, value, name=None):
    header = b"theme=dark; " + (name or COOKIES[settings["kind"]]).encode() + b"=" + value + b"; last=1"
    found = BannerReader(Banner.model_validate(settings)).read(header)
    return None if found is None else dict(found)


def decisions(preferences=None, analytics=None, marketing=None):
    named = {"preferences": preferences, "analytics": analytics, "marketing": marketing}
    return {category: decision for category, decision in named.items() if decision}


G, R = "granted", "refused"
VANILLA_ALL = b"%7B%22categories%22%3A%5B%22necessary%22%2C%22functionality%22%2C%22analytics%22%2C%22marketing%22%5D%2C%22revision%22%3A0%2C%22data%22%3Anull%2C%22consentTimestamp%22%3A%222026-11-22T21%3A48%3A07.157Z%22%2C%22consentId%22%3A%2237b2a1e6-2277-49d6-9f8b-4c14c732fe45%22%2C%22services%22%3A%7B%22necessary%22%3A%5B%5D%2C%22functionality%22%3A%5B%5D%2C%22analytics%22%3A%5B%5D%2C%22marketing%22%3A%5B%5D%7D%2C%22languageCode%22%3A%22en%22%2C%22lastConsentTimestamp%22%3A%222026-11-22T21%3A48%3A07.157Z%22%2C%22expirationTime%22%3A1811108887158%7D"
VANILLA_NONE = b"%7B%22categories%22%3A%5B%22necessary%22%5D%2C%22revision%22%3A0%2C%22data%22%3Anull%2C%22consentTimestamp%22%3A%222026-11-22T21%3A48%3A07.180Z%22%2C%22consentId%22%3A%22413dc00c-1bcb-48df-b273-f422c5d94501%22%2C%22services%22%3A%7B%22necessary%22%3A%5B%5D%7D%2C%22languageCode%22%3A%22en%22%2C%22lastConsentTimestamp%22%3A%222026-11-22T21%3A48%3A07.180Z%22%2C%22expirationTime%22%3A1811108887180%7D"
VANILLA_REVISION_2 = b"%7B%22categories%22%3A%5B%22analytics%22%2C%22marketing%22%2C%22necessary%22%5D%2C%22revision%22%3A2%2C%22data%22%3Anull%7D"
ONETRUST_HEAD = b"isGpcEnabled=0&datestamp=Fri+Nov+10+2023+10%3A37%3A24+GMT%2B0100+(Central+European+Standard+Time)&version=202308.2.0&browserGpcFlag=0&isIABGlobal=false&hosts=&consentId=292b890a-9414-4247-929d-22844d6842cb&"


@pytest.mark.parametrize(
    ("settings", "value", "expected"),
    [
        # klaro: the site's services, some to a category.
        (KLARO, b"%7B%22matomo%22%3Atrue%2C%22meta%22%3Atrue%2C%22ads%22%3Atrue%7D", decisions(None, G, G)),
        (KLARO, b"%7B%22matomo%22%3Atrue%2C%22meta%22%3Atrue%2C%22ads%22%3Afalse%7D", decisions(None, G, R)),
        (KLARO, b"%7B%22matomo%22%3Afalse%2C%22meta%22%3Atrue%7D", decisions(None, R, None)),  # ads came later
        (KLARO, b"%7B%22ads%20%5C%22x%5C%22%2C%20y%22%3Afalse%2C%22%D0%BA%D0%BA%22%3Afalse%7D", {}),
        ({**KLARO, "categories": {"analytics": ["\u043a\u043a"]}}, b"%7B%22%D0%BA%D0%BA%22%3Atrue%7D", decisions(None, G)),
        # vanilla-cookieconsent: what was accepted; the rest was refused.
        (VANILLA, VANILLA_ALL, decisions(G, G, G)),
        (VANILLA, VANILLA_NONE, decisions(R, R, R)),
        (VANILLA, VANILLA_REVISION_2, decisions(R, G, G)),
        ({**VANILLA, "revision": 2}, VANILLA_REVISION_2, decisions(R, G, G)),
        ({**VANILLA, "revision": 0}, VANILLA_ALL, decisions(G, G, G)),
        ({**VANILLA, "categories": {"analytics": ["analytics", "functionality"]}}, VANILLA_ALL, decisions(None, G)),
        # c15t: what was refused is left out; older versions write 0.
        (C15T, b"c.necessary:1,c.functionality:1,c.measurement:1,c.experience:1,c.marketing:1,i.t:1795000000000,i.sid:sub_2abc,i.y:custom", decisions(G, G, G)),
        (C15T, b"c.necessary:1,c.measurement:1,i.t:1795000000000,i.sid:sub_2abc,i.y:custom", decisions(R, G, R)),
        (C15T, b"c.necessary:1,i.t:1795000000000,i.sid:sub_2abc,i.y:custom", decisions(R, R, R)),
        (C15T, b"c.necessary:1,c.functionality:1,c.measurement:0,c.experience:0,c.marketing:1", decisions(R, R, G)),
        # django-cookie-consent: in quotes, a time for what was accepted.
        (DJANGO, b'"optional=-1|analytics=2013-05-13T17:02:41.123456+00:00|social=2013-05-13T17:02:41+00:00"', decisions(R, G, G)),
        (DJANGO, b'"optional=-1|social=2013-06-04T03:17:01.421395"', decisions(R, None, G)),
        (DJANGO, b'"analytics=-1|optional="', decisions(None, R)),
        (DJANGO, b"optional=-1", decisions(R)),
        # OneTrust.
        (ONETRUST, ONETRUST_HEAD + b"interactionCount=1&landingPath=NotLandingPage&groups=C0001%3A1%2CC0002%3A0%2CC0004%3A1&geolocation=ES%3BCT&AwaitingReconsent=false", decisions(None, R, G)),
        (ONETRUST, ONETRUST_HEAD + b"interactionCount=2&landingPath=NotLandingPage&groups=C0001%3A1%2CC0003%3A1%2CC0004%3A1%2CC0002%3A1%2CC0007%3A1%2CBG113%3A1&iType=", decisions(G, G, G)),
        (ONETRUST, b"groups=C0001:1,C0002:0", decisions(None, R)),
        ({**ONETRUST, "categories": {"analytics": ["2"]}}, b"groups=1%3A1%2C2%3A1%2C3%3A0", decisions(None, G)),
        # OneTrust sets it with the defaults before anybody answered.
        (ONETRUST, ONETRUST_HEAD + b"interactionCount=0&landingPath=NotLandingPage&groups=C0001%3A1%2CC0002%3A1", {}),
        (ONETRUST, ONETRUST_HEAD + b"interactionCount=1&landingPath=https%3A%2F%2Fshop.example%2F&groups=C0001%3A1%2CC0002%3A1", {}),
        (ONETRUST, ONETRUST_HEAD + b"landingPath=NotLandingPage&groups=C0001%3A1%2CC0002%3A1&AwaitingReconsent=true", {}),
        # Cookiebot.
        (COOKIEBOT, b"{stamp:%27PuSKzMgziAFdTLa5FzFSr4vbvlQnA4IdhLZfeZ+9fBM/j32CWy3XGA==%27%2Cnecessary:true%2Cpreferences:false%2Cstatistics:true%2Cmarketing:false%2Cmethod:%27explicit%27%2Cver:1%2Cutc:1738313789122%2Cregion:%27kz%27}", decisions(R, G, R)),
        (COOKIEBOT, b"{stamp:%27JwOvnkVYwkSVa4ou3z==%27%2Cnecessary:true%2Cpreferences:true%2Cstatistics:true%2Cmarketing:true%2Cver:1%2Cutc:1651113440384}", decisions(G, G, G)),
        (COOKIEBOT, b"{stamp:'x',necessary:true,statistics:true}", decisions(None, G)),
        (COOKIEBOT, b"0", decisions(R, R, R)),
        (COOKIEBOT, b"-1", {}),  # outside the regions where this banner asks
        (COOKIEBOT, b"{stamp:%27-1%27%2Cnecessary:true%2Cpreferences:true%2Cstatistics:true%2Cmarketing:true%2Cmethod:%27implied%27%2Cver:1%2Cutc:1718496000000%2Cregion:%27fi%27}", {}),
    ],
)  # fmt: skip
def test_what_a_banner_says(settings, value, expected):
    assert read(settings, value) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_cookie_it_says_nothing(kind):
    reader = BannerReader(Banner.model_validate(KINDS[kind]))
    name = COOKIES[kind].encode()
    for header in (b"", b"theme=dark", b"x" + name + b"=1", name + b"x=1", name.swapcase() + b"=1", name):
        assert reader.read(header) is None


GRANTS = {
    "klaro": b"%7B%22matomo%22%3Atrue%7D",
    "vanilla-cookieconsent": VANILLA_ALL,
    "c15t": b"c.necessary:1,c.measurement:1",
    "django-cookie-consent": b'"analytics=2013-05-13T17:02:41+00:00"',
    "onetrust": b"groups=C0001%3A1%2CC0002%3A1",
    "cookiebot": b"{stamp:%27x%27%2Cnecessary:true%2Cstatistics:true}",
}


@pytest.mark.parametrize(("kind", "value"), GRANTS.items())
def test_its_cookie_may_have_another_name(kind, value):
    settings = {**KINDS[kind], "cookie": "our_consent"}
    assert read(settings, value, "our_consent")["analytics"] == G
    assert read(settings, value) is None


@pytest.mark.parametrize(("kind", "value"), GRANTS.items())
def test_what_is_there_twice_or_too_long_cannot_be_read(kind, value):
    settings, name = KINDS[kind], COOKIES[kind].encode()
    assert read(settings, value)["analytics"] == G
    assert read(settings, value + b"; " + name + b"=" + value) == {}
    assert read(settings, value + b"; " + name + b"=") == {}
    assert read(settings, value + b" " * MAX_VALUE + b"x") == {}


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        (KLARO, b"%7B%22matomo%22%3A1%7D"),
        (KLARO, b"%7B%22matomo%22%3A%22true%22%7D"),
        (KLARO, b"%7B%22matomo%22%3Atrue%2C%22x%22%3Anull%7D"),
        (KLARO, b"%7B%22matomo%22%3Atrue%2C%22matomo%22%3Atrue%7D"),
        (KLARO, b"%257B%2522matomo%2522%253Atrue%257D"),  # encoded twice
        (KLARO, b"%7B%22matomo%22%3Atrue%7D%"),
        (KLARO, b"%7B%22matomo%22%3Atrue%7D%zz"),
        (KLARO, b"%7B%22matomo%22%3Atrue%2C%22x%zz%22%3Atrue%7D"),
        (KLARO, b"%7B%22matomo%22%3Atrue" + b"%20" * 1_400 + b"%7D"),
        (KLARO, b"%7B%22matomo%22%3Atrue%2C%22%FF%22%3Atrue%7D"),
        (KLARO, b"%5B%22matomo%22%5D"),
        (KLARO, b'"%7B%22matomo%22%3Atrue%7D"'),
        (KLARO, b"true"),
        (KLARO, b"[" * 4_000),
        (KLARO, b'{"matomo":' * 400),
        (VANILLA, quote('{"categories":"analytics"}').encode()),
        (VANILLA, quote('{"categories":{"analytics":true}}').encode()),
        (VANILLA, quote('{"categories":["analytics",1]}').encode()),
        (VANILLA, quote('{"categories":["analytics"],"categories":["analytics"]}').encode()),
        (VANILLA, b"%7B%22data%22%3A%7B%22a%22%3A1%7D%2C%22expirationTime%22%3A1811108887230%7D"),  # not answered yet
        (VANILLA, quote('["analytics"]').encode()),
        ({**VANILLA, "revision": 1}, VANILLA_ALL),
        ({**VANILLA, "revision": 1}, VANILLA_REVISION_2),
        ({**VANILLA, "revision": 1}, quote('{"categories":["analytics"]}').encode()),
        ({**VANILLA, "revision": 1}, quote('{"categories":["analytics"],"revision":true}').encode()),
        ({**VANILLA, "revision": 1}, quote('{"categories":["analytics"],"revision":"1"}').encode()),
        (C15T, b"measurement:1"),
        (C15T, b"c.measurement:true"),
        (C15T, b"c.measurement:1,c.measurement:1"),
        (C15T, b"c.measurement"),
        (C15T, b"c.measurement:1,i.eid:" + b"x" * MAX_VALUE),
        (C15T, b"c.measurement%3A1"),
        (C15T, b"i.t:1795000000000"),
        (DJANGO, b"analytics"),
        (DJANGO, b"analytics=1"),
        (DJANGO, b"analytics=true|social=-1"),
        (DJANGO, b"analytics=2013-05-13"),
        (DJANGO, "analytics=٢٠١٣-05-13T17:02:41".encode()),
        (DJANGO, b"analytics=2013-05-13T17:02:41|analytics=2013-05-13T17:02:41"),
        (DJANGO, b'analytics=2013-05-13T17:02:41"'),
        (ONETRUST, b"groups="),
        (ONETRUST, b"groups=C0002"),
        (ONETRUST, b"groups=C0002%3A2"),
        (ONETRUST, b"groups=C0002%253A1"),
        (ONETRUST, b"groups=C0002%3A1%2CC0002%3A1"),
        (ONETRUST, b"groups=C0002%3A1&groups=C0002%3A1"),
        (ONETRUST, b"group=C0002%3A1"),
        (COOKIEBOT, b"statistics:true"),
        (COOKIEBOT, b"{statistics:true"),
        (COOKIEBOT, b"{statistics:true}}"),
        (COOKIEBOT, b"{statistics:True}"),
        (COOKIEBOT, b"{statistics:1}"),
        (COOKIEBOT, b"{statistics:true,statistics:true}"),
        (COOKIEBOT, b"{stamp:',statistics:true,'}"),
        (COOKIEBOT, b'{"statistics":true}'),
        (COOKIEBOT, b"{statistics:true,x:{}}"),
        (COOKIEBOT, b"true"),
        *((settings, value) for settings in KINDS.values() for value in (b"", b"\xff\xfe", b"%FF", b"{}", b"null")),
    ],
)  # fmt: skip
def test_what_cannot_be_read_decides_nothing(settings, value):
    assert read(settings, value) == {}


# What a grant of analytics has to look like, by another road than the readers take.
GRANT_OF_ANALYTICS = {
    "klaro": r'"matomo"\s*:\s*true',
    "vanilla-cookieconsent": r'"categories"\s*:\s*\[[^]]*"analytics"',
    "c15t": r"(^|,)c\.(measurement):1(,|$)",
    "django-cookie-consent": r'(^"?|\|)analytics=\d{4}-\d\d-\d\dT',
    "onetrust": r"(^|&)groups=([^&]*,)?C0002:1",
    "cookiebot": r"[{,]statistics:true[,}]",
}
PIECES = st.sampled_from(
    [
        *"{}[]\"':,;=&|%01",
        *("%22", "%7B", "%7D", "%3A", "%2C", "%25", "-1", "true", "false", "null", "2013-05-13T17:02:41"),
        *("matomo", "analytics", "necessary", "categories", "revision", "measurement", "C0002", "groups", "statistics"),
        *('"matomo":true', '{"matomo":true}', '"categories":["analytics"]', '{"categories":["analytics"]}'),
        *("c.measurement:1", "analytics=2013-05-13T17:02:41", "groups=C0002:1", "groups=C0002%3A1"),
        *("statistics:true", "{statistics:true}", "interactionCount=0", "method:'implied'"),
    ]
)
VALUES = st.lists(PIECES, max_size=6).map("".join).map(str.encode) | st.binary(max_size=80)


@pytest.mark.parametrize("kind", KINDS)
@given(value=VALUES)
def test_whatever_comes_nothing_is_granted_but_by_the_banners_own_words(kind, value):
    found = read(KINDS[kind], value)
    assert set(found.values()) <= {G, R}
    if found.get("analytics") == G:
        value = value.partition(b";")[0].decode()
        assert re.search(GRANT_OF_ANALYTICS[kind], unquote(value))


@pytest.mark.parametrize("kind", KINDS)
@given(header=st.binary(max_size=200), value=VALUES, copies=st.integers(0, 3))
def test_whatever_the_header_it_never_raises(kind, header, value, copies):
    pair = COOKIES[kind].encode() + b"=" + value
    BannerReader(Banner.model_validate(KINDS[kind])).read(b";".join([header, *[pair] * copies, header]))


@given(st.dictionaries(st.text(max_size=8), st.booleans(), max_size=8))
def test_all_that_klaro_can_write_is_read(services):
    settings = {**KLARO, "categories": {"analytics": [*services] or ["x"]}}
    value = quote(json.dumps(services, ensure_ascii=False), safe="!~*'()").encode()
    expected = {} if not services else {"analytics": G if all(services.values()) else R}
    assert read(settings, value) == expected


@given(st.lists(st.sampled_from(["necessary", "functionality", "analytics", "marketing"]), unique=True))
def test_all_that_vanilla_can_write_is_read(accepted):
    value = quote(json.dumps({"categories": accepted, "revision": 0})).encode()
    names = {"preferences": "functionality", "analytics": "analytics", "marketing": "marketing"}
    assert read(VANILLA, value) == {category: G if name in accepted else R for category, name in names.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_names_it(kind):
    table = "".join(
        f"{category} = {json.dumps(names)}\n" for category, names in KINDS[kind].get("categories", {}).items()
    )
    text = f'[consent.banner]\nkind = "{kind}"\n' + (f"[consent.banner.categories]\n{table}" if table else "")
    assert PrivacyPolicy.parse(text).document.consent.banner.kind == kind
