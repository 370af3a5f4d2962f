import time

import pytest
from starlette.requests import Request

from centtrack.capture.capture import Capture
from centtrack.consent import Consent, State, consent_of
from centtrack.consent.state import CATEGORIES
from centtrack.consent.token import Choice, ConsentTokens
from centtrack.policy import PrivacyPolicy

ASKED = ["preferences", "analytics", "marketing"]
SECRET = b"s" * 32
TODAY = int(time.time() // 86_400)
RECEIPT = "0123456789abcdef0123456789abcdef"
LETTERS = {
    "-": State.UNKNOWN,
    "g": State.GIVEN,
    "r": State.REFUSED,
    "w": State.WITHDRAWN,
    "e": State.EXPIRED,
}


def consent(policy="", *headers):
    return Capture(PrivacyPolicy.parse(policy)).consent_of([(name.encode(), value) for name, value in headers])


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("category", ASKED)
def test_only_given_allows(state, category):
    assert Consent({category: state}, "default").allows(category) is (state is State.GIVEN)


@pytest.mark.parametrize("category", ["analytics", "Necessary", "necessary ", "", "anything"])
def test_no_choice_is_no_consent(category):
    assert not consent().allows(category)


def test_necessary_needs_no_consent():
    assert "necessary" in CATEGORIES
    assert consent().allows("necessary")
    assert set(consent().states) == set(ASKED)


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        (b"1", True),
        (b" 1\t", True),
        (b"0", False),
        (b"", False),
        (b"01", False),
        (b"1.0", False),
        (b"true", False),
        (b'"1"', False),
        (b"?1", False),
        (b"1, 1", False),
        (b"\xc2\xa01", False),
        (b"\xb9", False),
    ],
)
def test_sec_gpc_counts_only_if_it_is_exactly_1(value, counts):
    found = consent("", ("Sec-GPC", value))
    assert (found.source == "gpc") is counts
    assert (found.states["marketing"] is State.REFUSED) is counts


@pytest.mark.parametrize(
    ("policy", "headers", "source", "refused"),
    [
        ("", [], "default", []),
        # Sec-GPC denies marketing by default
        ("", [("sec-gpc", b"1")], "gpc", ["marketing"]),
        # a policy may let it deny analytics too
        ('[consent]\ngpc = ["marketing", "analytics"]', [("sec-gpc", b"1")], "gpc", ["analytics", "marketing"]),
        # any of several lines
        ("", [("sec-gpc", b"0"), ("sec-gpc", b"1")], "gpc", ["marketing"]),
        # DNT is optional, with the same effect
        ("", [("dnt", b"1")], "default", []),
        ("[consent]\ndnt = true", [("dnt", b"1")], "dnt", ["marketing"]),
        ("[consent]\ndnt = true", [("dnt", b"0")], "default", []),
        ("[consent]\ndnt = true", [("dnt", b"1"), ("sec-gpc", b"1")], "gpc", ["marketing"]),
    ],
)
def test_signals(policy, headers, source, refused):
    found = consent(policy, *headers)
    assert found.source == source
    assert sorted(category for category, state in found.states.items() if state is State.REFUSED) == refused


@pytest.mark.parametrize("policy", ["", "[consent]\nmode = 'implied'", "[consent]\ngpc = []"])
@pytest.mark.parametrize("headers", [[], [("sec-gpc", b"1")], [("cookie", b"__Host-centtrack=analytics")]], ids=str)
def test_marketing_is_never_given_without_a_choice(policy, headers):
    assert not consent(policy, *headers).allows("marketing")


def test_states_cannot_be_changed():
    with pytest.raises(TypeError):
        consent().states["analytics"] = State.GIVEN


@pytest.mark.parametrize(
    "request_or_scope",
    [
        {"type": "http"},
        {"type": "http", "centtrack": None},
        {"type": "http", "centtrack": {"consent": {"analytics": "given"}}},
        Request({"type": "http", "headers": []}),
        None,
        "analytics",
    ],
    ids=str,
)
def test_without_the_middleware_nothing_is_allowed(request_or_scope):
    found = consent_of(request_or_scope)
    assert not any(found.allows(category) for category in ASKED)


def test_consent_shows_states_and_source():
    assert repr(consent("", ("sec-gpc", b"1"))).count("marketing=refused") == 1


def choice_of(policy, decisions, day=TODAY, consent_hash=None):
    """Our cookie: decisions about preferences, analytics and marketing, by their letters."""
    words = {"g": "granted", "r": "refused", "w": "withdrawn"}
    made = {category: words[letter] for category, letter in zip(ASKED, decisions, strict=True) if letter != "-"}
    signed = ConsentTokens([SECRET]).sign(Choice(made, consent_hash or policy.consent_hash, day, RECEIPT))
    return b"__Host-centtrack=" + signed


