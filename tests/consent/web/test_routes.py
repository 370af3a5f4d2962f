"""The consent routes through a real app, the middleware and a real ledger, as a browser meets them."""

import contextlib
import datetime as dt
import json
import logging
import socket
from functools import partial
from pathlib import Path

import fastapi
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from asgi import Message, body, serve, start
from centtrack.consent.ledger.ledger import Ledger
from centtrack.consent.ledger.place import default_place
from centtrack.consent.notice.plain_text import plain_text
from centtrack.consent.token import ConsentTokens
from centtrack.consent.web import desk
from centtrack.consent.web.rate_limit import WriteLimit
from centtrack.consent.web.routes import consent_banner, consent_routes, with_consent_routes
from centtrack.errors import ConfigurationError
from centtrack.testing import make_scope
from consent_site import ALL, HOST, OWN, POLICY, SECRET, Site, lines_of
from servers import free_port

CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
PAGES = ["", "/state", "/receipt", "/policy", "/banner", "/banner.js", "/consent.css"]


@pytest.fixture
def _unhurried_ledger(monkeypatch):
    """On a busy machine the disk may take longer than visitors are made to wait."""
    monkeypatch.setattr(desk, "open_ledger", partial(Ledger, timeout_s=60))
    monkeypatch.setattr(desk, "MAX_WAIT_S", 60)


@pytest.fixture
def make_site(tmp_path, _unhurried_ledger):
    made = []

    def make(**options):
        made.append(Site(tmp_path / str(len(made)), **options))
        return made[-1]

    yield make
    for site in made:
        site.close()


@pytest.fixture
def site(make_site):
    return make_site()


def chosen(site):
    """What the browser's cookie says."""
    return ConsentTokens([SECRET]).read(b"__Host-centtrack=" + site.token.encode(), HOST.encode())


# Choosing


def test_nothing_is_set_before_a_choice(site):
    for path in PAGES:
        assert lines_of(site.get(f"/consent{path}")) == []
    assert site.given() == []
    assert site.get("/consent/state").json()["asks"] is True
    assert site.records() == []


def test_refusing_is_remembered_and_carries_no_identifier(site):
    answer = site.choose("refuse", back="/shop?q=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/shop?q=1")
    assert lines_of(answer)[0].endswith("; Path=/; Max-Age=8640000; HttpOnly; SameSite=Lax; Secure")
    assert site.states() == dict.fromkeys(ALL, "refused")
    assert site.get("/consent/state").json()["asks"] is False
    assert chosen(site).receipt is None
    [record] = site.records()
    assert (record.kind, record.receipt, record.replaces) == ("decision", None, None)
    assert site.get("/consent/receipt").status_code == 404


def test_accepting(site):
    site.choose("accept")
    assert site.given() == ALL
    [record] = site.records()
    assert record.states == dict.fromkeys(ALL, "given")
    assert (record.policy_version, record.jurisdiction, record.method) == ("3", "KZ", "form")
    assert record.withdrawal_method == "/consent"
    assert sorted(record.purposes) == sorted(record.states)
    receipt = site.get("/consent/receipt")
    assert receipt.headers["content-disposition"].startswith("attachment")
    assert [one["receipt"] for one in receipt.json()["records"]] == [record.receipt]


def test_accepting_some(site):
    site.choose("save", "analytics")
    assert site.states() == {"analytics": "given", "preferences": "refused", "marketing": "refused"}


def test_a_choice_is_changed(site):
    site.choose("save", "analytics")
    site.choose("save", "marketing")
    assert site.states() == {"analytics": "withdrawn", "preferences": "refused", "marketing": "given"}
    first, second = site.records()
    assert second.replaces == first.receipt
    assert second.receipt not in {first.receipt, None}


@pytest.mark.parametrize("how", ["withdraw", "refuse", "save nothing"])
def test_withdrawing(site, how):
    site.choose("save", "analytics", "preferences")
    answer = site.withdraw() if how == "withdraw" else site.choose(how.partition(" ")[0])
    assert answer.status_code == 303
    assert site.states() == {"analytics": "withdrawn", "preferences": "withdrawn", "marketing": "refused"}
    granted, withdrawn = site.records()
    assert (withdrawn.kind, withdrawn.receipt) == ("withdrawal", granted.receipt)
    assert withdrawn.states == {"analytics": "withdrawn", "preferences": "withdrawn", "marketing": "refused"}
    assert site.get("/consent/receipt").status_code == 404
    site.choose("accept")
    assert site.given() == ALL


def expired_by(answer):
    return {line.partition("=")[0] for line in lines_of(answer) if "Max-Age=0" in line}


