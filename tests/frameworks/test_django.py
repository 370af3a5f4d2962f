"""Django: `MIDDLEWARE = ["centtrack.frameworks.django.RouteMiddleware", …]`."""

import asyncio

import pytest
from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.core.asgi import get_asgi_application
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse, StreamingHttpResponse
from django.test import RequestFactory, override_settings
from django.urls import include, path, re_path
from django.utils.decorators import sync_only_middleware
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from centtrack.frameworks.django import RouteMiddleware, _without_regex

OURS = "centtrack.frameworks.django.RouteMiddleware"
LOCALE = "django.middleware.locale.LocaleMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
SYNC_ONLY = f"{__name__}.sync_only"


class Urls:
    """The root URLconf."""

    urlpatterns: list = []  # noqa: RUF012 - as Django has it


if not settings.configured:
    settings.configure(
        ROOT_URLCONF=Urls, MIDDLEWARE=[OURS], ALLOWED_HOSTS=["*"], SECRET_KEY="x" * 50, LOGGING_CONFIG=None
    )


def page(request, *unnamed, **values):
    return HttpResponse("fine")


async def async_page(request, **values):
    return HttpResponse("fine")


def streamed(request, **values):
    async def parts():
        yield b"a"
        yield b"b"

    return StreamingHttpResponse(parts())


def failing(request, **values):
    raise RuntimeError


@sync_only_middleware
def sync_only(get_response):
    return get_response


def changing(get_response):
    """A Django that tells its match in another way: `changing.tried`."""

    async def middleware(request):
        response = await get_response(request)
        request.resolver_match.tried = changing.tried
        return response

    return middleware


changing.async_capable, changing.sync_capable, changing.tried = True, False, None

articles = [
    path("<int:article>/", page),
    re_path(r"^(?P<year>[0-9]{4})/(?:page-(?P<number>\d+)/)?$", page),
    re_path(r"^old/(\d+)-(\w+)\.html$", page),
]


Urls.urlpatterns = [
    path("", page),
    path("u/<slug:name>", page),
    path("async/<name>", async_page),
    path("streamed/<name>", streamed),
    path("slash/<name>/", page),
    path("boom/<name>", failing),
    path("<tenant>/blog/", include([path("articles/", include(articles))])),
    re_path(r"^tenants/(?P<tenant>\w+)/", include([path("p/<uuid:id>", page), re_path(r"^r/(?P<id>.+)$", page)])),
    *i18n_patterns(path("local/<name>", page), prefix_default_language=False),
]


@pytest.fixture
def app():
    return get_asgi_application()


@pytest.mark.parametrize(
    ("path", "status", "route"),
    [
        ("/", 200, "/"),
        ("/u/secret", 200, "/u/{name}"),
        ("/async/secret", 200, "/async/{name}"),
        ("/streamed/secret", 200, "/streamed/{name}"),
        ("/secret/blog/articles/7/", 200, "/{tenant}/blog/articles/{article}/"),
        ("/secret/blog/articles/2026/page-3/", 200, "/{tenant}/blog/articles/{year}/page-{number}/"),
        ("/secret/blog/articles/old/7-secret.html", 200, "/{tenant}/blog/articles/old/{var}-{var}.html"),
        ("/tenants/secret/p/6f1b4f0e-3c1b-4d0e-9d7e-0a1b2c3d4e5f", 200, "/tenants/{tenant}/p/{id}"),
        ("/tenants/secret/r/secret/secret", 200, "/tenants/{tenant}/r/{id}"),
        ("/local/secret", 200, "/local/{name}"),
        ("/boom/secret", 500, "/boom/{name}"),
        ("/secret", 404, None),
    ],
)
def test_templates(app, visit, path, status, route):
    assert visit(app, path) == (status, route)


def test_the_language_is_a_parameter(visit):
    """The prefix of `i18n_patterns` tells what language was read, so it is no part of the template."""
    with override_settings(MIDDLEWARE=[OURS, LOCALE]):
        app = get_asgi_application()
        assert visit(app, "/kk/local/secret") == (200, "/{language}/local/{name}")


