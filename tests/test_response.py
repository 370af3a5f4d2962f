"""What is added to a response: visitor cookie, Accept-CH, explanation; and that nothing else is."""

import json
import logging
import time

import pytest

from asgi import Recording, body, sending, serve, start
from centtrack import PrivacyPolicy, TelemetryMiddleware, track
from centtrack.consent.token import Choice, ConsentTokens
from centtrack.errors import UndeclaredEventError
from centtrack.testing import MemorySink, make_scope
from waiting import eventually

SECRET = b"s" * 32
POLICY = PrivacyPolicy.parse("""
[limits.default]
browser = "family"
[limits.consented]
browser = "full"
visitor = "cookie"
[visitor]
days = 30
""")
PAGE = sending(start(), body(b"<p>hello"))


def consented(decision="granted", policy=POLICY):
    """The consent cookie of a visitor who decided on analytics today."""
    made = Choice({"analytics": decision}, policy.consent_hash, int(time.time() // 86_400))
    return "__Host-centtrack=" + ConsentTokens([SECRET]).sign(made).decode()


def scope(*cookies, **options):
    headers = [("host", "shop.example"), *([("cookie", "; ".join(cookies))] if cookies else [])]
    return {**make_scope(headers=[*headers, *options.pop("headers", [])], **options), "scheme": "https"}


def header_values(sent, name):
    return [value.decode() for key, value in sent[0]["headers"] if key == name.encode()]


@pytest.fixture
def recording(tmp_path):
    made = []

    def record(app=PAGE, **options):
        folder = tmp_path / str(len(made))
        made.append(Recording(folder, app, **{"policy": POLICY, "secret": SECRET, **options}))
        return made[-1]

    yield record
    for one in made:
        one.close()


def test_a_visitor_who_granted_gets_one_cookie_and_keeps_it(recording):
    site = recording()
    first = site.serve(scope(consented()))
    [line] = header_values(first, "set-cookie")
    sent_back = line.partition(";")[0]
    assert line.endswith("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure")
    assert header_values(first, "vary") == ["Cookie"]
    assert header_values(first, "cache-control") == ["private"]
    assert header_values(site.serve(scope(consented(), sent_back)), "set-cookie") == []
    ids = [event.visitor_id for event in site.events()]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 32
    assert ids[0] not in line  # what is stored can't be sent as a cookie


@pytest.mark.parametrize(
    "cookies",
    [(), (consented("refused"),), (consented("withdrawn"),), (consented()[:-2],), ("__Host-centtrack=granted",)],
    ids=["no choice", "refused", "withdrawn", "damaged", "forged"],
)
def test_nobody_else_gets_one(recording, cookies):
    site = recording()
    assert serve_unchanged(site, scope(*cookies))
    assert site.event().visitor_id is None


def serve_unchanged(site, asked):
    """Whether the response is just what the app sent."""
    return site.serve(asked) == serve(PAGE, asked)


def test_a_signal_outranks_the_choice(recording):
    policy = PrivacyPolicy.parse('[limits.consented]\nvisitor = "cookie"\n[consent]\ngpc = ["analytics"]')
    site = recording(policy=policy)
    assert serve_unchanged(site, scope(consented(policy=policy), headers=[("sec-gpc", "1")]))


def test_withdrawal_ends_it(recording):
    site = recording()
    sent_back = header_values(site.serve(scope(consented())), "set-cookie")[0].partition(";")[0]
    answer = site.serve(scope(consented("withdrawn"), sent_back))
    assert header_values(answer, "set-cookie") == [
        "__Host-centtrack-visitor=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"
    ]
    assert header_values(answer, "cache-control") == ["private"]
    assert sorted(event.visitor_id is None for event in site.events()) == [False, True]


@pytest.mark.parametrize(
    ("app", "headers"),
    [
        (PAGE, [("sec-fetch-dest", "empty")]),
        (PAGE, [("sec-fetch-dest", "iframe")]),
        (sending(start(302), body()), []),
        (sending(start(500), body(b"<p>sorry")), []),
        (sending(start(content_type="application/json"), body(b"{}")), []),
        (sending(start(content_type="image/png"), body(b"x")), []),
        (PAGE, [("sec-purpose", "prefetch;prerender")]),
    ],
    ids=["fragment", "frame", "redirect", "error", "json", "image", "prefetch"],
)
def test_only_a_document_that_is_looked_at_brings_one(recording, app, headers):
    assert header_values(recording(app).serve(scope(consented(), headers=headers)), "set-cookie") == []


@pytest.mark.parametrize(
    ("sent", "control", "vary"),
    [
        ({}, ["private"], ["Cookie"]),
        ({"cache_control": "public, max-age=60"}, ["max-age=60, private"], ["Cookie"]),
        ({"cache_control": "s-maxage=9, max-age=60"}, ["max-age=60, private"], ["Cookie"]),
        ({"cache_control": "no-store"}, ["no-store"], ["Cookie"]),
        ({"cache_control": "private, max-age=5"}, ["private, max-age=5"], ["Cookie"]),
        ({"vary": "Accept, cookie"}, ["private"], ["Accept, cookie"]),
        ({"vary": "*"}, ["private"], ["*"]),
        ({"vary": "Accept"}, ["private"], ["Accept", "Cookie"]),
        ({"cache_control": 'public, private="set-cookie", no-cache="a, b"'}, ['no-cache="a, b", private'], ["Cookie"]),
        ({"cache_control": "x-private, no-store-x"}, ["x-private, no-store-x, private"], ["Cookie"]),
    ],
)
def test_no_shared_cache_keeps_a_page_with_a_cookie(recording, sent, control, vary):
    answer = recording(sending(start(**sent), body(b"x"))).serve(scope(consented()))
    assert header_values(answer, "cache-control") == control
    assert header_values(answer, "vary") == vary


def test_what_a_cdn_is_told_goes(recording):
    sent = {"cdn_cache_control": "max-age=600", "surrogate_control": "max-age=600", "age": "1"}
    answer = recording(sending(start(**sent), body(b"x"))).serve(scope(consented()))
    assert {name for name, _ in answer[0]["headers"]} == {
        b"content-type", b"age", b"cache-control", b"vary", b"set-cookie",
    }  # fmt: skip


@pytest.mark.parametrize("make", [list, tuple, iter, lambda pairs: (pair for pair in pairs)])
@pytest.mark.parametrize("cookies", [(), ("consented",)])
def test_headers_may_be_any_iterable(recording, make, cookies):
    """ASGI says so; one that can be read only once must not lose what was read."""
    pairs = [(b"set-cookie", b"a=b"), (b"content-type", b"text/html"), (b"x-app", b"1")]
    app = sending({"type": "http.response.start", "status": 200, "headers": make(pairs)}, body(b"x"))
    answer = recording(app).serve(scope(*[consented() for _ in cookies]))
    assert list(answer[0]["headers"])[:3] == pairs


def test_the_apps_own_headers_are_not_touched(recording):
    message = start()
    before = list(message["headers"])
    answer = recording(sending(message, body(b"x"))).serve(scope(consented()))
    assert message["headers"] == before
    assert answer[0]["headers"][: len(before)] == before
    assert answer[1:] == [body(b"x")]


def test_a_policy_that_has_it_no_more_ends_it(recording):
    sent_back = header_values(recording().serve(scope(consented())), "set-cookie")[0].partition(";")[0]
    answer = recording(policy=PrivacyPolicy.profile("strict")).serve(scope(sent_back))
    assert header_values(answer, "set-cookie")[0].startswith("__Host-centtrack-visitor=; Path=/; Max-Age=0")


def test_one_around_another_sets_one_cookie(recording, tmp_path):
    inner = TelemetryMiddleware(
        PAGE, policy=POLICY, secret=SECRET, sink=MemorySink(), journal=tmp_path / "inner" / "journal.db"
    )
    answer = recording(inner).serve(scope(consented()))
    assert len(header_values(answer, "set-cookie")) == 1
    inner.pipeline.close()


def test_without_a_secret_it_says_so_and_sets_none(recording, caplog):
    caplog.set_level(logging.INFO)
    site = recording(secret=None)
    assert serve_unchanged(site, scope(consented()))
    assert "no secret" in caplog.text


HINTS = 'accept_ch = ["Sec-CH-UA-Platform-Version"]'


@pytest.mark.parametrize(
    ("limits", "cookies", "asked"),
    [
        ('browser = "major"', (), ["Sec-CH-UA-Platform-Version"]),
        ('browser = "family"', (), []),
        ('browser = "family"\n[limits.consented]\nbrowser = "full"', (), []),
        ('browser = "family"\n[limits.consented]\nbrowser = "full"', ("consented",), ["Sec-CH-UA-Platform-Version"]),
    ],
)
def test_hints_are_asked_for_only_where_they_are_recorded(recording, limits, cookies, asked):
    policy = PrivacyPolicy.parse(f"[limits.default]\n{limits}\n[browser]\n{HINTS}")
    given = [consented(policy=policy) for _ in cookies]
    answer = recording(policy=policy).serve(scope(*given))
    assert header_values(answer, "accept-ch") == asked
    differs = bool(given)  # from what a visitor gets who granted nothing
    assert header_values(answer, "vary") == ["Cookie"] * differs
    assert header_values(answer, "cache-control") == ["private"] * differs


def test_no_hints_for_an_api(recording):
    policy = PrivacyPolicy.parse(f'[limits.default]\nbrowser = "major"\n[browser]\n{HINTS}')
    app = sending(start(content_type="application/json"), body(b"{}"))
    assert header_values(recording(app, policy=policy).serve(scope()), "accept-ch") == []


ASKING = [("x-centtrack-explain", "1")]


def is_ready(site):
    """Wait until its engines are built."""
    site.app.pipeline.start()
    return eventually(lambda: site.app.pipeline.capture.is_warm)


def test_a_live_request_explains_itself(recording):
    site = recording(policy=PrivacyPolicy.profile("cent"), debug=True)
    assert is_ready(site)
    answer = site.serve(scope(path="/mail/a@b.kz", headers=ASKING, client=("203.0.113.7", 1)))
    [text] = header_values(answer, "x-centtrack-explain")
    told = json.loads(text)
    assert told["address"] == "203.0.113.7"
    assert told["tier"] == "default"
    assert told["notes"][0] == "scrubbed: email"
    assert told["event"]["path"] == "/mail/[email]"
    event = site.event()
    assert event.path == told["event"]["path"]
    assert event.status == told["event"]["status"] == 200
    assert event.event_id != told["event"]["event_id"]
    assert told["event"]["response_bytes"] is None  # it isn't known yet
    assert text.isascii()
    assert header_values(answer, "cache-control") == ["no-store"]


def test_the_explanation_has_the_id_that_the_response_brings(recording):
    site = recording(debug=True)
    assert is_ready(site)
    told = json.loads(header_values(site.serve(scope(consented(), headers=ASKING)), "x-centtrack-explain")[0])
    assert told["event"]["visitor_id"] == site.event().visitor_id is not None


def test_explaining_counts_nothing(recording):
    site = recording(debug=True, policy=PrivacyPolicy.profile("cent"))
    site.serve(scope(path="/mail/a@b.kz", headers=ASKING))
    assert site.counts().scrubbed == {"email": 1}


@pytest.mark.parametrize(("options", "headers"), [({}, ASKING), ({"debug": False}, ASKING), ({"debug": True}, [])])
def test_explained_only_where_enabled_and_asked_for(recording, options, headers):
    assert serve_unchanged(recording(**options), scope(headers=headers))


def test_the_environment_enables_it(recording, monkeypatch):
    monkeypatch.setenv("CENTTRACK_DEBUG", "1")
    assert header_values(recording().serve(scope(headers=ASKING)), "x-centtrack-explain")
    assert serve_unchanged(recording(debug=False), scope(headers=ASKING))


DECLARED = PrivacyPolicy.parse('[[events]]\nname = "sale"\n[events.properties]\namount = "number"')


def tracking(*calls):
    async def app(asked, receive, send):
        for name, props in calls:
            track(asked, name, **props)
        await PAGE(asked, receive, send)

    return app


@pytest.mark.parametrize(
    ("name", "props", "message"),
    [
        ("sail", {}, 'Did you mean "sale"'),
        ("sale", {"ammount": 1}, 'Did you mean "amount"'),
        ("sale", {"amount": "much"}, "must be number"),
    ],
)
def test_in_development_a_wrong_event_is_an_error(recording, name, props, message):
    site = recording(tracking((name, props)), policy=DECLARED, debug=True)
    with pytest.raises(UndeclaredEventError, match=message):
        site.serve(scope())
    assert site.dropped() == {"undeclared": 1}


def test_in_development_an_event_that_comes_too_late_is_an_error(recording):
    async def app(asked, receive, send):
        await PAGE(asked, receive, send)
        track(asked, "sale", amount=1)

    site = recording(app, policy=DECLARED, debug=True)
    with pytest.raises(UndeclaredEventError, match="response was done"):
        site.serve(scope())
    assert site.dropped() == {"too_late": 1}


def test_in_production_it_is_counted_and_said_once(recording, caplog):
    site = recording(tracking(("sail", {}), ("sail", {}), ("sale", {"amount": 1})), policy=DECLARED)
    assert serve_unchanged(site, scope())
    assert sorted(event.name for event in site.events()) == ["request", "sale"]
    assert site.dropped() == {"undeclared": 2}
    assert caplog.text.count("is not declared") == 1


def test_a_property_that_is_somebodys_number_is_left_out(recording):
    site = recording(tracking(("sale", {"amount": 77011234567})), policy=DECLARED)
    site.serve(scope())
    [sale] = [event for event in site.events() if event.name == "sale"]
    assert sale.props == {}
    assert site.counts().scrubbed == {"phone": 1}


def test_an_editor_that_fails_changes_nothing(recording, monkeypatch, caplog):
    monkeypatch.setattr("centtrack.response.read_headers", lambda _: 1 / 0)
    site = recording(debug=True)
    assert site.serve(scope(headers=ASKING)) == serve(PAGE, scope(headers=ASKING))
    assert "ZeroDivisionError" in caplog.text


def test_an_editor_that_fails_loses_no_header_that_is_read_once(recording, monkeypatch):
    monkeypatch.setattr("centtrack.response.read_headers", lambda _: 1 / 0)
    pairs = [(b"set-cookie", b"a=b"), (b"content-type", b"text/html")]
    app = sending({"type": "http.response.start", "status": 200, "headers": iter(pairs)}, body(b"x"))
    answer = recording(app, debug=True).serve(scope(headers=ASKING))
    assert list(answer[0]["headers"]) == pairs


def test_an_explanation_sees_headers_that_are_read_once(recording):
    app = sending(
        {"type": "http.response.start", "status": 200, "headers": iter([(b"content-type", b"text/css")])}, body()
    )
    site = recording(app, debug=True)
    assert is_ready(site)
    told = json.loads(header_values(site.serve(scope(headers=ASKING)), "x-centtrack-explain")[0])
    assert told["event"]["kind"] == "asset"


def test_daily_keys(tmp_path):
    """One visitor, one key, whatever the page; another browser or address is another visitor."""
    policy = PrivacyPolicy.parse('[limits.default]\nvisitor = "daily_key"\n[controller]\nsite = ["shop.example"]')
    sink = MemorySink()
    app = TelemetryMiddleware(PAGE, policy=policy, sink=sink, journal=tmp_path / "journal.db")
    asked = [("/a", "203.0.113.7", "Firefox"), ("/b", "203.0.113.7", "Firefox"), ("/", "203.0.113.8", "Firefox"),
             ("/", "203.0.113.7", "Opera"), ("/", None, "Firefox")]  # fmt: skip
    for path, address, browser in asked:
        client = (address, 1) if address else None
        serve(app, scope(path=path, client=client, headers=[("user-agent", browser)]))
        assert app.pipeline.flush(60)
    app.pipeline.close()
    keys = [event.visitor_id for event in sink.events]
    assert len(keys) == 5
    known = [key for key in keys if key]
    assert len(known) == 4
    assert len(set(known)) == 3
    assert {len(key) for key in known} == {12}
    assert (tmp_path / "salts").stat().st_mode & 0o777 == 0o600


def test_shared_salts_need_the_sites_name():
    """Or one visitor's key would be the same on two sites."""
    policy = PrivacyPolicy.parse('[limits.default]\nvisitor = "daily_key"')
    app = TelemetryMiddleware(PAGE, policy=policy, sink=MemorySink(), salts="redis://127.0.0.1/0")
    assert "[controller] site" in str(app.problem)


def test_events_without_a_salt_are_counted(tmp_path):
    policy = PrivacyPolicy.parse('[limits.default]\nvisitor = "daily_key"')
    (tmp_path / "salts").touch(mode=0o644)
    recording = Recording(tmp_path, PAGE, policy=policy)
    for _ in range(3):
        recording.serve(scope(headers=[("user-agent", "Firefox")]))
    assert recording.counts().noted == {"no_salt": 3}


@pytest.mark.parametrize("name", ["Ivan Petrov", "a@b.kz", "x\nERROR forged line"])
def test_no_text_of_a_visitor_gets_into_the_log(recording, name, caplog):
    site = recording(tracking((name, {}), ("sale", {name: 1})), policy=DECLARED)
    site.serve(scope())
    assert site.dropped() == {"undeclared": 2}
    assert name not in caplog.text


@pytest.mark.parametrize("salts", ["mysql://host/x", "redis://h:port"])
def test_salts_that_cannot_be_are_refused_at_start(salts):
    assert "salts" in str(TelemetryMiddleware(PAGE, sink=MemorySink(), salts=salts).problem)


def test_logs_hold_no_value_of_a_cookie(recording, caplog):
    caplog.set_level(logging.DEBUG)
    site = recording(debug=True)
    site.serve(scope(consented(), "__Host-centtrack-visitor=t0ken-of-a-visitor"))
    site.close()
    assert "t0ken-of-a-visitor" not in caplog.text
    assert consented().partition("=")[2] not in caplog.text