def test_what_is_not_granted_is_expired(site):
    for name in ["session", "theme", "_ga", "other"]:
        site.browser.cookies.set(name, "1", domain=HOST)
    # the one below /shop doesn't come with this request, and goes with it
    assert expired_by(site.choose("save", "analytics")) == {"theme", "ads"}
    assert expired_by(site.withdraw()) == {"ads", "_ga"}
    assert set(site.browser.cookies) == {"__Host-centtrack", "session", "other"}


def test_visits_do_not_renew_the_choice(site):
    site.choose("accept")
    for path in ["/", "/consent", "/consent/state"]:
        assert not [line for line in lines_of(site.get(path)) if line.startswith("__Host-centtrack=")]


def test_only_what_the_policy_asks_about_is_granted(make_site):
    site = make_site(policy='[purposes]\nanalytics = "Improve"')
    assert site.choose("save", "marketing").status_code == 400
    site.choose("accept")
    assert site.given() == ["analytics"]
    assert site.get("/consent/state").json()["asks"] is False
    assert site.records()[0].states == {"analytics": "given"}


def test_a_policy_that_asks_about_nothing(make_site):
    sink = '[[sinks]]\nname = "memory:"\npurposes = ["security"]\n'
    site = make_site(policy=f'{sink}[purposes]\nsecurity = "Keep it safe"')
    assert site.get("/consent").status_code == 200
    assert site.get("/consent/state").json()["asks"] is False
    assert site.choose("accept").status_code == 303
    assert site.given() == []
    assert not Path(default_place()).exists()


@pytest.mark.parametrize(
    ("rules", "headers", "given"),
    [
        ("", {"sec_gpc": "1"}, ["analytics", "preferences"]),
        ("", {"sec_gpc": "0"}, ALL),
        ("gpc = []", {"sec_gpc": "1"}, ALL),
        ('gpc = ["analytics", "marketing"]', {"sec_gpc": "1"}, ["preferences"]),
        ("", {"dnt": "1"}, ALL),
        ("dnt = true", {"dnt": "1"}, ["analytics", "preferences"]),
        ("choice_outranks_signal = true", {"sec_gpc": "1"}, ALL),
    ],
)
def test_a_signal_is_not_overruled_by_accept(make_site, rules, headers, given):
    site = make_site(policy=POLICY.replace("days = 100", rules))
    answer = site.post("/consent/decide", {"choice": "accept"}, accept="application/json", **headers)
    assert sorted(name for name, state in answer.json()["states"].items() if state == "given") == given
    assert answer.json()["signal"] is (given != ALL or "outranks" in rules or headers == {"sec_gpc": "1"})
    [record] = site.records()
    assert sorted(name for name, state in record.states.items() if state == "given") == given


# What the visitor was shown


STALE = [{}, {"policy": ""}, {"policy": "0" * 16}]


@pytest.mark.parametrize("stale", STALE)
@pytest.mark.parametrize("via", ["form", "banner"])
def test_a_policy_that_was_not_shown_is_not_consented_to(site, stale, via):
    fields = {"choice": "accept", "via": via, "lang": "en", "back": "/shop", **stale}
    headers = {**OWN, "content-type": "application/x-www-form-urlencoded"}
    answer = site.browser.post("/consent/decide", data=fields, headers=headers)
    assert (answer.status_code, lines_of(answer)) == (409, [])
    assert answer.headers["content-type"].startswith("text/html")
    assert "The policy has changed meanwhile" in answer.text
    assert f'name="policy" value="{site.policy.consent_hash}"' in answer.text
    assert 'value="/shop"' in answer.text
    for_script = site.browser.post("/consent/decide", data=fields, headers=headers | {"accept": "application/json"})
    assert (for_script.status_code, "policy.consent_hash" in for_script.json()["error"]) == (409, True)
    assert site.call("/consent/decide", fields).status_code == (200 if (via, stale) == ("form", {}) else 409)


@pytest.mark.parametrize("stale", STALE)
def test_refusing_and_withdrawing_need_no_policy(site, stale):
    for path, choice in [("/consent/decide", "refuse"), ("/consent/decide", "save"), ("/consent/withdraw", "")]:
        site.choose("accept")
        fields = {"choice": choice, **stale} if choice else stale
        headers = {**OWN, "content-type": "application/x-www-form-urlencoded"}
        assert site.browser.post(path, data=fields, headers=headers).status_code == 303
        assert site.given() == []


@pytest.mark.parametrize("path", ["", "/banner"])
def test_forms_carry_the_policy_that_they_show(site, path):
    html = site.get(f"/consent{path}").text
    assert html.count("<form") == html.count(f'name="policy" value="{site.policy.consent_hash}"') > 0


