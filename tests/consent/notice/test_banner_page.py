"""The page and the banner in a real browser: what visitors see and press."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

import pytest

from browsers import chromium, complaints, opened
from centtrack.consent.notice.notice import LANGUAGES, Notice
from centtrack.consent.state import NO_CHOICE, Consent, State
from centtrack.policy import PrivacyPolicy

pytest.importorskip("playwright", reason="no Playwright")
Axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe").Axe

CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
POLICY = """
version = "2"
effective = 2026-11-22
[controller]
name = "Qazyna"
contact = "https://qazyna.example/privacy"
[limits.consented]
visitor = "cookie"
[purposes]
analytics = {en = "Improve the service", ru = "Улучшение сервиса"}
marketing = "Offers"
[[cookies]]
name = "session"
category = "necessary"
purpose = {kk = "Жүйеге кіру"}
lifetime = 0
[[cookies]]
name = "theme"
category = "preferences"
[[cookies]]
name = "_ga*"
category = "analytics"
domain = ".a-rather-long-name-of-a-site.example"
lifetime = 400
[[sinks]]
name = "adnet"
party = "third"
purposes = ["marketing"]
[[changes]]
version = "2"
effective = 2026-03-01
summary = {ru = "Первая версия"}
"""
HOSTILE = """
[controller]
name = '"><script>hacked = 1</script>'
contact = "javascript:hacked=1//https://"
[purposes]
analytics = "<img src=x onerror=hacked=1><a href='javascript:hacked=1'>x</a>"
[[cookies]]
name = "'><svg><script>hacked</script>"
category = "analytics"
purpose = "</details></table><svg onload=hacked=1>"
"""
CONSENT_HASH = PrivacyPolicy.parse(POLICY).consent_hash
ALLOWED = Consent({"preferences": State.REFUSED, "analytics": State.GIVEN, "marketing": State.REFUSED}, "cookie")
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
LOOKS = [(scheme, size) for scheme in ("light", "dark") for size in (DESK, PHONE)]
DENIED = {"preferences": "refused", "analytics": "refused", "marketing": "refused"}


class Site(ThreadingHTTPServer):
    """A site with a banner, and the consent routes as far as a browser sees them."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.reset()

    def reset(self):
        """As it is before each test."""
        self.notice = Notice(PrivacyPolicy.parse(POLICY))
        self.consent, self.asks, self.fails, self.server_side, self.style = NO_CHOICE, True, set(), False, ""
        self.posts, self.is_changed = [], False

    def answer(self, path, query):
        """Content type and body."""
        language, base = query.get("lang", "en"), "/consent"
        if path in self.fails:
            return None
        if path == "/consent":
            status, signal = query.get("status"), "signal" in query
            return "text/html", self.notice.page(
                language, consent=self.consent, base=base, back="/", status=status, signal=signal
            )
        if path == "/consent/policy":
            return "text/html", self.notice.policy_page(language, base=base)
        if path == "/consent/banner":
            return "text/html", self.notice.banner(language, base=base, back=query["back"])
        if path == "/consent/state":
            return "application/json", self.state()
        if path.endswith((".js", ".css")) and path.startswith("/consent/"):
            kind = "text/javascript" if path.endswith(".js") else "text/css"
            name = path.removeprefix("/consent/")
            return kind, files("centtrack.consent.notice").joinpath("static", name).read_text(encoding="utf-8")
        return ("text/css", self.style) if path == "/site.css" else ("text/html", self.home(language))

    def state(self):
        """What the script is told."""
        states = {category: str(state) for category, state in self.consent.states.items()}
        return json.dumps({"states": states, "source": self.consent.source, "asks": self.asks})

    def home(self, language):
        """A page of the site."""
        banner = self.notice.banner(language, base="/consent", back="/") if self.server_side else ""
        text = "".join(f"<p><a href='/{number}'>{number}</a></p>" for number in range(40))
        return f"""<!doctype html><html lang="{language}"><head><title>Site</title><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><link rel="icon" href="/site.css">
<link rel="stylesheet" href="/site.css"><script src="/log.js"></script>
<script src="/consent/banner.js" defer></script></head><body>{banner}
<main><h1>Site</h1><a id="first" href="/a">first</a>{text}<a id="last" href="/b">last</a>
<button id="open" data-centtrack-open>Cookies</button></main></body></html>"""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/log.js":
            told = "told=[];document.addEventListener('centtrack:consent',e=>told.push(e.detail))"
            return self._send(200, "text/javascript", told)
        answer = self.server.answer(parts.path, query)
        return self._send(200, *answer) if answer else self._send(503, "text/plain", "")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.posts.append((self.path, parse_qs(body, keep_blank_values=True)))
        if self.server.is_changed:
            self.server.is_changed = False
            return self._send(409, "application/json", "{}")
        if self.path in self.server.fails:
            return self._send(503, "application/json", "{}")
        chosen = self.server.posts[-1][1].get("choice") == ["accept"]
        state = State.GIVEN if chosen else State.REFUSED
        self.server.consent, self.server.asks = Consent(dict.fromkeys(DENIED, state), "cookie"), False
        if "json" in self.headers["accept"]:
            return self._send(200, "application/json", self.server.state())
        return self._send(303, "text/plain", "", ("Location", "/consent?status=saved"))

    def _send(self, status, kind, body, *more):
        data = body.encode()
        self.send_response(status)
        known = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(data)),
            "Content-Security-Policy": CSP,
        }
        for header in [*known.items(), *more]:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def served():
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        yield site
        site.shutdown()
        thread.join()


