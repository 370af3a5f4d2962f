"""The cookie gate in the middleware, message by message; and that all else of a response stays as it was."""

import logging
import time

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from asgi import Recording, body, sending, start
from centtrack import PrivacyPolicy, TelemetryMiddleware, consent_of
from centtrack.consent.gate import CookieGate
from centtrack.consent.token import Choice, ConsentTokens
from centtrack.testing import MemorySink, make_scope

SECRET = b"s" * 32
REGISTRY = """
[[cookies]]
name = "session"
category = "necessary"
[[cookies]]
name = "_ga"
category = "analytics"
[[cookies]]
name = "ad"
category = "marketing"
"""


def policy(gate="declared", options=""):
    return PrivacyPolicy.parse(f'[limits.default]\ntime = "second"\n[consent]\ngate = "{gate}"\n{options}\n{REGISTRY}')


DECLARED = policy()


def choice(rules=DECLARED, **decisions):
    """The consent cookie of a visitor who decided so today."""
    made = Choice(decisions, rules.consent_hash, int(time.time() // 86_400))
    return "__Host-centtrack=" + ConsentTokens([SECRET]).sign(made).decode()


def scope(*cookies, **options):
    headers = [("host", "shop.example"), *([("cookie", "; ".join(cookies))] if cookies else [])]
    return {**make_scope(headers=headers, **options), "scheme": "https"}


def setting(*lines, kind="http.response.start", **fields):
    """The begin of a response that sets cookies, with other headers around them."""
    headers = [(b"X-First", b"\xff"), *((b"Set-Cookie", line) for line in lines), (b"x-last", b"")]
    return {"type": kind, "status": 200, "headers": headers, **fields}


def names(message):
    return [value.partition(b"=")[0].decode() for name, value in message["headers"] if name.lower() == b"set-cookie"]


def others(message):
    return [(name, value) for name, value in message["headers"] if name.lower() != b"set-cookie"]


@pytest.fixture
def recording(tmp_path):
    made = []

    def record(app, rules=DECLARED, **options):
        folder = tmp_path / str(len(made))
        made.append(Recording(folder, app, **{"policy": rules, "secret": SECRET, **options}))
        return made[-1]

    yield record
    for one in made:
        one.close()


LINES = (b"session=1; Path=/; HttpOnly", b"_ga=2; Path=/; Partitioned; x=\xff", b"ad=3", b"unknown=4")


@pytest.mark.parametrize(
    ("gate", "decisions", "passes"),
    [
        ("observe", {}, ["session", "_ga", "ad", "unknown"]),
        ("declared", {}, ["session", "unknown"]),
        ("declared", {"analytics": "refused", "marketing": "granted"}, ["session", "ad", "unknown"]),
        ("declared", {"analytics": "withdrawn"}, ["session", "unknown"]),
        ("enforce", {"analytics": "granted"}, ["session", "_ga"]),
        ("enforce", {}, ["session"]),
    ],
)
def test_only_granted_cookies_pass(recording, gate, decisions, passes):
    rules = policy(gate)
    message, end = setting(*LINES), body(b"<p>hello")
    first, last = recording(sending(message, end), rules).serve(
        scope(*([choice(rules, **decisions)] * bool(decisions)))
    )
    assert names(first) == passes
    assert last == end
    kept = [value for name, value in first["headers"] if name == b"Set-Cookie"]
    assert kept == [line for line in LINES if line.partition(b"=")[0].decode() in passes]
    added = [] if len(passes) == len(LINES) else [(b"cache-control", b"private"), (b"vary", b"Cookie")]
    assert others(first) == [*others(message), *added]


@pytest.mark.parametrize(
    ("headers", "becomes"),
    [
        ([], ["private", "Cookie"]),
        ([("cache-control", "public, max-age=60")], ["max-age=60, private", "Cookie"]),
        ([("Cache-Control", "no-store")], ["no-store", "Cookie"]),
        ([("vary", "Accept-Encoding")], ["private", "Accept-Encoding", "Cookie"]),
        ([("vary", "*")], ["private", "*"]),
        ([("surrogate-control", "max-age=60")], ["private", "Cookie"]),
    ],
)
def test_a_response_that_lost_a_cookie_is_for_one_visitor(recording, headers, becomes):
    message = setting(b"ad=3")
    message["headers"] += [(name.encode(), value.encode()) for name, value in headers]
    first, _ = recording(sending(message, body())).serve(scope())
    caching = {b"cache-control", b"vary", b"surrogate-control"}
    assert sorted(value.decode() for name, value in first["headers"] if name.lower() in caching) == sorted(becomes)


def test_a_message_without_cookies_is_the_same_object(recording):
    message = start()
    site = recording(sending(message, body()))
    assert site.serve(scope())[0] is message
    assert recording(sending(granted := setting(b"session=1"), body())).serve(scope())[0] is granted


def test_trailers_are_gated(recording):
    trailers = setting(*LINES, kind="http.response.trailers", more_trailers=False)
    begin = {**start(), "trailers": True}
    sent = recording(sending(begin, body(), trailers)).serve(scope())
    assert names(sent[-1]) == ["session", "unknown"]
    assert others(sent[-1]) == others(trailers)


@pytest.mark.parametrize("gate", ["observe", "declared"])
def test_a_websocket_that_is_accepted(recording, gate):
    accept = {"type": "websocket.accept", "headers": setting(*LINES)["headers"]}
    close = {"type": "websocket.close"}
    request = {**scope(), "type": "websocket", "scheme": "wss"}
    sent = recording(sending(accept, close), policy(gate)).serve(request)
    assert names(sent[0]) == (["session", "unknown"] if gate == "declared" else ["session", "_ga", "ad", "unknown"])
    assert others(sent[0]) == others(accept)


def test_a_websocket_that_is_refused_with_a_response(recording):
    refusal = setting(*LINES, kind="websocket.http.response.start")
    end = {"type": "websocket.http.response.body", "body": b"no"}
    request = {**scope(), "type": "websocket", "scheme": "wss"}
    sent = recording(sending(refusal, end, {"type": "websocket.close"})).serve(request)
    assert names(sent[0]) == ["session", "unknown"]
    assert (b"vary", b"Cookie") in sent[0]["headers"]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_values_of_other_types(recording, kind):
    message = setting(*LINES)
    message["headers"] = [(name, kind(value)) for name, value in message["headers"]]
    first, _ = recording(sending(message, body())).serve(scope())
    assert [bytes(value).partition(b"=")[0] for name, value in first["headers"] if name == b"Set-Cookie"] == [
        b"session",
        b"unknown",
    ]


def test_made_up_names_do_not_silence_other_problems(recording, monkeypatch, caplog):
    async def app(scope, _receive, send):
        await send(setting(*(b"tmp_%d=1" % number for number in range(100))))
        await send(body())

    site = recording(app)
    site.serve(scope())
    assert sum("[[cookies]]" in record.getMessage() for record in caplog.records) == 64
    monkeypatch.setattr(CookieGate, "guard", _fails)
    site.serve(scope())
    assert "the cookie gate failed" in caplog.text


def test_headers_that_can_be_read_only_once(recording):
    async def app(_scope, _receive, send):
        await send({**start(), "headers": (pair for pair in setting(*LINES)["headers"])})
        await send(body())

    assert names(recording(app).serve(scope())[0]) == ["session", "unknown"]


def _fails(*_args, **_options):
    raise ZeroDivisionError


@pytest.mark.parametrize("broken", ["guard", "_passes", "_category"])
@pytest.mark.parametrize("gate", ["declared", "enforce"])
def test_a_gate_that_fails_passes_necessary_cookies_and_the_whole_response(
    recording, monkeypatch, caplog, broken, gate
):
    site = recording(sending(setting(*LINES), body(b"whole", more=True), body(b" response")), policy(gate))
    monkeypatch.setattr(CookieGate, broken, _fails, raising=False)
    if broken == "_category":
        monkeypatch.setattr(site.app._editor.gate, broken, _fails)
    first, *parts = site.serve(scope(choice(analytics="granted")))
    assert names(first) == ["session"]
    assert (b"cache-control", b"private") in first["headers"]
    assert b"".join(part["body"] for part in parts) == b"whole response"
    assert "ZeroDivisionError" in caplog.text
    assert site.counts().noted["gate_failed"] == 1


def test_consent_that_cannot_be_read_is_none(recording, monkeypatch):
    site = recording(sending(setting(*LINES), body()))
    monkeypatch.setattr(site.app.pipeline.capture, "consent_of", _fails)
    assert names(site.serve(scope(choice(analytics="granted")))[0]) == ["session", "unknown"]


@pytest.mark.parametrize(("gate", "said"), [("observe", 0), ("declared", 1), ("enforce", 1)])
def test_an_undeclared_cookie_is_said_once_with_the_entry_to_add(recording, caplog, gate, said):
    site = recording(sending(setting(b'un"known\x07=1'), body()), policy(gate))
    for _ in range(3):
        site.serve(scope())
    lines = [record for record in caplog.records if "[[cookies]]" in record.getMessage()]
    assert len(lines) == said
    for record in lines:
        assert record.levelno == logging.WARNING
        assert 'name = "un\\"known\\u0007"' in record.getMessage()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"cart_77012345678", '"cart_[phone]"'),
        (b"cart_77012345678%20x", '"cart_[phone] x"'),
        (b"jane.doe%40example.com", '"[email]"'),
    ],
)
def test_personal_data_in_the_name_of_an_undeclared_cookie_is_not_logged(recording, caplog, name, shown):
    other = name.replace(b"5678", b"5679").replace(b"jane", b"john")
    site = recording(sending(setting(name + b"=1", other + b"=1"), body()), policy("enforce"))
    site.serve(scope())
    [said] = [record.getMessage() for record in caplog.records if "[[cookies]]" in record.getMessage()]
    assert f"sets a cookie {shown} that the policy doesn't declare" in said
    assert "--declare" not in said  # which names no such cookie