@pytest.mark.parametrize("before", [(), ("analytics",), ALL])
@pytest.mark.parametrize("headers", [{}, {"sec_gpc": "1"}])
@pytest.mark.parametrize("rules", ["", "choice_outranks_signal = true", 'mode = "implied"'])
@pytest.mark.parametrize("back", ["", "/shop"])
def test_the_ledger_keeps_what_this_visitor_was_shown(make_site, before, headers, rules, back):
    site = make_site(policy=POLICY.replace("days = 100", rules))
    if before:
        site.choose("save", *before)
    seen = plain_text(site.get(f"/consent?lang=ru&back={back}", **headers).text)
    site.post("/consent/decide", {"choice": "refuse", "lang": "ru", "back": back}, **headers)
    ledger = Ledger(default_place(), timeout_s=60)
    texts = dict(ledger.texts())
    ledger.close()
    assert texts[site.records()[-1].text_hash].text == seen


# What is sent, and how it is answered


@pytest.mark.parametrize("as_json", [True, False])
def test_an_answer_for_scripts_is_the_new_state(site, as_json):
    fields = {"choice": "save", "category": ["analytics"], "via": "banner", "lang": "kk"}
    fields["policy"] = site.policy.consent_hash
    post = site.call if as_json else site.post
    answer = post("/consent/decide", fields, accept="application/json")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == site.get("/consent/state").json()
    assert set(answer.json()) == {"asks", "states", "source", "policy", "signal", "language"}
    assert answer.json()["policy"]["consent_hash"] == site.policy.consent_hash
    assert "receipt" not in answer.text
    assert site.given() == ["analytics"]
    taken_back = post("/consent/withdraw", {"via": "banner"}, accept="application/json")
    assert taken_back.json()["states"]["analytics"] == "withdrawn"


@pytest.mark.parametrize(
    ("send", "method", "language"),
    [
        (lambda site: site.choose("accept", via="form", lang="ru"), "form", "ru"),
        (lambda site: site.choose("accept", via="banner", lang="kk"), "banner", "kk"),
        (lambda site: site.choose("accept", via="anything", lang="xx"), "form", "en"),
        (lambda site: site.call("/consent/decide", {"choice": "refuse", "via": "banner"}), "banner", "en"),
        (lambda site: site.call("/consent/decide", {"choice": "accept", "lang": "ru"}), "api", "ru"),
    ],
)
def test_the_record_says_how_and_what_was_shown(site, send, method, language):
    send(site)
    [record] = site.records()
    assert (record.method, record.language) == (method, language)
    assert bool(record.text_hash) is (method != "api")  # what another program has shown isn't ours


def test_page_and_banner_show_different_texts_in_each_language(site):
    for via in ["form", "banner"]:
        for lang in ["kk", "ru", "en"]:
            site.choose("refuse", via=via, lang=lang)
    assert len({record.text_hash for record in site.records()}) == 6


@pytest.mark.parametrize(
    ("back", "location"),
    [
        ("/shop", "/shop"),
        ("/тарифы", "/%D1%82%D0%B0%D1%80%D0%B8%D1%84%D1%8B"),
        ("//evil.example", None),
        ("https://evil.example", None),
        ("/\\evil.example", None),
        ("/%2Fevil.example", None),
        ("/a\r\nSet-Cookie: a=b", None),
        ("", None),
    ],
)
def test_back_is_a_path_of_this_site(site, back, location):
    answer = site.choose("refuse", back=back, lang="ru")
    assert answer.status_code == 303
    assert answer.headers["location"] == (location or "/consent?status=saved&lang=ru")
    assert site.withdraw(back=back, lang="kk").headers["location"] == (location or "/consent?status=withdrawn&lang=kk")
    assert site.browser.cookies.get("a") is None


def test_without_anywhere_to_go_back_to_the_page_says_what_happened(site):
    location = site.choose("accept").headers["location"]
    assert site.get(location).text != site.get("/consent").text
    assert site.get("/consent?status=not_saved").text == site.get("/consent").text
    assert site.get("/consent?status=<script>").text == site.get("/consent").text


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ([], set()),
        ([("accept",)], {"saved"}),
        ([("refuse",)], {"saved", "withdrawn"}),
        ([("accept",), ("save", "analytics")], {"saved"}),
        ([("accept",), ("refuse",)], {"saved", "withdrawn"}),
    ],
)
def test_only_what_is_true_is_said(site, choices, said):
    for choice in choices:
        site.choose(*choice)
    plain = site.get("/consent").text
    assert {status for status in ("saved", "withdrawn") if site.get(f"/consent?status={status}").text != plain} == said


