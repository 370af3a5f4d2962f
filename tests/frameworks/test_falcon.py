"""Falcon: `app.add_middleware(RouteMiddleware())`."""

import falcon.asgi
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from centtrack.frameworks.falcon import RouteMiddleware


class Page:
    def __init__(self, boom=None):
        self.boom = boom

    async def on_get(self, req, resp, **values):
        if self.boom:
            self.boom()

    async def on_websocket(self, req, ws, **values):
        await ws.accept()


async def sink(req, resp, ws=None, **values):
    resp.text = "sink"


@pytest.fixture
def make_app(boom):
    def make_app(prefix="", middleware=None):
        app = falcon.asgi.App()
        app.add_middleware(middleware or RouteMiddleware())
        app.add_route(prefix + "/", Page())
        app.add_route(prefix + "/u/{name}", Page())
        app.add_route(prefix + "/n/{number:int}/{day:dt('%Y-%m-%d')}", Page())
        app.add_route(prefix + "/file.{kind}", Page())
        app.add_route(prefix + "/rest/{rest:path}", Page())
        app.add_route(prefix + "/boom/{name}", Page(boom))
        app.add_sink(sink, prefix + "/sink")
        return app

    return make_app


@pytest.mark.parametrize(
    ("path", "status", "route"),
    [
        ("/", 200, "/"),
        ("/u/secret", 200, "/u/{name}"),
        ("/n/7/2026-01-01", 200, "/n/{number}/{day}"),
        ("/n/secret/2026-01-01", 404, None),
        ("/file.secret", 200, "/file.{kind}"),
        ("/rest/secret/secret", 200, "/rest/{rest}"),
        ("/boom/secret", 500, "/boom/{name}"),
        ("/sink/secret", 200, None),  # Falcon knows no template for it
        ("/secret", 404, None),
    ],
)
def test_templates(make_app, visit, path, status, route):
    assert visit(make_app(), path) == (status, route)


def test_method_not_allowed(make_app, visit):
    assert visit(make_app(), "/u/secret", method="POST") == (405, "/u/{name}")


def test_websockets(make_app, visit):
    assert visit(make_app(), "/u/secret", kind="websocket") == (101, "/u/{name}")
    assert visit(make_app(), "/secret", kind="websocket") == (403, None)


def test_root_path_of_the_server(make_app, visit):
    """Falcon leaves the root path in the path, so a template has it or doesn't match."""
    assert visit(make_app("/api"), "/u/secret", root_path="/api") == (200, "/api/u/{name}")
    assert visit(make_app(), "/u/secret", root_path="/secret") == (404, None)


def test_mounted_in_starlette(make_app, visit):
    """Starlette's mount doesn't shorten the path: Falcon's templates have the mount's part, and it isn't doubled."""
    app = Starlette(routes=[Mount("/{tenant}/shop", make_app("/{tenant}/shop"))])
    assert visit(app, "/secret/shop/u/secret") == (200, "/{tenant}/shop/u/{name}")
    assert visit(app, "/secret/shop/u/secret", method="POST") == (405, "/{tenant}/shop/u/{name}")


def test_mounted_below_what_shortens_the_path(make_app, visit):
    app = make_app()

    async def shortens(scope, receive, send):
        await app({**scope, "path": scope["path"].removeprefix(scope["root_path"])}, receive, send)

    outer = Starlette(routes=[Mount("/{tenant}/shop", shortens)])
    assert visit(outer, "/secret/shop/u/secret") == (200, "/{tenant}/shop/u/{name}")
    assert visit(outer, "/secret/shop/boom/secret") == (500, "/{tenant}/shop/boom/{name}")
    assert visit(outer, "/secret/shop/secret") == (404, "/{tenant}/shop/{path}")  # the mount's own


@pytest.mark.parametrize("template", [None, b"/u/secret", 7, object()])
def test_a_changed_framework_breaks_nothing(make_app, visit, template):
    class Changed(RouteMiddleware):
        async def process_resource(self, req, resp, resource, params):
            req.uri_template = template
            await super().process_resource(req, resp, resource, params)

    assert visit(make_app(middleware=Changed()), "/u/secret") == (200, None)