@pytest.fixture
def site(served):
    served.reset()
    return served


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def visit(browser, site):
    """Opens pages of the site; fails if one complains."""

    @contextmanager
    def go(path, *, tolerates=(), **options):
        with opened(browser, **options) as page:
            found = complaints(page)
            page.goto(site.url + path)
            yield page
            assert [said for said in found if not any(word in said for word in tolerates)] == []
            assert page.context.cookies() == []

    return go


def banner_of(page):
    banner = page.locator("[data-centtrack-banner]")
    banner.wait_for()
    return banner


def focused(page):
    """What has the focus, by its id, value or text."""
    return page.evaluate(
        "(e => e === document.body ? 'body' : e.id || e.value || e.getAttribute('href') || e.textContent.trim())"
        "(document.activeElement)"
    )


def until(page, expression):
    """Wait for something in the page, in a way that its Content-Security-Policy allows."""
    page.evaluate(f"new Promise(done => (function look() {{ ({expression}) ? done() : setTimeout(look, 10) }})())")


def settled(page):
    """Wait until the script has told what it knows, and the banner's movement is over."""
    until(page, "told.length")
    page.evaluate("Promise.all(document.getAnimations().map(a => a.finished))")


@pytest.mark.parametrize(("scheme", "size"), LOOKS)
def test_axe_finds_nothing(browser, site, scheme, size):
    found = []
    with opened(browser, color_scheme=scheme, viewport=size, reduced_motion="reduce") as page:
        for language in LANGUAGES:
            for path in ("/consent?", "/consent?signal=1&status=not_saved&", "/consent/policy?", "/?"):
                site.consent = ALLOWED if "status" in path else NO_CHOICE
                page.goto(f"{site.url}{path}lang={language}")
                page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
                if path == "/?":
                    banner_of(page)
                results = Axe().run(page, context=None if path != "/?" else "[data-centtrack-banner]")
                found += [
                    (language, path, one["id"], one["nodes"][0]["html"]) for one in results.response["violations"]
                ]
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (language, path)
    assert found == []