def test_an_unclassified_cookie_needs_a_category_not_an_entry(recording, caplog):
    rules = PrivacyPolicy.parse('[consent]\ngate = "enforce"\n[[cookies]]\nname = "odd"\ncategory = "unclassified"')
    first, _ = recording(sending(setting(b"odd=1"), body()), rules).serve(scope())
    assert names(first) == []
    assert 'a cookie "odd" that is unclassified' in caplog.text


# Cookies that came some other way


def test_what_came_past_the_gate_is_expired_on_the_next_page(recording):
    site = recording(sending(start(), body()))
    first, _ = site.serve(scope("_ga=1", "session=2", "unknown=3"))
    assert [value for name, value in first["headers"] if name == b"set-cookie"][:2] == [
        b"_ga=; Path=/; Max-Age=0; Secure",
        b"_ga=; Path=/; Max-Age=0; Domain=shop.example; Secure",
    ]
    assert {(b"cache-control", b"private"), (b"vary", b"Cookie")} <= set(first["headers"])


@pytest.mark.parametrize(
    ("message", "cookies", "gate"),
    [
        (start(content_type="image/png"), ["_ga=1"], "declared"),  # pictures stay in the caches
        (start(), [choice(analytics="granted"), "_ga=1"], "declared"),
        (start(), ["_ga=1"], "observe"),
        (start(), ["session=1"], "enforce"),
    ],
)
def test_nothing_else_is_expired(recording, message, cookies, gate):
    assert recording(sending(message, body()), policy(gate)).serve(scope(*cookies))[0] is message


