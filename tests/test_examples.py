"""Each example starts, answers, and delivers an event."""

from __future__ import annotations

import importlib.util
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from deltalake import DeltaTable
from starlette.testclient import TestClient

from centtrack import Event
from centtrack.testing import SinkContract

pytestmark = pytest.mark.usefixtures("unhurried")

EXAMPLES = Path(__file__).parent.parent / "examples"
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"


@pytest.fixture
def load(tmp_path, monkeypatch):
    """`load("starlette_app")` imports an example by its path; it runs in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CENTTRACK_SINK", f"jsonl:{tmp_path / 'events.jsonl'}")
    loaded = []

    def load_module(example: str):
        name = f"example_{example.replace('/', '_')}"
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{example}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        loaded.append(name)
        spec.loader.exec_module(module)
        return module

    yield load_module
    for name in loaded:
        del sys.modules[name]


def visit(app, *paths: str, method: str = "GET", **options):
    """Requests during the lifespan of the app; their answers."""
    with TestClient(app, headers={"user-agent": BROWSER}, follow_redirects=False) as client:
        return [client.request(method, path, **options) for path in paths]


def lines(folder: Path) -> list[Event]:
    """What the sink `jsonl:` wrote. Complete once the app's lifespan is over."""
    return msgspec.json.Decoder(Event).decode_lines((folder / "events.jsonl").read_bytes())


def test_starlette(load, tmp_path):
    [answer] = visit(load("starlette_app").app, "/products/motor")
    [event] = lines(tmp_path)
    assert (answer.status_code, event.status) == (200, 200)
    assert (event.route, event.path, event.kind, event.browser) == ("/products/{product}", None, "document", "Firefox")


def test_fastapi(load, tmp_path):
    [answer] = visit(load("fastapi_app").app, "/products/motor")
    [event] = lines(tmp_path)
    assert answer.json() == {"product": "motor", "may_personalise": False, "asked": "default"}
    assert (event.route, event.kind) == ("/products/{product}", "api")


def test_bare_asgi(load, tmp_path):
    [answer] = visit(load("bare_asgi").app, "/hello")
    [event] = lines(tmp_path)
    assert answer.text == "<h1>Hello</h1>"
    assert (event.path, event.route) == ("/hello", None)


def test_custom_sink(load, tmp_path):
    visit(load("custom_sink").app, "/")
    with closing(sqlite3.connect(tmp_path / "events.db")) as database:
        [(text,)] = database.execute("select json from event").fetchall()
    assert msgspec.json.decode(text, type=Event).route == "/"


def test_custom_events(load, tmp_path):
    answers = visit(load("custom_events").app, "/quotes/motor", "/quotes/boat", method="POST")
    assert [answer.status_code for answer in answers] == [200, 200]
    custom = [event for event in lines(tmp_path) if event.name != "request"]
    assert [(event.name, event.props) for event in custom] == [("quote_made", {"product": "motor", "premium": 25_000})]
    assert len(lines(tmp_path)) == 3  # "boat" is no declared word: counted as dropped, and not recorded


class TestSqliteSink(SinkContract):
    """The sink of the example keeps the contract."""

    @pytest.fixture(autouse=True)
    def _example(self, load):
        self.sink_class = load("custom_sink").SqliteSink

    def make_sink(self, folder):
        return self.sink_class(folder / "contract.db")

    def stored(self, folder):
        with closing(sqlite3.connect(folder / "contract.db")) as database:
            rows = database.execute("select json from event").fetchall()
        return [msgspec.json.decode(text, type=Event) for (text,) in rows]


PAGES = {
    "/": "/", "/products": "/products", "/products/motor": "/products/{product}", "/quote": "/quote",
    "/branches/almaty": "/branches/{city}", "/about": "/about",
    "/api/quote-estimate?product=motor&value=8000000": "/api/quote-estimate", "/static/site.css": "/static/{path}",
}  # fmt: skip


def test_insurance_pages(load, tmp_path):
    answers = visit(load("insurance/app").app, *PAGES)
    assert [answer.status_code for answer in answers] == [200] * len(PAGES)
    events = {event.path: event for event in lines(tmp_path)}
    assert {path: event.route for path, event in events.items()} == {
        path.partition("?")[0]: route for path, route in PAGES.items()
    }
    assert {event.site for event in events.values()} == {"qorghan.example"}


def test_insurance_quote(load, tmp_path):
    """A form, its redirect and the page behind it; health checks aren't recorded."""
    app = load("insurance/app").app
    form = {"product": "motor", "value": "8 000 000", "name": "Aigerim", "email": "aigerim@example.com"}
    with TestClient(app) as client:
        assert client.get("/health").text == "ok"
        answer = client.post("/quote", data=form)
        assert answer.status_code == 200
        with client.websocket_connect("/ws/chat") as chat:
            chat.send_text("Do you insure boats?")
            assert chat.receive_text()
    events = {(event.kind, event.method, event.route): event for event in lines(tmp_path)}
    assert events.keys() == {
        ("other", "POST", "/quote"), ("document", "GET", "/quote/{reference}"), ("websocket", None, "/ws/chat"),
    }  # fmt: skip
    assert not any("aigerim" in str(event).lower() for event in events.values())


def test_insurance_writes_a_lake_by_default(load, tmp_path, monkeypatch):
    monkeypatch.delenv("CENTTRACK_SINK")
    visit(load("insurance/app").app, "/about")
    assert DeltaTable(tmp_path / "telemetry").to_pyarrow_table()["path"].to_pylist() == ["/about"]
