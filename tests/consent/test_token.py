import hashlib
import time
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer

from asgi import Recording, body, start
from centtrack.capture.capture import Capture
from centtrack.capture.observation import Observation
from centtrack.consent import State, consent_of
from centtrack.consent.state import ConsentReader
from centtrack.consent.token import MAX_TOKEN, Choice, ConsentTokens
from centtrack.policy import PrivacyPolicy
from centtrack.signing import make_serializer
from centtrack.testing import make_scope
from centtrack.visitor.cookie import VisitorCookie

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


def days_ago(days):
    """Days since 1970. Counted when it is asked for: the tests of a long run begin before midnight and end after it."""
    return int(time.time() // 86_400) - days


@pytest.mark.parametrize(
    ("age", "state"),
    [(0, State.GIVEN), (-1, State.GIVEN), (181, State.GIVEN), (182, State.EXPIRED)],
)
def test_it_lasts_182_days(age, state):
    assert consent(cookie(choice(day=days_ago(age)))).states["analytics"] is state


def test_a_refusal_lasts_as_long():
    refused = choice({"analytics": "refused"}, day=days_ago(181))
    assert consent(cookie(refused)).states["analytics"] is State.REFUSED


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


SIGNED = raw(GOOD)[len(NAME) + 1 :]
PAYLOAD, SIGNATURE = SIGNED.rsplit(b".", 1)


[_, _SET_VISITOR] = VisitorCookie([NEW], days=10).mint(HOST, "https")
VISITOR = _SET_VISITOR[1].partition(b";")[0].partition(b"=")[2]


def signed_elsewhere(**options):
    """A token of the same payload that somebody else's itsdangerous would make."""
    return NAME + b"=" + URLSafeSerializer(NEW, **options).dumps(GOOD).encode()


SHA_256 = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}

# What came as a choice, and is none. The visitor's own cookie is SIGNED: all of it but for what the row changes.
TAMPERED = {
    "another key": raw(GOOD, secret=OTHER),
    "another purpose": raw(GOOD, purpose="visitor"),
    "the visitor cookie": NAME + b"=" + VISITOR,
    "another salt": signed_elsewhere(salt="consent", signer_kwargs=SHA_256),
    "no salt": signed_elsewhere(signer_kwargs=SHA_256),
    "SHA-1": signed_elsewhere(salt="centtrack.consent"),
    "unknown version": raw({**GOOD, "v": 2}),
    "no version": raw({key: value for key, value in GOOD.items() if key != "v"}),
    "version is text": raw({**GOOD, "v": "1"}),
    "version is true": raw({**GOOD, "v": True}),
    "extra field": raw({**GOOD, "x": 1}),
    "unknown decision": raw({**GOOD, "c": {"analytics": "granted"}}),
    "decision is true": raw({**GOOD, "c": {"analytics": True}}),
    "decisions are a list": raw({**GOOD, "c": ["analytics"]}),
    "no decisions": raw({**GOOD, "c": None}),
    "receipt is a path": raw({**GOOD, "r": "../../etc"}),
    "receipt is a number": raw({**GOOD, "r": 1}),
    "no day": raw({key: value for key, value in GOOD.items() if key != "d"}),
    "day is text": raw({**GOOD, "d": str(TODAY)}),
    "day is a fraction": raw({**GOOD, "d": TODAY + 0.5}),
    "day of the future": raw({**GOOD, "d": TODAY + 3}),
    "day after all days": raw({**GOOD, "d": 10**30}),
    "hash is a number": raw({**GOOD, "p": 1}),
    "a list": raw([]),
    "a word": raw("granted"),
    "nothing": raw(None),
    "more than a token holds": raw({**GOOD, "c": {str(number): "g" for number in range(400)}}),
    "twice": raw(GOOD) + b"; " + raw(GOOD),
    "twice, one empty": raw(GOOD) + b"; " + NAME + b"=",
    "twice, with another key": raw(GOOD) + b"; " + raw(GOOD, secret=OTHER),
    "empty": NAME + b"=",
    "not signed": NAME + b"=" + PAYLOAD,
    "no payload": NAME + b"=." + SIGNATURE,
    "a word, not signed": NAME + b"=granted",
    "5,000 bytes": NAME + b"=" + b"x" * 5_000,
    "5,000 bytes before it": NAME + b"=" + b"x" * 5_000 + SIGNED,
    "in quotes": NAME + b'="' + SIGNED + b'"',
    "half in quotes": NAME + b'="' + SIGNED,
    "percent-encoded": NAME + b"=" + SIGNED.replace(b".", b"%2E"),
    "padded": NAME + b"=" + SIGNED + b"=",
    "two tokens": NAME + b"=" + SIGNED + SIGNED,
    "two tokens with a dot": NAME + b"=" + SIGNED + b"." + SIGNED,
    "two tokens with a comma": NAME + b"=" + SIGNED + b", " + SIGNED,
    "two signatures": NAME + b"=" + SIGNED + b"." + SIGNATURE,
    "Unicode space behind": NAME + b"=" + SIGNED + "\u2000".encode(),
    "vertical tab behind": NAME + b"=" + SIGNED + b"\x0b",
}


