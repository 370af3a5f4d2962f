"""FastAPI tells its own routes; for plain ones of Starlette only their endpoint."""

import fastapi
import pytest
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles


async def plain(request):
    return PlainTextResponse("fine")


def make_router(boom):
    router = fastapi.APIRouter(prefix="/of/{owner}")

    @router.get("/u/{name}")
    def page(name: str):
        return name

    @router.get("/n/{number}")
    def number(number: int):
        return number

    @router.get("/boom/{name}")
    async def failing(name: str):
        boom()

    @router.websocket("/ws/{name}")
    async def socket(websocket: fastapi.WebSocket):
        await websocket.accept()
        await websocket.close()

    router.add_route("/plain/{name}", plain)
    return router


@pytest.fixture
def make_app(tmp_path, boom):
    (tmp_path / "a.css").write_text("a {}")

    def make_app(**options):
        app, mounted, router = fastapi.FastAPI(**options), fastapi.FastAPI(), make_router(boom)
        nested = fastapi.APIRouter(prefix="/nested")
        nested.include_router(router)
        mounted.include_router(router)
        mounted.add_route("/plain/{name}", plain)
        mounted.add_route("/plain/again/{name}", plain)
        app.include_router(nested, prefix="/api/{version}")
        app.add_route("/plain/{name}", plain)
        app.mount("/{tenant:str}/sub", mounted)
        app.mount("/static/{theme}", StaticFiles(directory=tmp_path))
        app.mount("/old/{client}", Starlette(routes=[Route("/u/{name}", plain)]))
        return app

    return make_app


CASES = [
    ("/api/v1/nested/of/secret/u/secret", 200, "/api/{version}/nested/of/{owner}/u/{name}"),
    ("/api/v1/nested/of/secret/n/secret", 422, "/api/{version}/nested/of/{owner}/n/{number}"),
    ("/api/v1/nested/of/secret/boom/secret", 500, "/api/{version}/nested/of/{owner}/boom/{name}"),
    ("/api/v1/nested/of/secret/secret", 404, None),
    ("/plain/secret", 200, "/plain/{name}"),
    ("/docs", 200, "/docs"),
    ("/static/secret/a.css", 200, "/static/{theme}/{path}"),
    ("/static/secret/secret.css", 404, "/static/{theme}/{path}"),
    ("/old/secret/u/secret", 200, "/old/{client}/u/{name}"),
    ("/old/secret/secret", 404, "/old/{client}/{path}"),
    ("/secret/sub/of/secret/u/secret", 200, "/{tenant}/sub/of/{owner}/u/{name}"),
    ("/secret/sub/of/secret/boom/secret", 500, "/{tenant}/sub/of/{owner}/boom/{name}"),
    ("/secret/sub/plain/secret", 200, "/{tenant}/sub/plain/{name}"),
    ("/secret/sub/plain/again/secret", 200, "/{tenant}/sub/plain/again/{name}"),  # one endpoint, two routes
    ("/secret/sub/secret", 404, "/{tenant}/sub/{path}"),
    ("/secret", 404, None),
]


@pytest.mark.parametrize("root_path", ["", "/secret"])
@pytest.mark.parametrize(("path", "status", "route"), CASES)
def test_templates(make_app, visit, path, status, route, root_path):
    assert visit(make_app(), path, root_path=root_path) == (status, route)


@pytest.mark.parametrize("wrap", [lambda app: app, GZipMiddleware], ids=["bare", "wrapped"])
@pytest.mark.parametrize(("path", "status", "route"), CASES)
@pytest.mark.filterwarnings("ignore:The `root_path` parameter is deprecated")
def test_root_path_of_the_app(make_app, visit, path, status, route, wrap):
    assert visit(wrap(make_app(root_path="/behind/secret")), "/behind/secret" + path) == (status, route)


def test_method_not_allowed(make_app, visit):
    route = "/api/{version}/nested/of/{owner}/u/{name}"
    assert visit(make_app(), "/api/v1/nested/of/secret/u/secret", method="POST") == (405, route)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/v1/nested/of/secret/ws/secret", "/api/{version}/nested/of/{owner}/ws/{name}"),
        ("/secret/sub/of/secret/ws/secret", "/{tenant}/sub/of/{owner}/ws/{name}"),
    ],
)
def test_websockets(make_app, visit, path, route):
    assert visit(make_app(), path, kind="websocket") == (101, route)


@pytest.mark.parametrize("path", ["/api/m/secret/of/secret/u/secret", "/api/plain/secret"])
def test_in_an_included_router_the_whole_template_or_none(boom, visit, path):
    """FastAPI hides the plain routes and mounts of included routers from whoever walks its routes."""
    router, mounted, app = make_router(boom), fastapi.FastAPI(), fastapi.FastAPI()
    mounted.include_router(make_router(boom))
    router.mount("/m/{client}", mounted)
    app.include_router(router, prefix="/api")
    app.mount("/{other}", Starlette(routes=[Route("/u/{name}", plain)]))
    status, route = visit(app, path)
    assert status == 200
    assert route in {None, "/api/m/{client}/of/{owner}/u/{name}", "/api/plain/{name}"}


def test_mounted_in_starlette(make_app, visit):
    outer = Starlette(routes=[Mount("/{outer}", make_app())])
    for path, status, route in CASES[:3]:
        assert visit(outer, "/secret" + path) == (status, "/{outer}" + route)