@pytest.mark.parametrize(("scheme", "size"), LOOKS)
@pytest.mark.parametrize("path", ["/consent?lang=kk", "/?lang=ru"])
def test_refusing_is_as_easy_to_see_as_accepting(visit, path, scheme, size):
    with visit(path, color_scheme=scheme, viewport=size) as page:
        page.locator("button[value=refuse]").wait_for()
        looks = page.evaluate("""[...document.querySelectorAll("button[value=accept], button[value=refuse]")].map(e => {
            const s = getComputedStyle(e), r = e.getBoundingClientRect();
            return [r.width, r.height, r.top, s.color, s.backgroundColor, s.borderColor, s.borderWidth, s.fontSize,
                    s.fontWeight, s.opacity, s.textDecorationLine, s.boxShadow];
        })""")
        assert len(looks) == 2
        assert looks[0][3:] == looks[1][3:]
        assert looks[0][:3] == pytest.approx(looks[1][:3], abs=0.5)


def test_targets_are_large_enough_on_a_phone(visit, site):
    site.consent = ALLOWED
    small = """[...document.querySelectorAll("a, button, summary, label")]
        .filter(e => location.pathname === "/consent" || e.closest("[data-centtrack-banner]"))
        .map(e => [e.textContent.trim(), e.getBoundingClientRect().height]).filter(([, height]) => height < 43.9)"""
    for path in ("/consent?lang=kk", "/consent?lang=en", "/?lang=ru"):
        with visit(path, viewport=PHONE, has_touch=True) as page:
            page.locator("button[value=refuse]").wait_for()
            assert page.evaluate(small) == []


@pytest.mark.parametrize("path", ["/consent", "/consent/policy", "/"])
def test_pages_fit_narrow_screens(visit, path):
    with visit(f"{path}?lang=kk", viewport={"width": 320, "height": 480}) as page:
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        if path == "/":
            box = banner_of(page).bounding_box()
            assert box["height"] <= 480 * 0.76
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize(("consent", "ticked"), [(NO_CHOICE, []), (ALLOWED, ["analytics"])])
def test_only_what_was_given_is_ticked(visit, site, consent, ticked):
    site.consent = consent
    with visit("/consent") as page:
        assert page.evaluate("[...document.querySelectorAll(':checked')].map(e => e.value)") == ticked


def test_page_by_keyboard(visit, site):
    site.consent = ALLOWED
    with visit("/consent?lang=en") as page:
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            if focused(page) == "body":
                break
            reached.append(focused(page))
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid", reached
        languages = [f"/consent?lang={language}&back=/" for language in LANGUAGES]
        assert [one.partition(":")[0] for one in reached] == [
            *languages,
            *(
                "accept",
                "refuse",
                "2 cookies",
                "preferences",
                "1 cookie",
                "analytics",
                "2 cookies",
                "marketing",
                "save",
            ),
            "Withdraw everything",
            *("/consent/receipt", "/consent/policy?lang=en", "/"),
        ]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["accept", "Enter"], {"choice": ["accept"]}),
        (["refuse", "Space"], {"choice": ["refuse"]}),
        # Enter in a box saves what is ticked, and never accepts all.
        (["preferences", "Space", "Enter"], {"choice": ["save"], "category": ["preferences"]}),
        (["marketing", "Enter"], {"choice": ["save"]}),
    ],
)
@pytest.mark.parametrize("has_script", [True, False])
def test_choosing_on_the_page(visit, site, keys, expected, has_script):
    with visit("/consent?lang=ru", java_script_enabled=has_script) as page:
        page.locator(f"[value={keys[0]}]").focus()
        for key in keys[1:]:
            page.keyboard.press(key)
        page.locator("[role=status]:focus").wait_for()
    form = {"lang": ["ru"], "back": ["/"], "via": ["form"], "policy": [CONSENT_HASH]}
    assert site.posts == [("/consent/decide", form | expected)]


def test_withdrawing_on_the_page(visit, site):
    site.consent = ALLOWED
    with visit("/consent?lang=kk", java_script_enabled=False) as page:
        page.get_by_role("button", name="Барлық келісімді қайтарып алу").click()
        page.locator("[role=status]").wait_for()
    assert [path for path, _ in site.posts] == ["/consent/withdraw"]