def is_refused(found):
    return set(found.states.values()) == {State.UNKNOWN} and found.has_invalid_cookie


@pytest.mark.parametrize("cookies", TAMPERED.values(), ids=TAMPERED)
def test_what_is_no_choice_is_counted(cookies):
    capture = Capture(POLICY, secrets=[NEW])
    assert consent(NAME + b"=" + SIGNED).allows("analytics")
    assert is_refused(capture.consent_of([(b"host", HOST), (b"cookie", cookies)]))
    assert capture.totals() == {}  # asking for it is not counted, recording the request is
    capture.capture(
        Observation(protocol="http", peer=None, headers=[(b"host", HOST), (b"cookie", cookies)], time=1.7e9)
    )
    assert capture.totals() == {("noted", "invalid_consent_cookie"): 1}


def test_a_second_one_may_come_in_a_line_of_its_own():
    """As HTTP/2 splits the header (RFC 9113, 8.2.3)."""
    assert is_refused(consent(raw(GOOD), (b"cookie", raw(GOOD))))
    assert consent(b"theme=dark", (b"cookie", raw(GOOD))).allows("analytics")


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


def damaged(token):
    """A token with each bit flipped, cut at each place, and with each byte doubled."""
    for place, byte in enumerate(token):
        for bit in range(8):
            yield token[:place] + bytes([byte ^ (1 << bit)]) + token[place + 1 :]
        yield token[:place]
        yield token[: place + 1] + token[place:]


@pytest.mark.parametrize("decisions", [ALL, {"analytics": "granted", "marketing": "refused"}], ids=str)
def test_every_bit_flipped_every_place_cut_and_every_byte_doubled(decisions):
    tokens = ConsentTokens([OLD, NEW])
    reader = ConsentReader(POLICY.document.consent, POLICY.consent_hash, tokens)
    good = tokens.sign(choice(decisions, receipt=RECEIPT))

    def read(token):
        return reader.read(gpc=False, dnt=False, cookies=b"theme=dark; " + NAME + b"=" + token, host=HOST)

    assert read(good).allows("analytics")
    survived = [token for token in damaged(good) if not is_refused(read(token))]
    assert survived == []


def test_a_damaged_name_is_another_cookie():
    assert consent(NAME + b"=" + SIGNED).allows("analytics")
    for name in damaged(NAME):
        assert not consent(name + b"=" + SIGNED).allows("analytics")


def test_tampering_does_not_disturb_the_visitor(tmp_path):
    """Through the whole middleware: the response of somebody without a choice, an event that says so, a count each."""
    seen = []

    async def app(scope, _receive, send):
        seen.append(consent_of(scope))
        await send(start())
        await send(body(b"hello"))

    headers = [*TAMPERED.values(), *(NAME + b"=" + token for token in [*damaged(SIGNED)][:: len(SIGNED) // 8])]
    with closing(Recording(tmp_path, app, policy=POLICY.changed(release="at_once"), secret=NEW)) as recorded:
        untouched = recorded.serve(make_scope())
        assert (untouched[0]["status"], untouched[1]["body"]) == (200, b"hello")
        for cookies in headers:
            assert recorded.serve({**make_scope(), "headers": [(b"host", HOST), (b"cookie", cookies)]}) == untouched
        events, workers = recorded.events(), recorded.counts().workers
    assert [found for found in seen[1:] if not is_refused(found)] == []
    assert len(events) == len(headers) + 1
    assert {"default"} == {event.consent_source for event in events}
    assert {"unknown"} == {state for event in events for state in event.consent.values()}
    assert sum(worker.noted["invalid_consent_cookie"] for worker in workers) == len(headers)


@given(st.binary(max_size=1_200))
def test_whatever_comes_is_no_consent(token):
    assert not consent(NAME + b"=" + token).allows("analytics")
