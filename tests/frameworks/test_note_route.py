"""`note_route`: what adapters, and the users of other frameworks, call."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from centtrack.calls import note_route


def noting(template, **options):
    async def app(scope, receive, send):
        note_route(scope, template, **options)
        await PlainTextResponse("fine")(scope, receive, send)

    return app


@pytest.mark.parametrize("root_path", ["", "/secret"])
def test_a_bare_asgi_app(visit, root_path):
    assert visit(noting("/u/{name}"), "/u/secret", root_path=root_path) == (200, "/u/{name}")


@pytest.mark.parametrize("root_path", ["", "/secret"])
def test_mounts_above_are_put_in_front(visit, root_path):
    app = Starlette(routes=[Mount("/{a}", Starlette(routes=[Mount("/{b}", noting("/u/{name}"))]))])
    assert visit(app, "/secret/secret/u/secret", root_path=root_path) == (200, "/{a}/{b}/u/{name}")


def test_mounts_that_the_template_has_are_not_put_in_front(visit):
    app = Starlette(routes=[Mount("/{a}", noting("/{a}/u/{name}", matches_path=True))])
    assert visit(app, "/secret/u/secret") == (200, "/{a}/u/{name}")


@pytest.mark.parametrize("template", [None, b"/u/secret", 7])
def test_what_is_no_template_is_not_noted(visit, template):
    assert visit(noting(template), "/u/secret") == (200, None)


@pytest.mark.parametrize("scope", [{}, {"centtrack": None}, {"centtrack": object()}, None])
def test_without_the_middleware_nothing_happens(scope):
    note_route(scope, "/u/{name}")