def banner_of(decisions):
    """Another banner's cookie: Cookiebot's, whose names are ours but for one."""
    words = {"g": "true", "r": "false"}
    names = zip(["preferences", "statistics", "marketing"], decisions, strict=True)
    return (
        f"CookieConsent={{stamp:'x',{','.join(f'{name}:{words[one]}' for name, one in names if one != '-')}}}".encode()
    )


def consent_with(text, cookies, *signals, secrets=(SECRET,)):
    headers = [(b"host", b"shop.example"), *((signal.encode(), b"1") for signal in signals)]
    headers += [(b"cookie", cookies)] if cookies else []
    return Capture(PrivacyPolicy.parse(text), secrets=secrets).consent_of(headers)


def letters(found):
    return "".join(letter for category in ASKED for letter, state in LETTERS.items() if state is found.states[category])


BANNER = '[consent]\ngpc = ["analytics", "marketing"]\ndnt = true\n{}\n[consent.banner]\nkind = "cookiebot"'
PLAIN = BANNER.format("")
OUTRANKS = BANNER.format("choice_outranks_signal = true")


@pytest.mark.parametrize(
    ("text", "ours", "theirs", "signals", "states", "source", "asks"),
    [
        # Preferences, analytics, marketing: given, refused, withdrawn, expired, unknown. Signals refuse the last two.
        (PLAIN, None, None, [], "---", "default", True),
        (PLAIN, None, None, ["sec-gpc"], "-rr", "gpc", True),
        # A banner's word counts where ours says nothing.
        (PLAIN, None, "grg", [], "grg", "banner", False),
        (PLAIN, None, "g-g", [], "g-g", "banner", True),
        (PLAIN, "g--", "-gr", [], "ggr", "cookie+banner", False),
        # Denials are believed, also against our grant; our refusal and withdrawal beat its grant.
        (PLAIN, "ggg", "grg", [], "grg", "cookie+banner", False),
        (PLAIN, "rrr", "ggg", [], "rrr", "cookie", False),
        (PLAIN, "www", "ggg", [], "www", "cookie", False),
        (PLAIN, "www", "rrr", [], "www", "cookie", False),
        (PLAIN, "ggg", "ggg", [], "ggg", "cookie", False),
        # A signal before both.
        (PLAIN, None, "ggg", ["sec-gpc"], "grr", "banner+gpc", False),
        (PLAIN, None, "ggg", ["dnt"], "grr", "banner+dnt", False),
        (PLAIN, "ggg", "ggg", ["sec-gpc"], "grr", "cookie+gpc", False),
        (PLAIN, "wwg", "ggg", ["sec-gpc"], "wwr", "cookie+gpc", False),
        (PLAIN, "rrr", None, ["sec-gpc"], "rrr", "cookie", False),
        # The policy lets an explicit choice on this site outrank a signal; what a banner says isn't one.
        (OUTRANKS, "ggg", None, ["sec-gpc"], "ggg", "cookie", False),
        (OUTRANKS, "ggr", None, ["sec-gpc"], "ggr", "cookie", False),
        (OUTRANKS, "gg-", None, ["sec-gpc"], "ggr", "cookie+gpc", False),
        (OUTRANKS, "ggg", None, ["dnt"], "ggg", "cookie", False),
        (OUTRANKS, None, "ggg", ["sec-gpc"], "grr", "banner+gpc", False),
        (OUTRANKS, "g--", "ggg", ["sec-gpc"], "grr", "cookie+banner+gpc", False),
        (OUTRANKS, "ggg", "grg", ["sec-gpc"], "grg", "cookie+banner", False),
        (OUTRANKS, "wgg", "ggg", ["sec-gpc"], "wgg", "cookie", False),
        (OUTRANKS, None, None, ["sec-gpc"], "-rr", "gpc", True),
    ],
)  # fmt: skip
def test_withdrawal_then_signal_then_choice_then_banner(text, ours, theirs, signals, states, source, asks):
    policy = PrivacyPolicy.parse(text)
    cookies = [choice_of(policy, ours)] if ours else []
    cookies += [banner_of(theirs)] if theirs else []
    found = consent_with(text, b"; ".join(cookies), *signals)
    assert (letters(found), found.source, found.asks) == (states, source, asks)


@pytest.mark.parametrize(("theirs", "states", "source"), [("ggg", "eee", "cookie"), ("grg", "ere", "cookie+banner")])
def test_a_banner_does_not_renew_a_choice_that_has_expired(theirs, states, source):
    for expired in ({"day": TODAY - 182}, {"consent_hash": "0" * 16}):
        ours = choice_of(PrivacyPolicy.parse(PLAIN), "ggg", **expired)
        found = consent_with(PLAIN, ours + b"; " + banner_of(theirs))
        assert (letters(found), found.source, found.asks) == (states, source, True)