@pytest.mark.parametrize("back", ["/consent/withdraw", "/consent/decide"])
def test_a_script_that_withdraws_gets_the_receipt_to_keep(site, back):
    site.choose("accept")
    receipt = chosen(site).receipt
    answer = site.call(back, {"choice": "refuse"})
    assert answer.json()["receipt"] == receipt
    assert "receipt" not in site.call(back, {"choice": "refuse"}).json()


def test_withdrawing_with_an_empty_post(site):
    site.choose("accept")
    assert site.browser.post("/consent/withdraw", headers=OWN).status_code == 303
    assert site.given() == []
    assert site.records()[-1].method == "api"
    assert site.browser.post("/consent/decide", headers=OWN).status_code == 400


def test_a_slash_at_the_end(make_site):
    answer = make_site(mount="/sub").get("/sub/consent/?lang=kk")
    assert (answer.status_code, answer.headers["location"]) == (308, "/sub/consent?lang=kk")
    before_any_app = make_site(app=with_consent_routes(Bare())).get("/consent/")
    assert (before_any_app.status_code, before_any_app.headers["location"]) == (308, "/consent")


@pytest.mark.parametrize("path", ["/consent/decide", "/consent/withdraw"])
@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"choice=accept", {"sec-fetch-site": "cross-site"}, 403),
        (b"choice=accept", {"sec-fetch-site": "same-site"}, 403),
        (b"choice=accept", {"sec-fetch-site": None}, 403),
        (b"choice=accept", {"sec-fetch-site": None, "origin": "https://evil.example"}, 403),
        (b"choice=accept", {"sec-fetch-site": None, "origin": f"http://{HOST}"}, 403),
        (b"choice=accept", {"sec-fetch-site": None, "origin": f"https://{HOST}:8443"}, 403),
        (b"choice=accept", {"content-type": "text/plain"}, 415),
        (b"choice=accept", {"content-type": "multipart/form-data; boundary=x"}, 415),
        (b"choice=accept", {"content-type": None}, 415),
        (b"choice=accept&x=" + b"x" * 4_096, {}, 413),
        (b"choice=yes", {}, 400),
        (b"\xff", {}, 400),
        (b"{", {"content-type": "application/json"}, 400),
    ],
)
def test_what_is_refused_changes_nothing(site, path, content, headers, status):
    site.choose("save", "analytics")
    sent = {**OWN, "content-type": "application/x-www-form-urlencoded", **headers}
    answer = site.browser.post(
        path, content=content, headers={name: value for name, value in sent.items() if value is not None}
    )
    assert answer.status_code == status
    assert lines_of(answer) == []
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"].startswith(("text/plain", "application/json"))
    assert site.given() == ["analytics"]
    assert len(site.records()) == 1


@pytest.mark.parametrize("fields", [{}, {"choice": ""}, {"choice": "save", "category": ["necessary"]}])
def test_a_choice_that_is_none(site, fields):
    answer = site.post("/consent/decide", fields)
    assert answer.status_code == 400
    assert answer.text.strip()
    assert site.records() == []


@pytest.mark.parametrize("origin", [f"https://{HOST}", f"https://{HOST}:443"])
def test_an_older_browser(site, origin):
    answer = site.browser.post(
        "/consent/decide", data={"choice": "accept", "policy": site.policy.consent_hash}, headers={"origin": origin}
    )
    assert answer.status_code == 303
    assert site.given() == ALL


def test_a_body_of_just_4_kb(site):
    content = f"choice=accept&policy={site.policy.consent_hash}&x=".encode().ljust(4_096, b"x")
    headers = {**OWN, "content-type": "application/x-www-form-urlencoded"}
    assert site.browser.post("/consent/decide", content=content, headers=headers).status_code == 303


def test_a_body_is_counted_whatever_its_length_says(site):
    def endless():
        while True:
            yield b"x" * 1_024
            sent.append(1_024)

    sent = []
    headers = {**OWN, "content-type": "application/x-www-form-urlencoded"}
    scope = {**make_scope("/consent/decide", method="POST", headers=[("host", HOST), *headers.items()])}
    incoming = ({"type": "http.request", "body": chunk, "more_body": True} for chunk in endless())
    answer = serve(site.recording.app, scope, *(next(incoming) for _ in range(8)))
    assert answer[0]["status"] == 413


def test_a_client_that_leaves_in_the_middle(site):
    headers = [("host", HOST), *OWN.items(), ("content-type", "application/x-www-form-urlencoded")]
    scope = make_scope("/consent/decide", method="POST", headers=headers)
    part = {"type": "http.request", "body": b"choice=acc", "more_body": True}
    serve(site.recording.app, scope, part, {"type": "http.disconnect"})
    assert site.records() == []


# Methods and headers