@pytest.mark.parametrize(
    ("cookies", "seen"),
    [
        (["session=1", "_ga=2", "x=3"], [b"session=1; x=3"]),
        ([choice(analytics="granted"), "_ga=2", "ad=3"], [choice(analytics="granted").encode() + b"; _ga=2"]),
        (["_ga=2"], []),
        ([], []),
    ],
)
def test_the_app_does_not_see_what_is_not_granted(recording, cookies, seen):
    async def app(scope, _receive, send):
        found.append([value for name, value in scope["headers"] if name == b"cookie"])
        await send(start())
        await send(body())

    found = []
    rules = policy(options="hide = true")
    given = scope(*cookies)
    site = recording(app, rules)
    site.serve(given)
    assert found == [seen]
    assert site.event().consent["analytics"] == ("given" if len(cookies) == 3 and "=" in cookies[0][8:] else "unknown")


# What depends on consent


@pytest.mark.parametrize("headers", [{"headers": []}, {}])
def test_a_response_without_headers_too(recording, headers):
    async def app(scope, _receive, send):
        consent_of(scope)
        await send({"type": "http.response.start", "status": 200, **headers})
        await send(body())

    sent = recording(app).serve(scope())[0]
    assert set(sent["headers"]) == {(b"cache-control", b"private"), (b"vary", b"Cookie")}