def test_a_redirect_of_djangos_has_none(visit):
    with override_settings(MIDDLEWARE=[OURS, COMMON]):
        assert visit(get_asgi_application(), "/slash/secret") == (301, None)


@pytest.mark.parametrize("middleware", [[OURS, SYNC_ONLY], [SYNC_ONLY, OURS]], ids=["before", "behind"])
def test_among_middleware_that_is_not_async(visit, middleware):
    with override_settings(MIDDLEWARE=middleware):
        assert visit(get_asgi_application(), "/async/secret") == (200, "/async/{name}")


def test_root_path_of_the_server(app, visit):
    assert visit(app, "/u/secret", root_path="/secret") == (200, "/u/{name}")
    assert visit(app, "/boom/secret", root_path="/secret") == (500, "/boom/{name}")


def test_forced_script_name(visit):
    with override_settings(FORCE_SCRIPT_NAME="/secret"):
        assert visit(get_asgi_application(), "/secret/u/secret") == (200, "/u/{name}")


@pytest.mark.parametrize("root_path", ["", "/secret"])
@pytest.mark.parametrize(
    ("path", "status", "route"),
    [
        ("/secret/old/u/secret", 200, "/{client}/old/u/{name}"),
        ("/secret/old/secret/blog/articles/7/", 200, "/{client}/old/{tenant}/blog/articles/{article}/"),
        ("/secret/old/boom/secret", 500, "/{client}/old/boom/{name}"),
        ("/secret/old/secret", 404, "/{client}/old/{path}"),  # the mount's own
        ("/secret", 404, None),
    ],
)
def test_mounted_in_starlette(app, visit, path, status, route, root_path):
    outer = Starlette(routes=[Mount("/{client}/old", app)])
    assert visit(outer, path, root_path=root_path) == (status, route)


def test_it_is_async_where_what_follows_is():
    """So that Django puts no thread between."""

    async def following(request):
        return request

    assert iscoroutinefunction(RouteMiddleware(following))
    assert not iscoroutinefunction(RouteMiddleware(lambda request: request))
    assert asyncio.run(RouteMiddleware(following)(7)) == 7


def test_wsgi_goes_on():
    answers = []
    environ = RequestFactory().get("/u/secret").environ
    WSGIHandler()(environ, lambda status, headers: answers.append(status))
    assert answers == ["200 OK"]


@pytest.mark.parametrize("changed", [None, (), 7, [[object()]], [7]])
def test_a_changed_framework_breaks_nothing(visit, monkeypatch, changed):
    with override_settings(MIDDLEWARE=[OURS, f"{__name__}.changing"]):
        monkeypatch.setattr(changing, "tried", changed)
        assert visit(get_asgi_application(), "/async/secret") == (200, None)


@pytest.mark.parametrize(
    ("regex", "template"),
    [
        (r"^articles/(?P<year>[0-9]{4})/$", "articles/{year}/"),
        (r"^a/(?P<b>(x|y)[)]\))/c$", "a/{b}/c"),
        (r"^a/(\d+)/b/(\w+)/?$", "a/{var}/b/{var}/"),
        (r"^(?i:news|blog)/\Z", "news|blog/"),
        (r"^(?!secret)(?P<name>\w+)\.(?:html|xml)$", "{name}.html|xml"),
        (r"^v[0-9]+/\d{2,3}/.*$", "v{var}/{var}/{var}"),
        (r"a\-b\.c", "a-b.c"),
        ("", ""),
    ],
)
def test_regular_expressions(regex, template):
    assert _without_regex(regex) == template


@given(st.text(alphabet=r"()[]{}?:P<>=!#\^$*+.|dwAZ/a1"))
def test_no_regular_expression_is_too_odd(regex):
    assert _without_regex(regex).isprintable()