@pytest.mark.parametrize("path", [*PAGES, "/decide", "/withdraw"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE"])
def test_methods(site, path, method):
    answer = site.browser.request(method, f"/consent{path}", headers=OWN)
    is_post = path in {"/decide", "/withdraw"}
    allowed = {"POST"} if is_post else {"GET", "HEAD"}
    assert (answer.status_code == 405) is (method not in allowed)
    options = site.browser.options(f"/consent{path}")
    assert (options.status_code, set(options.headers["allow"].split(", "))) == (204, {*allowed, "OPTIONS"})


@pytest.mark.parametrize("path", PAGES)
def test_reading_changes_nothing(site, path):
    site.choose("save", "analytics")
    for query in ["?choice=accept&category=marketing", "?choice=refuse"]:
        assert lines_of(site.get(f"/consent{path}{query}")) == []
    assert site.given() == ["analytics"]
    assert len(site.records()) == 1


@pytest.mark.parametrize(
    ("path", "content_type", "caching"),
    [
        ("", "text/html; charset=utf-8", "no-store"),
        ("/banner", "text/html; charset=utf-8", "no-store"),
        ("/state", "application/json", "no-store"),
        ("/receipt", "application/json", "no-store"),
        ("/policy", "text/html; charset=utf-8", "public, max-age=300"),
        ("/banner.js", "text/javascript; charset=utf-8", "public, max-age=3600"),
        ("/consent.css", "text/css; charset=utf-8", "public, max-age=3600"),
    ],
)
def test_headers(site, path, content_type, caching):
    answer = site.get(f"/consent{path}")
    assert answer.headers["content-type"] == content_type
    assert answer.headers["cache-control"] == caching
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert ("Cookie" in answer.headers.get("vary", "")) is (caching == "no-store")
    if content_type.startswith("text/html"):
        assert answer.headers["content-security-policy"] == CSP


def test_files_are_fetched_once(site):
    first = site.get("/consent/consent.css")
    again = site.get("/consent/consent.css", if_none_match=f'"x", W/{first.headers["etag"]}')
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert site.get("/consent/consent.css", if_none_match='"x"').status_code == 200
    assert site.get("/consent/consent.css", if_none_match="*").status_code == 304


@pytest.mark.parametrize("path", ["", "/banner", "/policy"])
@pytest.mark.parametrize(
    ("query", "accepted", "language"),
    [
        ("", "kk-KZ, ru;q=0.8", "kk"),
        ("", "ru", "ru"),
        ("", "de", "en"),
        ("?lang=kk", "ru", "kk"),
        ("?lang=xx", "ru", "ru"),
    ],
)
def test_languages(site, path, query, accepted, language):
    assert f'lang="{language}"' in site.get(f"/consent{path}{query}", accept_language=accepted).text[:400]


def test_the_policy_for_programs(site):
    data = site.get("/consent/policy", accept="application/json").json()
    assert (data["version"], data["hash"]) == ("3", site.policy.hash)
    browser = site.get("/consent/policy", accept="text/html,application/json;q=0.9")
    assert browser.headers["content-type"].startswith("text/html")


def test_what_a_cache_keeps_depends_on_nothing_but_vary(site):
    odd = site.get("/consent/policy", content_type="application/json", accept="text/html")
    assert odd.headers["content-type"].startswith("text/html")
    assert odd.headers["vary"] == "Accept, Accept-Language"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", {"gpc": True}),
        ("[consent]\ngpc = []", {"gpc": False}),
        ("effective = 2026-03-01", {"gpc": True, "lastUpdate": "2026-03-01"}),
        (
            'effective = 2026-03-01\n[[changes]]\nversion = "2"\neffective = 2026-04-05\nsummary = "x"',
            {"gpc": True, "lastUpdate": "2026-04-05"},
        ),
        (
            'effective = 2026-03-01\n[[changes]]\nversion = "2"\neffective = 2999-04-05\nsummary = "announced"',
            {"gpc": True, "lastUpdate": "2026-03-01"},
        ),
        ("effective = 2999-03-01", {"gpc": True}),
    ],
)
def test_gpc_json(make_site, policy, expected):
    answer = make_site(policy=policy).get("/.well-known/gpc.json")
    assert answer.json() == expected
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "public, max-age=86400"


def test_no_event_is_recorded(site):
    site.choose("accept")
    for path in PAGES:
        site.get(f"/consent{path}")
    site.browser.put("/consent")
    site.withdraw()
    site.get("/.well-known/gpc.json")
    site.get("/")
    [event] = site.recording.events()
    assert event.status == 200
    assert site.recording.dropped() == {"excluded": 4 + len(PAGES)}


# What fails


