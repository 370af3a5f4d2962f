import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.capture.capture import Capture
from centtrack.capture.observation import Observation
from centtrack.consent import State
from centtrack.consent.token import MAX_TOKEN, Choice, ConsentTokens, InvalidTokenError
from centtrack.policy import PrivacyPolicy
from centtrack.signing import make_serializer

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32
HOST = b"shop.example"
NAME = b"__Host-centtrack"
POLICY = PrivacyPolicy.parse("")
TODAY = int(time.time() // 86_400)
ALL = {"analytics": "granted", "preferences": "granted", "marketing": "granted"}
RECEIPT = "0123456789abcdef0123456789abcdef"


def choice(decisions=ALL, day=TODAY, policy=POLICY, receipt=None):
    return Choice(decisions, policy.consent_hash, day, receipt)


def cookie(made, secret=NEW):
    return NAME + b"=" + ConsentTokens([secret]).sign(made)


def consent(cookies, *headers, policy=POLICY, secrets=(NEW,)):
    capture = Capture(policy, secrets=secrets)
    return capture.consent_of([(b"host", HOST), (b"cookie", cookies), *headers])


def test_a_choice_comes_back():
    made = choice({"analytics": "granted", "marketing": "refused"}, receipt=RECEIPT)
    assert ConsentTokens([NEW]).read(cookie(made), HOST) == made


def test_a_refusal_carries_no_identifier():
    made = choice({"analytics": "refused"}, receipt=RECEIPT)
    assert ConsentTokens([NEW]).read(cookie(made), HOST).receipt is None
    assert ConsentTokens([NEW]).sign(made) == ConsentTokens([NEW]).sign(made._replace(receipt="f" * 32))


def test_it_is_small():
    assert len(cookie(choice(receipt=RECEIPT))) < MAX_TOKEN / 3


GPC, DNT = (b"sec-gpc", b"1"), (b"dnt", b"1")
DENIES_ALL = PrivacyPolicy.parse('[consent]\ngpc = ["marketing", "analytics"]\ndnt = true')


@pytest.mark.parametrize(
    ("decision", "signals", "policy", "state", "source"),
    [
        # No choice.
        (None, [], POLICY, State.UNKNOWN, "default"),
        (None, [GPC], DENIES_ALL, State.REFUSED, "gpc"),
        (None, [DNT], DENIES_ALL, State.REFUSED, "dnt"),
        (None, [DNT], POLICY, State.UNKNOWN, "default"),
        # The choice counts, where no signal is against it.
        ("granted", [], POLICY, State.GIVEN, "cookie"),
        ("refused", [], POLICY, State.REFUSED, "cookie"),
        ("withdrawn", [], POLICY, State.WITHDRAWN, "cookie"),
        ("granted", [DNT], POLICY, State.GIVEN, "cookie"),
        # A signal before a choice.
        ("granted", [GPC], DENIES_ALL, State.REFUSED, "cookie+gpc"),
        ("granted", [DNT], DENIES_ALL, State.REFUSED, "cookie+dnt"),
        # A withdrawal before a signal.
        ("withdrawn", [GPC], DENIES_ALL, State.WITHDRAWN, "cookie+gpc"),  # of marketing
    ],
)
def test_withdrawal_then_signal_then_choice_then_default(decision, signals, policy, state, source):
    cookies = cookie(choice({"analytics": decision}, policy=policy)) if decision else b""
    refused = set(policy.document.consent.gpc)
    found = consent(cookies, *signals, policy=policy)
    assert found.states["analytics"] is state
    assert found.allows("analytics") is (state is State.GIVEN)
    if "analytics" in refused or not signals:
        assert found.source == source


def test_gpc_denies_marketing_and_leaves_the_choice_of_analytics():
    found = consent(cookie(choice()), GPC)
    assert found.allows("analytics")
    assert not found.allows("marketing")


@pytest.mark.parametrize(
    ("day", "state"),
    [(TODAY, State.GIVEN), (TODAY + 1, State.GIVEN), (TODAY - 181, State.GIVEN), (TODAY - 182, State.EXPIRED)],
)
def test_it_lasts_182_days(day, state):
    assert consent(cookie(choice(day=day))).states["analytics"] is state


def test_a_choice_from_the_future_is_none():
    assert consent(cookie(choice(day=TODAY + 3))).states["analytics"] is State.UNKNOWN


def test_a_refusal_lasts_as_long():
    assert consent(cookie(choice({"analytics": "refused"}, day=TODAY - 181))).states["analytics"] is State.REFUSED


@pytest.mark.parametrize(
    ("change", "is_material"),
    [
        ('version = "2"', False),
        ('[controller]\nname = "New name"\ncontact = "x@y.kz"', False),
        ('[purposes]\nanalytics = "Other words"', False),
        ("[limits.consented]\ntime = \"minute\"", False),
        ('[purposes]\nanalytics = "a"\nmarketing = "b"', True),
        ('[consent]\nmode = "implied"', True),
        ('[[sinks]]\nname = "jsonl:x"', True),
        ('[[cookies]]\nname = "x"\ncategory = "marketing"', True),
        ('[controller]\naffiliates = ["Another"]', True),
    ],
)  # fmt: skip
def test_a_material_change_expires_the_choice(change, is_material):
    later = PrivacyPolicy.parse(change)
    assert (consent(cookie(choice()), policy=later).states["analytics"] is State.EXPIRED) is is_material


def test_keys_are_rotated():
    assert consent(cookie(choice(), OLD), secrets=(OLD, NEW)).allows("analytics")
    assert not consent(cookie(choice(), OLD), secrets=(NEW,)).allows("analytics")


def test_without_a_secret_nothing_is_given():
    assert not consent(cookie(choice()), secrets=()).allows("analytics")


def raw(payload, purpose="consent", secret=NEW):
    return NAME + b"=" + make_serializer([secret], purpose).dumps(payload).encode()


GOOD = {"v": 1, "p": POLICY.consent_hash, "d": TODAY, "c": {"analytics": "g"}}


@pytest.mark.parametrize(
    "cookies",
    [
        raw(GOOD, secret=OTHER),
        raw(GOOD, purpose="visitor"),
        raw({**GOOD, "v": 2}),
        raw({**GOOD, "v": "1"}),
        raw({**GOOD, "x": 1}),
        raw({**GOOD, "c": {"analytics": "granted"}}),
        raw({**GOOD, "c": ["analytics"]}),
        raw({**GOOD, "r": "../../etc"}),
        raw({key: value for key, value in GOOD.items() if key != "d"}),
        raw([]),
        raw("granted"),
        raw({**GOOD, "c": {str(number): "g" for number in range(400)}}),
        raw(GOOD) + b"; " + raw(GOOD),
        raw(GOOD) + b"; " + NAME + b"=",
        NAME + b"=",
        NAME + b"=granted",
        NAME + b"=" + b"x" * 5_000,
    ],
)
def test_what_is_no_choice_is_counted(cookies):
    capture = Capture(POLICY, secrets=[NEW])
    found = capture.consent_of([(b"host", HOST), (b"cookie", cookies)])
    assert set(found.states.values()) == {State.UNKNOWN}
    assert capture.totals() == {}  # asking for it is not counted, recording the request is
    capture.capture(
        Observation(protocol="http", peer=None, headers=[(b"host", HOST), (b"cookie", cookies)], time=1.7e9)
    )
    assert capture.totals() == {("noted", "invalid_consent_cookie"): 1}


@pytest.mark.parametrize(
    "disguised",
    [
        lambda good: good.lower(),
        lambda good: b"\xc2\xa0" + good,
        lambda good: good.replace(b"__Host-", b"__Host-\x0b"),
        lambda good: good.replace(b"__Host-centtrack", b"__Host-centtrack "[:-1] + b"\xe2\x80\x80"),
        lambda good: good.replace(b"__Host-", b""),
    ],
)
def test_names_are_exact(disguised):
    assert consent(disguised(raw(GOOD))).states["analytics"] is State.UNKNOWN


def test_every_byte_flipped_truncated_doubled():
    tokens = ConsentTokens([NEW])
    good = tokens.sign(choice(receipt=RECEIPT))
    for place in range(len(good)):
        flipped = [good[:place] + bytes([good[place] ^ (1 << bit)]) + good[place + 1 :] for bit in range(8)]
        doubled = good[: place + 1] + good[place:]
        for damaged in (*flipped, doubled, good[:place]):
            if damaged.strip(b" \t") != good and damaged:
                with pytest.raises(InvalidTokenError):
                    tokens.read(NAME + b"=" + damaged, HOST)


@given(st.binary(max_size=1_200))
def test_whatever_comes_is_no_consent(token):
    assert not consent(NAME + b"=" + token).allows("analytics")