@pytest.mark.parametrize(("theirs", "states", "source"), [("ggg", "---", "default"), ("grg", "-r-", "banner")])
def test_beside_an_invalid_cookie_a_banner_can_only_deny(theirs, states, source):
    found = consent_with(PLAIN, b"__Host-centtrack=forged; " + banner_of(theirs))
    assert (letters(found), found.source, found.has_invalid_cookie) == (states, source, True)


def test_a_banner_is_read_without_a_secret_too():
    assert letters(consent_with(PLAIN, banner_of("grg"), secrets=())) == "grg"


@pytest.mark.parametrize("text", ["", "[consent]\nmode = 'implied'"])
def test_a_banner_that_the_policy_does_not_name_is_not_read(text):
    assert not consent_with(text, banner_of("ggg")).allows("marketing")


IMPLIED = '[consent]\nmode = "implied"\n'
IMPLIED_WITH_BANNER = IMPLIED + '[consent.banner]\nkind = "cookiebot"'


@pytest.mark.parametrize(
    ("text", "cookies", "signals", "states", "source", "asks"),
    [
        (IMPLIED, b"", [], "gg-", "implied", True),
        (IMPLIED, b"theme=dark", [], "gg-", "implied", True),
        (IMPLIED, b"", ["dnt"], "gg-", "implied", True),  # the policy doesn't read it
        (IMPLIED + "dnt = true", b"", ["dnt"], "--r", "dnt", True),
        (IMPLIED, b"", ["sec-gpc"], "--r", "gpc", True),
        (IMPLIED + "gpc = []", b"", ["sec-gpc"], "---", "default", True),
        (IMPLIED, b"__Host-centtrack=", [], "---", "default", True),
        (IMPLIED, b"__Host-centtrack=forged", [], "---", "default", True),
        (IMPLIED_WITH_BANNER, b"", [], "gg-", "implied", True),
        (IMPLIED_WITH_BANNER, banner_of("rrr"), [], "rrr", "banner", False),
        (IMPLIED_WITH_BANNER, banner_of("--g"), [], "--g", "banner", True),
        (IMPLIED_WITH_BANNER, b"CookieConsent=-1", [], "---", "default", True),
        (IMPLIED_WITH_BANNER, b"CookieConsent=what", [], "---", "default", True),
    ],
)
def test_implied_consent_is_only_where_nothing_was_said(text, cookies, signals, states, source, asks):
    found = consent_with(text, cookies, *signals)
    assert (letters(found), found.source, found.asks) == (states, source, asks)


@pytest.mark.parametrize(
    ("decisions", "when", "states"),
    [
        ("rrr", {}, "rrr"),
        ("www", {}, "www"),
        ("g--", {}, "g--"),
        ("--r", {}, "--r"),
        ("---", {}, "---"),
        ("ggg", {"day": TODAY - 182}, "eee"),
        ("rrr", {"day": TODAY - 182}, "eee"),
        ("rrr", {"consent_hash": "0" * 16}, "eee"),
        ("rrr", {"day": TODAY + 3}, "---"),
    ],
)
def test_implied_consent_overrides_no_choice(decisions, when, states):
    ours = choice_of(PrivacyPolicy.parse(IMPLIED), decisions, **when)
    assert letters(consent_with(IMPLIED, ours)) == states


def test_without_a_secret_consent_is_not_implied():
    """A refusal couldn't be remembered."""
    assert letters(consent_with(IMPLIED, b"", secrets=())) == "---"


@pytest.mark.parametrize(
    ("states", "asks"),
    [
        ((State.UNKNOWN, State.GIVEN, State.REFUSED), True),
        ((State.REQUESTED, State.GIVEN, State.REFUSED), True),
        ((State.EXPIRED, State.GIVEN, State.REFUSED), True),
        ((State.INVALIDATED, State.GIVEN, State.REFUSED), True),
        ((State.GIVEN, State.GIVEN, State.GIVEN), False),
        ((State.REFUSED, State.REFUSED, State.REFUSED), False),
        ((State.WITHDRAWN, State.GIVEN, State.REFUSED), False),
    ],
)
def test_who_is_asked(states, asks):
    assert Consent(dict(zip(ASKED, states, strict=True)), "cookie").asks is asks


def test_whose_signal_refuses_everything_is_not_asked():
    text = '[consent]\ngpc = ["preferences", "analytics", "marketing"]'
    assert not consent_with(text, b"", "sec-gpc").asks
    assert consent_with(text, b"").asks


def test_consent_holds_and_shows_no_identifier():
    found = consent_with("", choice_of(PrivacyPolicy.parse(""), "grg"))
    assert found.allows("preferences")
    assert RECEIPT not in repr(found) + repr([getattr(found, name) for name in Consent.__slots__])
    assert repr(found) == "Consent(preferences=given, analytics=refused, marketing=given; source=cookie)"
