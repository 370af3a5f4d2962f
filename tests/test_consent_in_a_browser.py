"""A real browser on a real server: what its jar holds before, with and after a choice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import browsers
from centtrack.consent.ledger.ledger import open_ledger
from centtrack.delivery.journal.cookie_table import read_cookies
from servers import Server, Site, uvicorn
from waiting import eventually

POLICY = """
version = "{version}"
[controller]
name = "Shop"
[limits.default]
time = "second"
page = "path"
referrer = "path"
[limits.consented]
time = "second"
page = "path"
referrer = "path"
visitor = "cookie"
[purposes]
analytics = "Improve the shop"
marketing = "Advertise"
{purposes}
[consent]
gate = "enforce"
[[cookies]]
name = "session"
category = "necessary"
[[cookies]]
name = "lang"
category = "preferences"
[[cookies]]
name = "_ga*"
category = "analytics"
[[cookies]]
name = "_sub"
category = "analytics"
path = "/sub"
[[cookies]]
name = "_ws"
category = "analytics"
[[cookies]]
name = "_script"
category = "analytics"
[[cookies]]
name = "ad"
category = "marketing"
"""

APP = """
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from centtrack import TelemetryMiddleware
from centtrack.consent import consent_banner, consent_routes

PAGE = '''<!doctype html><html lang="en"><title>Shop</title><h1>Shop</h1>{banner}
<p><a id="settings" href="/consent">Cookies</a></p>
<script src="/consent/banner.js"></script><script src="/site.js"></script>'''
SCRIPT = '''document.cookie = "_script=1; path=/";
Promise.all([fetch("/sub/page"), new Promise((done) => {
  const socket = new WebSocket(`ws://${location.host}/ws`);
  socket.onclose = socket.onerror = done;
})]).then(() => { document.body.dataset.ready = "1"; });'''

async def home(request):
    response = HTMLResponse(PAGE.format(banner=consent_banner(request)))
    response.set_cookie("session", "1", httponly=True)
    response.set_cookie("lang", "en", max_age=86_400)
    response.set_cookie("_ga", "1", max_age=86_400, httponly=True)
    response.set_cookie("_ga_X", "1", max_age=86_400)
    response.set_cookie("ad", "1", httponly=True, samesite="lax")
    response.set_cookie("undeclared", "1")
    return response

async def script(request):
    return Response(SCRIPT, media_type="text/javascript")

async def sub_page(request):
    response = HTMLResponse("<p>a mounted app")
    response.set_cookie("_sub", "1", path="/sub", httponly=True)
    return response

async def socket(websocket):
    await websocket.accept(headers=[(b"set-cookie", b"_ws=1; Path=/; HttpOnly")])
    await websocket.close()

sub = Starlette(routes=[Route("/page", sub_page)])
app = Starlette(routes=[
    Route("/", home), Route("/site.js", script), Mount("/sub", sub), WebSocketRoute("/ws", socket),
    *consent_routes(ledger="state/consent.db"),
])
app.add_middleware(
    TelemetryMiddleware, policy="privacy.toml", sink="jsonl:events.jsonl", journal="state/journal.db",
    secret="browser-test-" * 4,
)
"""

NECESSARY = {"session"}
OURS = {"centtrack"}
ANALYTICS = {"_ga", "_ga_X", "_sub", "_ws", "_script", "centtrack-visitor"}
EVERYTHING = NECESSARY | OURS | ANALYTICS | {"lang", "ad"}


class Shop:
    """The running site, and one visitor's browser."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._server: Server | None = None

    def start(self, version: str = "1", purposes: str = "") -> None:
        """Run it under a version of its policy; the one before ends."""
        self._stack.close()
        site = Site(self.folder, policy=POLICY.format(version=version, purposes=purposes), app=APP)
        self._server = self._stack.enter_context(uvicorn(site))

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.port}"

    def states(self) -> list[dict[str, str]]:
        """What the ledger has recorded."""
        ledger = open_ledger(self.folder / "state" / "consent.db")
        try:
            return [record.states for record in ledger.records()]
        finally:
            ledger.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with ExitStack() as stack:
        made = Shop(tmp_path, stack)
        made.start()
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browsers.chromium() as started:
        yield started


Open = Callable[..., Any]


@pytest.fixture
def visitor(chromium: Any) -> Iterator[Open]:
    """Makes a new browser profile."""
    contexts = []

    def make(**options: Any) -> Any:
        contexts.append(chromium.new_context(**options))
        return contexts[-1]

    yield make
    for context in contexts:
        context.close()


def visit(context: Any, url: str) -> Any:
    """Open the home page twice, as the second visit shows what the first left; with what its script does."""
    page = context.pages[0] if context.pages else context.new_page()
    for _ in range(2):
        page.goto(url)
        if context.runs_scripts:
            page.wait_for_selector("body[data-ready]")
    return page


def jar(context: Any) -> set[str]:
    return {cookie["name"] for cookie in context.cookies()} - ({"_script"} if context.runs_scripts else set())


def click(page: Any, selector: str) -> None:
    """Click, and wait until the server has answered."""
    with page.expect_response(lambda response: response.request.method == "POST"):
        page.click(selector)
    page.wait_for_load_state("networkidle")


BANNER = "[data-centtrack-banner]"


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def context(request, visitor: Open) -> Any:
    made = visitor(java_script_enabled=request.param)
    made.runs_scripts = request.param
    return made