@pytest.mark.parametrize("asks", [True, False])
def test_a_response_whose_app_asked_for_consent_is_for_one_visitor(recording, asks):
    async def app(scope, _receive, send):
        if asks:
            consent_of(scope)
        await send(start(cache_control="max-age=60"))
        await send(body())

    headers = dict(recording(app).serve(scope())[0]["headers"])
    assert headers[b"cache-control"] == (b"max-age=60, private" if asks else b"max-age=60")
    assert (b"vary" in headers) is asks


def test_the_outer_of_two_knows_that_the_app_asked(recording, tmp_path):
    async def app(scope, _receive, send):
        consent_of(scope)
        await send(start())
        await send(body())

    inner = TelemetryMiddleware(app, sink=MemorySink(), policy=DECLARED, journal=tmp_path / "inner.db", secret=SECRET)
    assert (b"vary", b"Cookie") in recording(inner).serve(scope())[0]["headers"]


# An app that uses cookies a lot


def busy_app():
    async def page(request):
        visits = request.session.get("visits", 0) + 1
        request.session["visits"] = visits
        response = HTMLResponse(f"<p>visit {visits}, token {request.cookies.get('csrftoken')}")
        response.set_cookie("csrftoken", "t" * 32, samesite="strict")
        return response

    async def many(_request):
        response = PlainTextResponse("many")
        for number in range(50):
            response.set_cookie(f"part{number}", str(number), path="/many", httponly=bool(number % 2))
        return response

    async def form(request):
        if request.cookies.get("csrftoken") != "t" * 32:
            return PlainTextResponse("forged", 403)
        return RedirectResponse("/", 303)

    async def stream(_request):
        async def parts():
            for number in range(200):
                yield b"%d," % number

        response = StreamingResponse(parts(), media_type="text/csv")
        response.set_cookie("session_part", "1")
        return response

    routes = [Route("/", page), Route("/many", many), Route("/form", form, methods=["POST"]), Route("/stream", stream)]
    return Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, secret_key="k")])


NECESSARY = "".join(
    f'[[cookies]]\nname = "{name}"\ncategory = "necessary"\n' for name in ("session*", "csrftoken", "part*")
)


def visit(app):
    """What a browser gets on a way through the site, and what it keeps."""
    with TestClient(app, base_url="https://shop.example", follow_redirects=False) as client:
        calls = [("POST", "/form"), ("GET", "/"), ("GET", "/many"), ("GET", "/many"), ("GET", "/stream")]
        calls += [("POST", "/form"), ("GET", "/"), ("GET", "/missing"), ("HEAD", "/")]
        answers = [client.request(method, path) for method, path in calls]
        jar = sorted((one.name, one.path, one.value) for one in client.cookies.jar if one.name != "session")
    return [(a.status_code, a.content, _stable(a.headers.multi_items())) for a in answers], jar


def _stable(headers):
    """Headers but for what the time of day makes different: a session's signature."""
    return [(name, value if not value.startswith("session=") else "session") for name, value in headers]


@pytest.mark.parametrize("gate", ["observe", "declared", "enforce"])
def test_an_app_whose_cookies_are_necessary_behaves_the_same(tmp_path, gate):
    rules = PrivacyPolicy.parse(f'[consent]\ngate = "{gate}"\n{NECESSARY}')
    behind = TelemetryMiddleware(
        busy_app(), policy=rules, sink=MemorySink(), journal=tmp_path / "journal.db", secret=SECRET
    )
    assert visit(behind) == visit(busy_app())
