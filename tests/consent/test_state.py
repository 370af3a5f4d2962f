import pytest
from starlette.requests import Request

from centtrack.capture.capture import Capture
from centtrack.consent import Consent, State, consent_of
from centtrack.consent.state import CATEGORIES
from centtrack.policy import PrivacyPolicy

ASKED = ["preferences", "analytics", "marketing"]


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
        # necessary can't be denied
        ('[consent]\ngpc = ["necessary"]', [("sec-gpc", b"1")], "default", []),
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
