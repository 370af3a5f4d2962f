"""Apps for real servers, each answering with its process id, and a sink that a file can close or stop."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent

_BEGIN = f"""
import asyncio, os, sys, time
sys.path.insert(0, {str(TESTS)!r})
from pathlib import Path
from centtrack import TelemetryMiddleware
from centtrack.errors import RetryLater
from faults.judge import IdFile

class Sink(IdFile):
    def write(self, batch):
        while Path("hang").exists():
            time.sleep(0.05)
        if Path("down").exists():
            raise RetryLater("down")
        super().write(batch)

def record(app, **options):
    sink = Sink(Path("ids"))
    return TelemetryMiddleware(app, policy="privacy.toml", sink=sink, journal="state/journal.db", **options)

async def page(scope, receive, send):
    assert scope["type"] == "http"
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": str(os.getpid()).encode()}})
"""

WITHOUT_LIFESPAN = _BEGIN + "app = record(page)\n"

WITH_LIFESPAN = (
    _BEGIN
    + """
async def inner(scope, receive, send):
    if scope["type"] != "lifespan":
        return await page(scope, receive, send)
    for kind in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{kind}"
        await send({"type": f"lifespan.{kind}.complete"})

app = record(inner)
"""
)

CONFIRMED = WITH_LIFESPAN.replace("record(inner)", 'record(inner, mode="confirmed")')

# Starlette's own way of adding it; it is made at the first message.
STARLETTE = (
    _BEGIN
    + """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def answer(request):
    return PlainTextResponse(str(os.getpid()))

def answer_in_thread(request):
    return PlainTextResponse(str(os.getpid()))

app = record(Starlette(routes=[Route("/thread/{number}", answer_in_thread), Route("/{rest:path}", answer)]))
"""
)

# The app outside hears of the end, the one that is recorded doesn't.
MOUNTED = (
    _BEGIN
    + """
from starlette.applications import Starlette
from starlette.routing import Mount

app = Starlette(routes=[Mount("/inner", record(page)), Mount("/", page)])
"""
)

DJANGO = (
    _BEGIN
    + """
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import re_path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])

def answer(request):
    return HttpResponse(str(os.getpid()))

urlpatterns = [re_path("", answer)]
app = record(get_asgi_application())
"""
)

# The process that forks its workers has recorded a visit already, and has threads, files and locks of its own.
USED_BEFORE_THE_FORK = (
    WITH_LIFESPAN
    + """
from centtrack.testing import make_scope

async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}

async def send(message):
    pass

def note_what_is_inherited():
    names = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.exists(entry.path)]
    ours = [name for name in names if "/state/" in name]
    with open("inherited", "a") as file:
        file.write(f"{os.getpid()} {' '.join(ours)}\\n")

asyncio.run(app(make_scope("/before"), receive, send))
assert app.pipeline.flush(30)
os.register_at_fork(after_in_child=note_what_is_inherited)
"""
)