def test_banner_of_the_server_works_without_script(visit, site):
    site.server_side = True
    with visit("/?lang=kk", java_script_enabled=False) as page:
        banner_of(page).locator("button[value=refuse]").click()
        page.locator("[role=status]").wait_for()
    shown = {"lang": ["kk"], "back": ["/"], "via": ["banner"], "policy": [CONSENT_HASH]}
    assert site.posts == [("/consent/decide", {"choice": ["refuse"]} | shown)]


@pytest.mark.parametrize("path", ["/consent", "/consent/policy", "/"])
def test_texts_of_the_policy_are_inert(visit, site, path):
    site.notice = Notice(PrivacyPolicy.parse(HOSTILE))
    with visit(path) as page:
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        if path == "/":
            banner_of(page)
        assert page.evaluate("typeof hacked") == "undefined"
        assert page.locator("a[href^='javascript'], img, svg, [onfocus]").count() == 0


def test_banner_is_offered_early_and_takes_no_focus(visit):
    with visit("/?lang=ru") as page:
        banner_of(page)
        assert page.evaluate("document.body.firstElementChild.matches('[data-centtrack-banner]')")
        assert focused(page) == "body"
        reached = []
        for _ in range(4):
            page.keyboard.press("Tab")
            reached.append(focused(page))
        assert reached == ["accept", "refuse", "/consent?lang=ru&back=/%3Flang%3Dru", "first"]


@pytest.mark.parametrize("server_side", [False, True])
@pytest.mark.parametrize(
    ("choice", "state", "storage"), [("accept", "given", "granted"), ("refuse", "refused", "denied")]
)
def test_choosing_in_the_banner(visit, site, choice, state, storage, server_side):
    site.server_side = server_side
    with visit("/?lang=en") as page:
        settled(page)
        assert banner_of(page).count() == 1
        page.locator("#first").focus()
        page.keyboard.press("Shift+Tab")
        page.locator(f"button[value={choice}]").focus()
        page.keyboard.press("Enter")
        page.locator("[data-centtrack-banner]").wait_for(state="detached")
        until(page, "told.length === 2")
        told = page.evaluate("told")
        assert focused(page) == "first"
        layer = page.evaluate("dataLayer.map(one => [...one])")
    shown = {"lang": ["en"], "via": ["banner"], "policy": [CONSENT_HASH]}
    assert site.posts == [("/consent/decide", {"choice": [choice]} | shown)]
    assert [(one["source"], one["asks"], one["states"]["analytics"]) for one in told] == [
        ("default", True, "unknown"),
        ("cookie", False, state),
    ]
    assert [one[:2] for one in layer] == [["consent", "default"], ["consent", "update"], ["consent", "update"]]
    asked = {
        *("analytics_storage", "ad_storage", "ad_user_data", "ad_personalization"),
        *("functionality_storage", "personalization_storage"),
    }
    denied = {"security_storage": "granted", **dict.fromkeys(asked, "denied")}
    assert layer[0][2] == {**denied, "wait_for_update": 500}
    assert layer[1][2] == denied
    assert layer[2][2] == {"security_storage": "granted", **dict.fromkeys(asked, storage)}


def test_each_category_has_its_signals(visit, site):
    site.consent, site.asks = ALLOWED, False
    with visit("/") as page:
        settled(page)
        assert page.locator("[data-centtrack-banner]").count() == 0
        update = page.evaluate("[...dataLayer.at(-1)][2]")
        assert [name for name, value in update.items() if value == "granted"] == [
            "security_storage",
            "analytics_storage",
        ]


def test_a_choice_that_cant_be_saved_says_so(visit, site):
    site.fails = {"/consent/decide"}
    with visit("/?lang=ru", tolerates=["503"]) as page:
        settled(page)
        banner_of(page).locator("button[value=accept]").click()
        page.get_by_text("не удалось сохранить").wait_for()
        assert page.get_by_role("status").text_content().startswith("Сейчас не удалось")
        assert page.evaluate("told.length") == 1
        site.fails = set()
        page.locator("button[value=refuse]").click()
        page.locator("[data-centtrack-banner]").wait_for(state="detached")


