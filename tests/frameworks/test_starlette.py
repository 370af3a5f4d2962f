"""Starlette leaves the innermost route in the scope; the mounts above it are walked."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from asgi import Recording, serve
from centtrack import TelemetryMiddleware
from centtrack.testing import make_scope


async def page(request):
    return PlainTextResponse("fine")


async def socket(websocket):
    await websocket.accept()
    await websocket.close()


@pytest.fixture
def app(tmp_path, boom):
    (tmp_path / "a.css").write_text("a {}")
    pages = [
        Route("/u/{name}", page),
        Route("/slash/{name}/", page),
        Route("/boom/{name}", lambda request: boom()),
        WebSocketRoute("/ws/{name}", socket),
    ]
    return Starlette(
        routes=[
            *pages,
            Route("/", page),
            Route("/n/{number:int}", page),
            Mount("/static", StaticFiles(directory=tmp_path)),
            Mount("/{tenant:str}/shop", routes=[*pages, Mount("/{year:int}", Router(pages))]),
            Mount("/app/{one}", Starlette(routes=[Mount("/{two}", Starlette(routes=pages))])),
            Mount("/wrapped", GZipMiddleware(Starlette(routes=pages, middleware=[Middleware(GZipMiddleware)]))),
            Host("{user}.example.org", Router([Mount("/{tenant}", routes=pages)])),
        ]
    )


CASES = [
    ("/", 200, "/"),
    ("/u/secret", 200, "/u/{name}"),
    ("/n/7", 200, "/n/{number}"),
    ("/boom/secret", 500, "/boom/{name}"),
    ("/slash/secret", 307, None),  # sent on to where the slash is
    ("/static/a.css", 200, "/static/{path}"),  # what follows a mount is a parameter as well
    ("/static/secret.css", 404, "/static/{path}"),
    ("/secret/shop/u/secret", 200, "/{tenant}/shop/u/{name}"),
    ("/secret/shop/boom/secret", 500, "/{tenant}/shop/boom/{name}"),
    ("/secret/shop/slash/secret", 307, "/{tenant}/shop/{path}"),
    ("/secret/shop/secret", 404, "/{tenant}/shop/{path}"),
    ("/secret/shop/2026/u/secret", 200, "/{tenant}/shop/{year}/u/{name}"),
    ("/secret/shop/2026/secret", 404, "/{tenant}/shop/{year}/{path}"),
    ("/app/secret/secret/u/secret", 200, "/app/{one}/{two}/u/{name}"),
    ("/wrapped/u/secret", 200, "/wrapped/u/{name}"),
    ("/secret", 404, None),
]


@pytest.mark.parametrize("root_path", ["", "/secret"])
@pytest.mark.parametrize(("path", "status", "route"), CASES)
def test_templates(app, visit, path, status, route, root_path):
    assert visit(app, path, root_path=root_path) == (status, route)


@pytest.mark.parametrize("path", ["/u/secret", "/secret/shop/2026/u/secret"])
def test_method_not_allowed(app, visit, path):
    route = visit(app, path, method="POST")
    assert route == (405, path.replace("/u/secret", "/u/{name}").replace("/secret/shop/2026", "/{tenant}/shop/{year}"))


def test_a_mount_at_the_root(visit):
    app = Starlette(routes=[Mount("", routes=[Route("/u/{name}", page)])])
    assert visit(app, "/u/secret") == (200, "/u/{name}")
    assert visit(app, "/secret") == (404, "/{path}")


def test_hosts(app, visit):
    assert visit(app, "/secret/u/secret", host="secret.example.org") == (200, "/{tenant}/u/{name}")


@pytest.mark.parametrize(
    ("path", "route"), [("/ws/secret", "/ws/{name}"), ("/a/shop/ws/b", "/{tenant}/shop/ws/{name}")]
)
def test_websockets(app, visit, path, route):
    assert visit(app, path, kind="websocket") == (101, route)


def test_an_app_that_cannot_be_walked(app, visit):
    async def opaque(scope, receive, send):
        await app(scope, receive, send)

    assert visit(opaque, "/u/secret") == (200, "/u/{name}")
    assert visit(opaque, "/secret/shop/u/secret") == (200, None)


def test_added_as_middleware(app, tmp_path):
    """As users put it: the app's own stack is what is walked."""
    recording = Recording(tmp_path, None)
    app.add_middleware(lambda app: _around(recording.app, app))
    app.add_middleware(GZipMiddleware)
    serve(app, make_scope("/secret/shop/2026/u/secret"))
    assert recording.event().route == "/{tenant}/shop/{year}/u/{name}"


def _around(middleware: TelemetryMiddleware, app):
    middleware.app = app
    return middleware


def test_the_middleware_below_a_mount(tmp_path):
    """What is above it isn't walked again: a mount there that also matches what is left has nothing to do with it."""
    inner = Starlette(routes=[Mount("/{inner}", routes=[Route("/u/{name}", page)])])
    recording = Recording(tmp_path, inner)
    serve(Starlette(routes=[Mount("/{outer}", recording.app)]), make_scope("/secret/secret/u/secret"))
    assert recording.event().route == "/{inner}/u/{name}"


def test_wrappers_without_end(visit):
    class Circle:
        async def __call__(self, scope, receive, send):
            scope.update(route=Mount("/secret", routes=[]), root_path="/secret")
            await PlainTextResponse("fine")(scope, receive, send)

    circle = Circle()
    circle.app = circle
    assert visit(circle, "/secret/secret") == (200, None)
