"""Real apps are driven, and the route is read as the middleware does it: with the values from before the app ran."""

import fastapi
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient

from centtrack.capture.route import NotedRoute, read_route


class Recorder:
    """Notes the route of each connection."""

    def __init__(self, app):
        self.app = app
        self.routes = []

    async def __call__(self, scope, receive, send):
        before = scope.get("path", ""), scope.get("root_path", ""), scope.get("app", self.app)
        try:
            await self.app(scope, receive, send)
        finally:
            self.routes.append(read_route(scope, *before))


def get(app, path, *, method="GET", host="testserver", root_path=""):
    recorder = Recorder(app)
    client = TestClient(recorder, base_url=f"http://{host}", raise_server_exceptions=False, root_path=root_path)
    status = client.request(method, path, follow_redirects=False).status_code
    return status, recorder.routes[-1]


async def fine(request):
    return PlainTextResponse("fine")


async def fails(request):
    raise RuntimeError


async def hello(websocket):
    await websocket.accept()
    await websocket.close()


PAGES = [Route("/p/{id}", fine), Route("/", fine), WebSocketRoute("/ws/{id}", hello)]


@pytest.fixture
def starlette_app(tmp_path):
    (tmp_path / "a.css").write_text("a {}")
    return Starlette(
        routes=[
            Route("/x/{id:int}", fine),
            Route("/boom/{id}", fails),
            WebSocketRoute("/ws/{id}", hello),
            Mount("/static", StaticFiles(directory=tmp_path)),
            Mount("/{tenant}/shop", routes=PAGES),
            Mount("/app/{a}", Starlette(routes=[Mount("/{b}", routes=PAGES)])),
            Mount("/wrapped/{a}", GZipMiddleware(Router(PAGES))),
            Mount("/quiet/{a}", PlainTextResponse("fine")),
            Host("{user}.example.org", Router([Route("/h/{id}", fine), Mount("/{tenant}", routes=PAGES)])),
        ]
    )


@pytest.mark.parametrize(
    ("path", "status", "route"),
    [
        ("/x/5", 200, "/x/{id}"),
        ("/boom/5", 500, "/boom/{id}"),  # also after the app has raised
        ("/x/word", 404, None),
        ("/nowhere/secret", 404, None),
        ("/static/a.css", 200, "/static/{path}"),
        # the mount's part comes from its template
        ("/acme/shop/p/7", 200, "/{tenant}/shop/p/{id}"),
        ("/acme/shop/", 200, "/{tenant}/shop/"),
        ("/app/A/B/p/7", 200, "/app/{a}/{b}/p/{id}"),
        ("/wrapped/A/p/7", 200, "/wrapped/{a}/p/{id}"),
    ],
)
def test_starlette(starlette_app, path, status, route):
    assert get(starlette_app, path) == (status, route)


def test_starlette_method_not_allowed(starlette_app):
    assert get(starlette_app, "/x/5", method="POST") == (405, "/x/{id}")
    assert get(starlette_app, "/acme/shop/p/7", method="POST") == (405, "/{tenant}/shop/p/{id}")


@pytest.mark.parametrize(
    "path", ["/static/secret.css", "/secret/shop/secret", "/app/secret/secret/secret", "/quiet/secret/secret"]
)
def test_nothing_of_the_path_is_told_where_a_mount_finds_no_route(starlette_app, path):
    _, route = get(starlette_app, path)
    assert "secret" not in (route or "")
    assert route is None or route.startswith(("/static", "/{tenant}/shop", "/app/{a}", "/quiet/{a}"))


def test_a_mount_is_found_behind_middleware():
    app = Starlette(routes=[Mount("/{tenant}", routes=PAGES)], middleware=[Middleware(GZipMiddleware)])
    assert get(app, "/acme/p/7") == (200, "/{tenant}/p/{id}")


@pytest.mark.parametrize(
    "wrap",
    [GZipMiddleware, lambda app: Router([Host("{user}.example.org", app)])],
    ids=["middleware between", "host"],
)
def test_a_template_that_lacks_its_mount_is_not_told(wrap):
    """The whole template, or null: never a part, which another route may have for its own."""
    app = wrap(Starlette(routes=[Mount("/{tenant}", routes=PAGES)]))
    assert get(app, "/acme/p/7", host="ivan.example.org") in [(200, "/{tenant}/p/{id}"), (200, None)]


def test_host_routes(starlette_app):
    assert get(starlette_app, "/h/7", host="ivan.example.org")[1] == "/h/{id}"