@pytest.mark.parametrize("server_side", [False, True])
def test_a_policy_that_changed_meanwhile_is_shown_anew(visit, site, server_side):
    site.is_changed, site.server_side = True, server_side
    with visit("/?lang=en", tolerates=["409"]) as page:
        settled(page)
        changed = PrivacyPolicy.parse(
            POLICY.replace('name = "theme"', 'name = "skin"') + '[purposes.security]\nen = "x"'
        )
        site.notice = Notice(changed)
        banner_of(page).locator("button[value=accept]").click()
        page.get_by_role("status").get_by_text("The policy has changed meanwhile").wait_for()
        assert page.evaluate("told.length") == 1
        assert page.evaluate("document.activeElement.matches('[data-centtrack-banner]')")
        page.locator("button[value=accept]").click()
        page.locator("[data-centtrack-banner]").wait_for(state="detached")
        assert page.evaluate("told.length") == 2
    assert [fields["policy"] for _, fields in site.posts] == [[CONSENT_HASH], [changed.consent_hash]]


@pytest.mark.parametrize("broken", ["/consent/state", "/consent/banner"])
def test_without_an_answer_there_is_no_banner(visit, site, broken):
    site.fails = {broken}
    with visit("/", tolerates=["503"]) as page:
        page.wait_for_load_state("networkidle")
        assert page.locator("[data-centtrack-banner]").count() == 0
        granted = page.evaluate("dataLayer.flatMap(one => Object.entries(one[2])).filter(([, v]) => v === 'granted')")
        assert {name for name, _ in granted} == {"security_storage"}


@pytest.mark.parametrize("how", ["element", "call"])
def test_opening_the_banner_again(visit, site, how):
    site.consent, site.asks = ALLOWED, False
    with visit("/") as page:
        settled(page)
        for _ in range(2):
            page.locator("#open").focus()
            if how == "element":
                page.keyboard.press("Enter")
            else:
                page.evaluate("centtrack.open()")
            banner_of(page)
            until(page, "document.activeElement.matches('[data-centtrack-banner]')")
            page.keyboard.press("Escape")
            page.locator("[data-centtrack-banner]").wait_for(state="detached")
            assert focused(page) == "open"
        assert page.locator("link[href$='consent.css']").count() == 1
    assert site.posts == []


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_banner_hides_nothing_that_has_the_focus(visit, size):
    with visit("/?lang=kk", viewport=size) as page:
        settled(page)
        top = banner_of(page).bounding_box()["y"]
        page.locator("#first").focus()
        while focused(page) != "open":
            box = page.evaluate("document.activeElement.getBoundingClientRect().bottom")
            assert box <= top, focused(page)
            page.keyboard.press("Tab")


def test_banner_keeps_its_looks_and_takes_the_sites_colours(visit, site):
    site.style = """button { background: red; border-radius: 0; text-transform: uppercase } p { margin: 4rem }
        h2 { font-size: 5rem; color: lime } form { display: inline } a { display: none }
        :root { --centtrack-accent: rgb(90, 0, 90) }"""
    with visit("/") as page:
        banner_of(page)
        style = page.evaluate("""(() => { const s = getComputedStyle(document.querySelector("button[value=refuse]"));
            return [s.backgroundColor, s.textTransform, s.borderRadius]; })()""")
        assert style == ["rgb(90, 0, 90)", "none", "12px"]
        assert page.locator(".centtrack-banner-link a").is_visible()
        assert page.locator(".centtrack-banner h2").evaluate("e => getComputedStyle(e).fontSize") == "18px"


@pytest.mark.parametrize(("motion", "name"), [("reduce", "none"), ("no-preference", "centtrack-rise")])
def test_motion_only_where_it_is_liked(visit, motion, name):
    with visit("/", reduced_motion=motion) as page:
        assert banner_of(page).evaluate("e => getComputedStyle(e).animationName") == name


def test_script_is_small_and_needs_nothing():
    script = files("centtrack.consent.notice").joinpath("static", "banner.js").read_bytes()
    assert len(script) < 6_144
    assert b"http:" not in script
    assert b"https:" not in script
    assert b"cookie =" not in script
