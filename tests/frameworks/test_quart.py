"""Quart: `record_routes(app)`."""

import pytest
from quart import Blueprint, Quart, websocket
from starlette.applications import Starlette
from starlette.routing import Mount

from centtrack.frameworks.quart import record_routes


@pytest.fixture
def app(boom):
    app, shop, orders = Quart(__name__), Blueprint("shop", __name__), Blueprint("orders", __name__)

    async def page(**values):
        return "fine"

    async def failing(**values):
        boom()

    async def socket(**values):
        await websocket.accept()

    async def early():
        return "early" if "early" in app.config else None

    app.before_request(early)
    record_routes(app)
    app.add_url_rule("/", view_func=page)
    app.add_url_rule("/u/<name>", view_func=page)
    app.add_url_rule("/n/<int:number>/<any(a, b):letter>/<string(length=2):lang>", view_func=page)
    app.add_url_rule("/rest/<path:rest>", view_func=page)
    app.add_url_rule("/slash/<name>/", view_func=page)
    app.add_url_rule("/boom/<name>", endpoint="boom", view_func=failing)
    app.add_websocket("/ws/<name>", view_func=socket)
    orders.add_url_rule("/o/<order>", view_func=page)
    orders.add_websocket("/ws/<name>", view_func=socket)
    shop.register_blueprint(orders, url_prefix="/orders")
    app.register_blueprint(shop, url_prefix="/<tenant>/shop")
    return app


@pytest.mark.parametrize(
    ("path", "status", "route"),
    [
        ("/", 200, "/"),
        ("/u/secret", 200, "/u/{name}"),
        ("/n/7/a/de", 200, "/n/{number}/{letter}/{lang}"),
        ("/n/secret/a/de", 404, None),
        ("/rest/secret/secret", 200, "/rest/{rest}"),
        ("/slash/secret", 308, None),  # sent on to where the slash is
        ("/secret/shop/orders/o/secret", 200, "/{tenant}/shop/orders/o/{order}"),
        ("/static/secret.css", 404, "/static/{filename}"),
        ("/boom/secret", 500, "/boom/{name}"),
        ("/secret", 404, None),
    ],
)
def test_templates(app, visit, path, status, route):
    assert visit(app, path) == (status, route)


def test_method_not_allowed(app, visit):
    assert visit(app, "/u/secret", method="POST") == (405, None)  # Quart finds no rule then


def test_websockets(app, visit):
    assert visit(app, "/ws/secret", kind="websocket") == (101, "/ws/{name}")
    assert visit(app, "/secret/shop/orders/ws/secret", kind="websocket") == (101, "/{tenant}/shop/orders/ws/{name}")


def test_a_hook_that_answers_first_hides_nothing(app, visit):
    app.config["early"] = True
    assert visit(app, "/u/secret") == (200, "/u/{name}")


def test_root_path_of_the_server(app, visit):
    assert visit(app, "/u/secret", root_path="/secret") == (200, "/u/{name}")
    assert visit(app, "/boom/secret", root_path="/secret") == (500, "/boom/{name}")


@pytest.mark.parametrize(
    ("path", "status", "route"),
    [
        ("/secret/old/u/secret", 200, "/{client}/old/u/{name}"),
        ("/secret/old/secret/shop/orders/o/secret", 200, "/{client}/old/{tenant}/shop/orders/o/{order}"),
        ("/secret/old/boom/secret", 500, "/{client}/old/boom/{name}"),
        ("/secret/old/secret", 404, "/{client}/old/{path}"),  # the mount's own
        ("/secret", 404, None),
    ],
)
@pytest.mark.parametrize("root_path", ["", "/secret"])
def test_mounted_in_starlette(app, visit, path, status, route, root_path):
    outer = Starlette(routes=[Mount("/{client}/old", app)])
    assert visit(outer, path, root_path=root_path) == (status, route)


def test_the_middleware_around_the_inner_app(app, visit):
    """As users of Quart put it: `app.asgi_app = TelemetryMiddleware(app.asgi_app, …)`."""
    assert visit(app.asgi_app, "/u/secret") == (200, "/u/{name}")


def test_only_the_app_that_was_named(app, visit):
    other = Quart(__name__)
    other.add_url_rule("/u/<name>", view_func=lambda name: "fine")
    assert visit(other, "/u/secret") == (200, None)


@pytest.mark.parametrize("changed", [None, b"/u/secret", 7, object(), []])
def test_a_changed_framework_breaks_nothing(app, visit, changed):
    [rule] = [rule for rule in app.url_map.iter_rules() if rule.rule == "/u/<name>"]
    rule.rule = changed
    assert visit(app, "/u/secret") == (200, None)
