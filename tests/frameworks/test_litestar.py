"""Litestar leaves the template in the scope, but not that of its mounts."""

import litestar
import pytest
from litestar.params import FromPath
from litestar.static_files import create_static_files_router
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

INNER = Starlette(
    routes=[
        Route("/p/{id}/", PlainTextResponse("fine")),
        Mount("/deep/{name}", routes=[Route("/p/{id}/", PlainTextResponse("fine"))]),
    ]
)


@litestar.get("/u/{name:str}")
async def page(name: FromPath[str]) -> str:
    return "fine"


@litestar.get(["/several/{number:int}", "/more/{number:int}"])
async def several(number: FromPath[int]) -> str:
    return "fine"


class Shop(litestar.Controller):
    path = "/{tenant:str}/shop"

    @litestar.get("/o/{order:int}")
    async def order(self, tenant: FromPath[str], order: FromPath[int]) -> str:
        return "fine"


@litestar.websocket("/ws/{name:str}")
async def socket(socket: litestar.WebSocket, name: FromPath[str]) -> None:
    await socket.accept()
    await socket.close()


@litestar.asgi(["/raw", "/raw/deeper", "/other"], is_mount=True, copy_scope=False)
async def raw(scope: dict, receive: object, send: object) -> None:
    await PlainTextResponse("fine")(scope, receive, send)


@litestar.asgi("/inner", is_mount=True, copy_scope=False)
async def inner(scope: dict, receive: object, send: object) -> None:
    await INNER(scope, receive, send)


@litestar.asgi("/copied", is_mount=True, copy_scope=True)
async def copied(scope: dict, receive: object, send: object) -> None:
    await INNER(scope, receive, send)


@pytest.fixture
def app(tmp_path, boom):
    (tmp_path / "a.css").write_text("a {}")

    @litestar.get("/boom/{name:str}")
    async def failing(name: FromPath[str]) -> str:
        boom()

    return litestar.Litestar(
        [
            page, several, failing, socket, raw, inner, copied,
            litestar.Router("/api/{version:int}", route_handlers=[Shop]),
            create_static_files_router("/static", directories=[tmp_path]),
        ],
        logging_config=None,
    )  # fmt: skip


CASES = [
    ("/u/secret", 200, "/u/{name}"),
    ("/several/7", 200, "/several/{number}"),
    ("/more/7", 200, "/more/{number}"),
    ("/several/secret", 404, None),
    ("/api/1/secret/shop/o/7", 200, "/api/{version}/{tenant}/shop/o/{order}"),
    ("/static/a.css", 200, "/static/{file_path}"),
    ("/static/secret.css", 404, "/static/{file_path}"),
    ("/boom/secret", 500, "/boom/{name}"),
    ("/secret", 404, None),
    # mounts
    ("/raw", 200, "/raw/{path}"),
    ("/raw/secret/secret", 200, "/raw/{path}"),
    ("/other/secret", 200, "/other/{path}"),
    ("/inner/p/secret", 200, "/inner/p/{id}/"),
    ("/inner/secret", 404, "/inner/{path}"),
    ("/copied/p/secret", 200, "/copied/{path}"),
]


@pytest.mark.parametrize("root_path", ["", "/secret"])
@pytest.mark.parametrize(("path", "status", "route"), CASES)
def test_templates(app, visit, path, status, route, root_path):
    assert visit(app, path, root_path=root_path) == (status, route)


def test_a_mount_of_starlette_below_one_of_litestar(app, visit):
    """What is behind Litestar's mount can't be walked, so the whole template isn't known."""
    assert visit(app, "/inner/deep/secret/p/secret") == (200, None)


def test_method_not_allowed(app, visit):
    assert visit(app, "/u/secret", method="POST") == (405, None)  # Litestar tells none then


def test_websockets(app, visit):
    assert visit(app, "/ws/secret", kind="websocket") == (101, "/ws/{name}")
    outer = Starlette(routes=[Mount("/{client}/old", app)])
    assert visit(outer, "/secret/old/ws/secret", kind="websocket") == (101, "/{client}/old/ws/{name}")


@pytest.mark.parametrize("root_path", ["", "/secret"])
@pytest.mark.parametrize(
    ("path", "status", "route"),
    [
        ("/u/secret", 200, "/u/{name}"),
        ("/api/1/secret/shop/o/7", 200, "/api/{version}/{tenant}/shop/o/{order}"),
        ("/boom/secret", 500, "/boom/{name}"),
        ("/raw/secret", 200, "/raw/{path}"),
        ("/inner/p/secret", 200, "/inner/p/{id}/"),
        ("/secret", 404, "/{path}"),  # Starlette's mount
    ],
)
def test_mounted_in_starlette(app, visit, path, status, route, root_path):
    outer = Starlette(routes=[Mount("/{client}/old", app)])
    assert visit(outer, "/secret/old" + path, root_path=root_path) == (status, "/{client}/old" + route)