def test_a_server_behind_a_prefix_changes_nothing(starlette_app):
    assert get(starlette_app, "/secret/x/5", root_path="/secret") == (200, "/x/{id}")
    assert get(starlette_app, "/secret/acme/shop/p/7", root_path="/secret") == (200, "/{tenant}/shop/p/{id}")


@pytest.mark.parametrize(("path", "route"), [("/ws/7", "/ws/{id}"), ("/acme/shop/ws/7", "/{tenant}/shop/ws/{id}")])
def test_websockets(starlette_app, path, route):
    recorder = Recorder(starlette_app)
    with TestClient(recorder).websocket_connect(path):
        pass
    assert recorder.routes == [route]


@pytest.fixture
def fastapi_app():
    items, nested = fastapi.APIRouter(prefix="/items"), fastapi.APIRouter(prefix="/of/{owner}")

    @items.get("/{item}")
    def item(item: int):
        return item

    nested.include_router(items)
    app, mounted = fastapi.FastAPI(), fastapi.FastAPI()
    mounted.include_router(items)
    app.include_router(nested, prefix="/api/{version}")
    app.mount("/{tenant}/sub", mounted)
    return app


@pytest.mark.parametrize(
    ("path", "status", "route"),
    [
        ("/api/v1/of/ivan/items/7", 200, "/api/{version}/of/{owner}/items/{item}"),
        ("/api/v1/of/ivan/items/seven", 422, "/api/{version}/of/{owner}/items/{item}"),
        ("/acme/sub/items/7", 200, "/{tenant}/sub/items/{item}"),
        ("/acme/sub/items/seven", 422, "/{tenant}/sub/items/{item}"),
        ("/nowhere", 404, None),
    ],
)
def test_fastapi(fastapi_app, path, status, route):
    assert get(fastapi_app, path) == (status, route)


def test_fastapi_not_found_in_a_mounted_app(fastapi_app):
    status, route = get(fastapi_app, "/secret/sub/nowhere")
    assert status == 404
    assert "secret" not in (route or "")


def test_a_bare_asgi_app_has_no_route():
    async def app(scope, receive, send):
        await PlainTextResponse("fine")(scope, receive, send)

    assert get(app, "/users/ivan") == (200, None)


@pytest.mark.parametrize(
    ("scope", "route"),
    [
        ({"path_template": "/users/{user}"}, "/users/{user}"),  # Litestar
        ({"route": "/users/ivan"}, None),  # not an object that has a template
        ({"route": object()}, None),
        ({"route": type("Odd", (), {"path": b"/users/ivan"})()}, None),
        ({"fastapi": None}, None),
        ({}, None),
    ],
)
def test_what_frameworks_leave(scope, route):
    assert read_route({"type": "http", **scope}, "/users/ivan", "", None) == route


class Hostile:
    """Whatever is asked of it, it raises."""

    def __getattr__(self, name):
        raise RuntimeError


class Unmatched:
    """An application whose routes are of a kind that nobody knows."""

    routes = (Hostile(), None, 7)


@pytest.mark.parametrize(
    "scope",
    [
        {"route": Hostile()},
        {"fastapi": Hostile()},
        {"fastapi": {"effective_route_context": Hostile()}},
        {"endpoint": Hostile()},
        {"endpoint": 1, "root_path": "/users"},
        {"route_handler": Hostile()},
        {"route_handler": type("Handler", (), {"is_mount": True})()},
        {"route_handler": type("Handler", (), {"is_mount": True})(), "litestar_app": Unmatched()},
        {"route_handler": type("Handler", (), {"is_mount": True})(), "litestar_app": Hostile()},
        {"path_template": 7},
        {"path_template": Hostile()},
        {"root_path": None, "route": Route("/users/{user}", fine)},
    ],
)
@pytest.mark.parametrize("app", [None, Hostile(), Unmatched()], ids=["none", "hostile", "unmatched"])
def test_a_framework_that_changed_breaks_nothing(scope, app):
    assert read_route({"type": "http", **scope}, "/users/ivan", "", app) is None


def test_what_was_noted_goes_first():
    scope = {"type": "http", "route": Route("/users/{user}", fine)}
    assert read_route(scope, "/users/ivan", "", None, NotedRoute("/noted/{user}", "")) == "/noted/{user}"
    assert read_route(scope, "/users/ivan", "", None, NotedRoute("/noted/{user}", "/users")) is None
