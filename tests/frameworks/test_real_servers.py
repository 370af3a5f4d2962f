"""Each framework under a real uvicorn, as a user would write it: the middleware around the app, the adapter inside."""

import json

import pytest

from servers import Site, uvicorn
from waiting import eventually

TELEMETRY = """
from centtrack import TelemetryMiddleware

app = TelemetryMiddleware(app, policy="privacy.toml", sink="jsonl:events.jsonl", journal="state/journal.db")
"""

APPS = {
    "starlette": """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

async def page(request):
    return PlainTextResponse("fine")

app = Starlette(routes=[Mount("/{tenant}", routes=[Route("/u/{name}", page)])])
""",
    "fastapi": """
import fastapi

app, router = fastapi.FastAPI(), fastapi.APIRouter(prefix="/{tenant}")

@router.get("/u/{name}")
def page(name: str):
    return name

app.include_router(router)
""",
    "litestar": """
import litestar
from litestar.params import FromPath

@litestar.get("/u/{name:str}")
async def page(tenant: FromPath[str], name: FromPath[str]) -> str:
    return name

app = litestar.Litestar([litestar.Router("/{tenant:str}", route_handlers=[page])])
""",
    "quart": """
import quart
from centtrack.frameworks.quart import record_routes

app, tenants = quart.Quart(__name__), quart.Blueprint("tenants", __name__, url_prefix="/<tenant>")
record_routes(app)

@tenants.get("/u/<name>")
async def page(tenant, name):
    return name

app.register_blueprint(tenants)
""",
    "django": """
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import include, path

settings.configure(
    ROOT_URLCONF=__name__, MIDDLEWARE=["centtrack.frameworks.django.RouteMiddleware"], ALLOWED_HOSTS=["*"]
)

def page(request, tenant, name):
    return HttpResponse(name)

urlpatterns = [path("<tenant>/", include([path("u/<name>", page)]))]
app = get_asgi_application()
""",
    "falcon": """
import falcon.asgi
from centtrack.frameworks.falcon import RouteMiddleware

class Page:
    async def on_get(self, req, resp, tenant, name):
        resp.text = name

app = falcon.asgi.App()
app.add_middleware(RouteMiddleware())
app.add_route("/{tenant}/u/{name}", Page())
app.add_route("/behind/{tenant}/u/{name}", Page())
""",
}


@pytest.mark.parametrize("framework", APPS)
def test_under_uvicorn_behind_a_prefix(tmp_path, framework):
    site = Site(tmp_path)
    (tmp_path / "app.py").write_text(APPS[framework] + TELEMETRY)
    with uvicorn(site, "--root-path", "/behind") as server:
        server.get("/secret/u/secret")
        eventually(lambda: site.accepted() == 1)
        site.wait_for_delivery()
    [event] = map(json.loads, (tmp_path / "events.jsonl").read_text().splitlines())
    prefix = "/behind" if framework == "falcon" else ""  # Falcon's templates have it, or they don't match
    assert event["route"] == prefix + "/{tenant}/u/{name}"