@pytest.fixture(params=["folder", "nobody listens"])
def broken_ledger(request, tmp_path):
    return {
        "folder": str(tmp_path),
        "nobody listens": f"postgresql://nobody:hushhush@127.0.0.1:{free_port()}/none",
    }[request.param]


def test_without_a_ledger_refusing_and_withdrawing_work(make_site, tmp_path, broken_ledger, caplog):
    granting = make_site()
    granting.choose("save", "analytics")
    granting.browser.cookies.set("_ga", "1")
    site = make_site(ledger=broken_ledger)
    site.browser.cookies = granting.browser.cookies
    refused = site.choose("save", "marketing", lang="en")
    assert refused.status_code == 503
    assert refused.headers["content-type"].startswith("text/html")
    assert lines_of(refused) == []
    assert site.call("/consent/decide", {"choice": "accept"}).json()["error"]
    assert site.given() == ["analytics"]
    assert site.get("/consent/receipt").status_code == 503
    withdrawn = site.withdraw()
    assert withdrawn.status_code == 303
    assert "_ga" in expired_by(withdrawn)
    assert site.states()["analytics"] == "withdrawn"
    assert site.choose("refuse").status_code == 303
    failures = [record for record in caplog.records if "ledger" in record.getMessage()]
    assert len(failures) == 1
    assert "hushhush" not in caplog.text
    site.close()
    assert site.recording.counts().workers[0].noted["ledger_failed"] == 5


def test_without_a_ledger_one_category_can_be_withdrawn(make_site, tmp_path):
    granting = make_site()
    granting.choose("save", "analytics", "preferences")
    site = make_site(ledger=tmp_path)
    site.browser.cookies = granting.browser.cookies
    before = chosen(site)
    assert site.choose("save", "analytics").status_code == 303
    assert site.states() == {"analytics": "given", "preferences": "withdrawn", "marketing": "refused"}
    assert (chosen(site).receipt, chosen(site).day) == (before.receipt, before.day)  # it is proved still
    assert site.choose("save", "preferences").status_code == 503
    assert site.given() == ["analytics"]