def test_before_a_choice_only_what_is_necessary(shop, context):
    page = visit(context, shop.url)
    assert jar(context) == NECESSARY
    assert page.is_visible(BANNER)
    page.goto(f"{shop.url}/consent")
    assert jar(context) == NECESSARY
    assert page.locator("input[type=checkbox]:checked").count() == 0


def test_refusing_sets_nothing_and_is_remembered(shop, context):
    page = visit(context, shop.url)
    click(page, f"{BANNER} button[value=refuse]")
    page = visit(context, shop.url)
    assert jar(context) == NECESSARY | OURS
    assert page.locator(BANNER).count() == 0
    assert shop.states() == [{"preferences": "refused", "analytics": "refused", "marketing": "refused"}]


def test_accepting_analytics_sets_those_alone_and_withdrawing_takes_them_away(shop, context):
    page = visit(context, shop.url)
    page.goto(f"{shop.url}/consent")
    page.check("input[value=analytics]")
    click(page, "button[value=save]")
    visit(context, shop.url)
    granted = ANALYTICS if context.runs_scripts else ANALYTICS - {"_sub", "_ws", "_script"}
    assert jar(context) | ({"_script"} if context.runs_scripts else set()) == NECESSARY | OURS | granted

    page.goto(f"{shop.url}/consent")
    assert page.is_checked("input[value=analytics]")
    click(page, "form[action$=withdraw] button")
    assert jar(context) == NECESSARY | OURS
    visit(context, shop.url)
    assert jar(context) == NECESSARY | OURS
    assert [states["analytics"] for states in shop.states()] == ["given", "withdrawn"]


def test_accepting_all_and_a_material_change(shop, context):
    page = visit(context, shop.url)
    click(page, f"{BANNER} button[value=accept]")
    page = visit(context, shop.url)
    everything = EVERYTHING if context.runs_scripts else EVERYTHING - {"_sub", "_ws", "_script"}
    assert jar(context) | ({"_script"} if context.runs_scripts else set()) == everything
    assert page.locator(BANNER).count() == 0

    shop.start(version="2")  # other words alone: the choice holds
    page = visit(context, shop.url)
    assert page.locator(BANNER).count() == 0

    shop.start(version="3", purposes='preferences = "Know what you like"')
    page = visit(context, shop.url)
    assert page.is_visible(BANNER)
    assert jar(context) - OURS <= NECESSARY | ({"_sub"} if context.runs_scripts else set())


def test_global_privacy_control_keeps_marketing_denied(shop, visitor):
    context = visitor(extra_http_headers={"Sec-GPC": "1"})
    context.runs_scripts = True
    page = visit(context, shop.url)
    click(page, f"{BANNER} button[value=accept]")
    visit(context, shop.url)
    assert "ad" not in jar(context)
    assert {"_ga", "lang"} <= jar(context)
    page.goto(f"{shop.url}/consent")
    assert page.is_disabled("input[value=marketing]")


def test_pages_learn_of_a_choice(shop, visitor):
    context = visitor()
    context.runs_scripts = True
    context.add_init_script(
        "window.told = []; document.addEventListener('centtrack:consent', (event) => told.push(event.detail));"
    )
    page = visit(context, shop.url)
    click(page, f"{BANNER} button[value=accept]")
    page.wait_for_function("told.length == 2")
    first, second = page.evaluate("told")
    assert (first["asks"], first["states"]["analytics"]) == (True, "unknown")
    assert (second["asks"], second["states"]["analytics"], second["source"]) == (False, "given", "cookie")
    commands = page.evaluate("dataLayer.map((one) => [...one])")
    assert [command[:2] for command in commands] == [["consent", "default"], *[["consent", "update"]] * 2]
    assert commands[0][2].pop("wait_for_update") > 0
    assert set(commands[0][2].values()) == {"denied", "granted"}
    assert [name for name, value in commands[0][2].items() if value == "granted"] == ["security_storage"]
    assert set(commands[-1][2].values()) == {"granted"}
    assert len(commands[-1][2]) == 7


def test_what_a_script_set_is_listed_as_from_outside(shop, visitor):
    context = visitor()
    context.runs_scripts = True
    visit(context, shop.url)
    journal = shop.folder / "state" / "journal.db"

    def seen():
        """The rows, when those of the second visit are there too."""
        rows = {row.name: row for row in read_cookies(journal)}
        return rows if "_script" in rows and rows["_script"].arrived and rows["session"].passed >= 2 else None

    rows = eventually(seen)
    assert rows["_script"].passed == 0
    assert rows["_ga*"].removed >= 2
    assert rows["undeclared"].removed >= 2
    assert rows["session"].passed >= 2


def test_events_follow_the_choice_and_the_routes_make_none(shop, visitor):
    context = visitor()
    context.runs_scripts = True
    page = visit(context, shop.url)
    page.goto(f"{shop.url}/consent?back=/")
    click(page, "button[value=accept]")
    page.goto(f"{shop.url}/consent?back=/")
    page.click("a[rel=noreferrer]")
    visit(context, shop.url)
    events = shop.folder / "events.jsonl"
    eventually(lambda: events.exists() and '"visitor_id":"' in events.read_text())
    text = events.read_text()
    assert "/consent" not in text
    assert re.search(r'"path":"/".*"analytics":"unknown".*"visitor_id":null', text)
