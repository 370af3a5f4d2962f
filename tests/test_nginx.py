"""A caching nginx in front: what it keeps of pages that lost a cookie."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import Site, free_port, listens, uvicorn
from waiting import eventually

POLICY = """
[limits.default]
time = "second"
[consent]
gate = "declared"
[[cookies]]
name = "_ga"
category = "analytics"
"""

APP = """
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from centtrack import TelemetryMiddleware, consent_of

answered = 0

def cacheable(request, **cookies):
    global answered
    answered += 1
    response = HTMLResponse(f"answer {answered}", headers={"cache-control": "public, max-age=600"})
    for name, value in cookies.items():
        response.set_cookie(name, value)
    return response

async def counted(request):
    return cacheable(request, _ga="1")

async def plain(request):
    return cacheable(request)

async def accelerated(request):
    response = cacheable(request, _ga="1")
    response.headers["x-accel-expires"] = "600"
    return response

async def personal(request):
    consent_of(request)
    return cacheable(request)

pages = (counted, plain, personal, accelerated)
app = Starlette(routes=[Route(f"/{page.__name__}", page) for page in pages])
app.add_middleware(
    TelemetryMiddleware, policy="privacy.toml", sink="jsonl:events.jsonl", journal="state/journal.db", secret="s" * 32
)
"""

CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache keys_zone=pages:1m;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_cache pages;
            proxy_cache_key $uri;
            add_header X-Cache $upstream_cache_status;
        }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[int]:
    """The port of an nginx that caches what comes from another."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not binary:
        pytest.skip("needs nginx")
    port, folder = free_port(), folder / "nginx"
    folder.mkdir()
    folder.chmod(0o755)
    configuration = folder / "nginx.conf"
    user = "user root;\n" if folder.owner() == "root" else ""
    configuration.write_text(user + CONFIGURATION.format(folder=folder, port=port, upstream=upstream))
    command = [binary, "-c", str(configuration), "-p", str(folder), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: process.poll() is not None or listens(port))
        assert process.poll() is None, (folder / "error.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(15)


def get(port: int, path: str) -> tuple[str, str]:
    """The body, and whether it came from the cache."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 200
        assert response.getheader("set-cookie") is None
        return response.read().decode(), response.getheader("x-cache") or ""


def test_a_page_that_lost_a_cookie_is_not_served_to_the_next_visitor(tmp_path):
    with uvicorn(Site(tmp_path, policy=POLICY, app=APP)) as server, nginx(tmp_path, server.port) as port:
        (plain, _), again = get(port, "/plain"), get(port, "/plain")
        assert again == (plain, "HIT")  # the cache works
        for path in ("/counted", "/personal", "/accelerated"):
            (first, _), (second, state) = get(port, path), get(port, path)
            assert second != first, path
            assert state != "HIT", path