def test_a_ledger_that_hangs_holds_nobody_up_for_long(tmp_path):
    """A server that takes the connection, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ledger = f"postgresql://nobody@127.0.0.1:{server.getsockname()[1]}/none"
        with contextlib.closing(Site(tmp_path / "site", ledger=ledger)) as site:
            assert site.choose("accept").status_code == 503
            assert site.choose("refuse").status_code == 303
            assert site.states() == dict.fromkeys(ALL, "refused")


def test_without_a_secret_nothing_is_granted(make_site):
    site = make_site(secret=None)
    answer = site.choose("accept")
    assert (answer.status_code, lines_of(answer)) == (503, [])
    assert answer.text == site.browser.post("/consent/decide", data={"choice": "accept"}, headers=OWN).text
    assert site.call("/consent/decide", {"choice": "accept"}).status_code == 503
    for refused in [site.choose("refuse"), site.withdraw()]:
        assert (refused.status_code, refused.headers["location"]) == (303, "/consent?status=no_secret&lang=en")
        assert not [line for line in lines_of(refused) if line.startswith("__Host-centtrack=")]
    assert site.given() == []
    assert site.get("/consent").status_code == 200
    assert not Path(default_place()).exists()


def test_without_a_secret_nobody_is_asked_and_the_page_says_why(make_site):
    """The banner would come back with every page."""
    site = make_site(secret=None, app=Starlette(routes=[Route("/shop", shop), *consent_routes()]))
    assert site.get("/consent/state").json()["asks"] is False
    assert site.get("/shop").text == "<body>"
    location = site.choose("refuse", back="/shop").headers["location"]
    assert location == "/consent?status=no_secret&lang=en&back=%2Fshop"
    said = site.get(location).text
    assert "can&#39;t remember choices" in said
    assert "later" not in said
    assert "moment" not in site.call("/consent/decide", {"choice": "accept"}).text


def test_with_another_banner_ours_keeps_quiet(make_site):
    policy = POLICY.replace("[consent]", '[consent]\nbanner = { kind = "cookiebot" }')
    site = make_site(policy=policy, app=Starlette(routes=[Route("/shop", shop), *consent_routes()]))
    assert site.get("/consent/state").json()["asks"] is False
    assert site.get("/shop").text == "<body>"
    site.choose("accept")
    assert site.given() == ALL


def test_a_receipt_before_there_is_a_ledger(site, caplog):
    site.choose("accept")
    Path(default_place()).unlink()
    answer = site.get("/consent/receipt")
    assert answer.status_code == 404
    assert answer.json()["error"]
    assert not [record for record in caplog.records if "ledger" in record.getMessage()]


def test_a_receipt_that_was_erased(site):
    site.choose("accept")
    ledger = Ledger(default_place(), [SECRET], timeout_s=60)
    ledger.erase(site.records()[0].receipt)
    ledger.close()
    assert site.get("/consent/receipt").status_code == 404


@pytest.mark.parametrize("token", ["forged", "a.b", "x" * 3_000])
def test_a_forged_choice_is_none(site, token):
    site.browser.cookies.set("__Host-centtrack", token)
    assert site.get("/consent/receipt").status_code == 404
    assert site.get("/consent").status_code == 200
    assert site.given() == []


def test_a_choice_under_an_older_policy_is_asked_for_again(make_site):
    older, site = make_site(), make_site(policy=POLICY + '[purposes]\nanalytics = "Visits"\nsecurity = "New"')
    older.choose("accept")
    site.browser.cookies = older.browser.cookies
    assert set(site.states().values()) == {"expired"}
    assert site.get("/consent/state").json()["asks"] is True
    site.choose("refuse")
    assert set(site.states().values()) == {"withdrawn"}


def test_writing_is_limited_for_each_address(make_site, caplog, monkeypatch):
    monkeypatch.setattr(desk, "WriteLimit", partial(WriteLimit, burst=20, clock=lambda: 0.0))  # no time passes
    site, other = make_site(), make_site(client=("203.0.113.8", 1))
    for _ in range(20):
        site.browser.cookies.clear()
        assert site.choose("save", "analytics", "preferences").status_code == 303
    answer = site.choose("accept")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "6"
    assert lines_of(answer) == []
    assert "centtrack-failed" in answer.text
    assert site.call("/consent/decide", {"choice": "accept"}).status_code == 429
    assert other.choose("accept").status_code == 303
    assert site.choose("save", "analytics").status_code == 303
    assert site.given() == ["analytics"]
    assert site.withdraw().status_code == 303
    assert site.given() == []
    assert site.choose("refuse").status_code == 303
    assert len(site.records()) == 21  # with that of the other
    assert [record.levelname for record in caplog.records if "trusted_proxies" in record.getMessage()] == ["WARNING"]
    site.close()
    assert site.recording.counts().workers[0].noted == {"ledger_limited": 3}


# Where it is put


def test_below_a_mount(make_site):
    site = make_site(mount="/sub")
    assert 'action="/sub/consent/decide"' in site.get("/sub/consent").text
    assert site.post("/sub/consent/decide", {"choice": "accept"}).headers["location"].startswith("/sub/consent?")
    assert site.records()[0].withdrawal_method == "/sub/consent"


@pytest.mark.parametrize("has_root", [True, False], ids=["path has it", "path has it not"])
def test_below_a_root_path(make_site, has_root):
    site = make_site(root_path="/behind me")
    at = "/behind%20me/consent" if has_root else "/consent"
    assert 'action="/behind%20me/consent/decide"' in site.get(at).text
    assert site.post(at + "/decide", {"choice": "accept"}).headers["location"].startswith("/behind%20me/consent?")


def test_another_prefix(make_site):
    site = make_site(prefix="/privacy/cookies")
    assert 'action="/privacy/cookies/decide"' in site.get("/privacy/cookies").text
    assert site.get("/consent").status_code == 404


@pytest.mark.parametrize("prefix", ["", "/", "consent", "/consent/", "/a//b", "/{x}", "/a b", "https://x", "/a\n"])
def test_a_prefix_that_cannot_be_used(prefix):
    with pytest.raises(ConfigurationError, match="prefix="):
        consent_routes(prefix=prefix)


def add_to_router(app):
    app.router.routes.extend(consent_routes())
    return ""


def mount(app):
    app.mount("/sub", Starlette(routes=consent_routes()))
    return "/sub"


@pytest.mark.parametrize("add", [add_to_router, mount])
def test_fastapi(make_site, add):
    app = fastapi.FastAPI()

    @app.get("/quote")
    def quote(request: fastapi.Request):
        return {"banner": bool(consent_banner(request))}

    base = add(app)
    site = make_site(app=app)
    assert site.get("/quote").json() == {"banner": True}
    assert site.post(f"{base}/consent/decide", {"choice": "accept"}).status_code == 303
    assert site.get("/quote").json() == {"banner": False}
    assert "/consent" not in json.dumps(site.get("/openapi.json").json())


class Bare:
    """An app that speaks ASGI by hand, and notes what it was asked."""

    def __init__(self):
        self.asked = []

    async def __call__(self, scope, receive, send):
        self.asked.append((scope["type"], scope.get("path")))
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})
        else:
            await send(start())
            await send(body(b"the app"))


def test_before_any_app(make_site):
    app = Bare()
    site = make_site(app=with_consent_routes(app))
    with site.browser:
        assert site.choose("accept").status_code == 303
        assert site.given() == ALL
        for path in ["/", "/consent/other", "/consenting", "/x/consent"]:
            assert site.get(path).text == "the app"
        with contextlib.suppress(Exception), site.browser.websocket_connect("/consent"):
            pass
    assert [kind for kind, _ in app.asked] == ["lifespan", *["http"] * 4, "websocket"]
    assert len(site.records()) == 1


def test_before_any_app_below_a_root_path(make_site):
    app = Bare()
    site = make_site(app=with_consent_routes(app), root_path="/behind")
    assert 'action="/behind/consent/decide"' in site.get("/behind/consent").text
    assert site.get("/behind/other").text == "the app"
    assert site.get("/consenting").text == "the app"


def test_the_app_gets_its_scope_untouched():
    seen = []

    async def app(scope, _receive, send):
        seen.append(dict(scope))
        await send(start())
        await send(body())

    scope: Message = make_scope("/shop", headers=[("host", HOST)])
    serve(with_consent_routes(app), scope)
    assert seen == [make_scope("/shop", headers=[("host", HOST)])]


def test_without_the_middleware(caplog):
    client = TestClient(Starlette(routes=consent_routes()))
    for path in [*PAGES, "/decide", "/withdraw"]:
        answer = client.request("POST" if path in {"/decide", "/withdraw"} else "GET", f"/consent{path}")
        assert answer.status_code == 503
        assert answer.headers["content-type"].startswith("text/plain")
    assert client.get("/.well-known/gpc.json").status_code == 503
    [error] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "TelemetryMiddleware(with_consent_routes(app)" in error.getMessage()
    assert "none around" in error.getMessage()
    assert "disabled" in error.getMessage()


def test_templates_of_the_site(make_site, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "banner.html").write_text("<p data-x>{{ base }}</p>")
    site = make_site(templates=tmp_path / "mine")
    assert site.get("/consent/banner").text == "<p data-x>/consent</p>"
    assert site.choose("accept", via="banner").status_code == 303


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"templates": "no such folder"}, "templates="),
        ({"ledger": "mysql://127.0.0.1/x"}, "ledger"),
        ({"ledger": "sqlite://"}, "ledger"),
    ],
)
def test_mistakes_are_found_at_start(options, reason):
    with pytest.raises(ConfigurationError, match=reason):
        consent_routes(**options)


def test_a_mistake_in_the_environment_is_found_at_start(monkeypatch):
    monkeypatch.setenv("CENTTRACK_LEDGER", "mysql://127.0.0.1/x")
    with pytest.raises(ConfigurationError, match="ledger"):
        with_consent_routes(Bare())


# The banner in a page of the app


async def shop(request: Request):
    return HTMLResponse(f"<body>{consent_banner(request, prefix=request.query_params.get('p', '/consent'))}")


@pytest.fixture
def shop_site(make_site):
    routes = [Route("/shop", shop), Mount("/deep", routes=[Route("/shop", shop)]), *consent_routes()]
    return make_site(app=Starlette(routes=routes))


def test_the_banner_is_in_the_page_until_a_choice_is_made(shop_site):
    first = shop_site.get("/shop?q=%D0%B0&x=1")
    assert 'action="/consent/decide"' in first.text
    assert 'value="/shop?q=%D0%B0&amp;x=1"' in first.text
    assert first.headers["vary"] == "Cookie"
    assert first.headers["cache-control"] == "private"
    shop_site.choose("refuse")
    assert shop_site.get("/shop").text == "<body>"


def test_the_banner_below_a_mount_posts_to_the_root(shop_site):
    found = shop_site.get("/deep/shop").text
    assert 'action="/consent/decide"' in found
    assert 'value="/deep/shop"' in found


def test_the_banner_speaks_the_visitors_language(shop_site):
    assert 'lang="kk"' in shop_site.get("/shop", accept_language="kk").text


def test_the_banner_is_left_out_without_the_middleware(caplog):
    scope = make_scope("/shop", headers=[("host", HOST)])
    assert consent_banner(scope) == consent_banner(Request(scope)) == ""
    assert len([record for record in caplog.records if "banner" in record.getMessage()]) == 1


def test_the_day_of_a_choice_is_all_that_the_cookie_tells_of_its_time(site):
    before = dt.datetime.now(dt.UTC).date()
    site.choose("accept")
    after = dt.datetime.now(dt.UTC).date()  # another one at midnight
    assert chosen(site).day in {(day - dt.date(1970, 1, 1)).days for day in (before, after)}
