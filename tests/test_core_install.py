"""`pip install centtrack` without extras imports and runs; what is missing says what to install."""

import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

RECORDS = """
import asyncio, json, pathlib, centtrack

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": b"hello"})

async def main():
    wrapped = centtrack.TelemetryMiddleware(app, sink="jsonl:events.jsonl", policy="privacy.toml", journal="journal.db")
    assert wrapped.problem is None, wrapped.problem
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": ("203.0.113.9", 1)}
    async def nothing(*_): return {}
    await wrapped(scope, nothing, nothing)
    assert wrapped.pipeline.flush(60)  # on a busy machine the engines alone may take longer than closing waits
    await wrapped.aclose()

pathlib.Path("privacy.toml").write_text('[limits.default]\\ntime = "minute"\\nip = "net24"')
asyncio.run(main())
(event,) = map(json.loads, open("events.jsonl"))
assert event["ip_network"] == "203.0.113.0/24", event
"""

WITHOUT_EXTRAS = """
import centtrack.sinks
try:
    centtrack.sinks.open_sink("delta:lake")
except centtrack.errors.MissingExtraError as error:
    assert "pip install 'centtrack[delta]'" in str(error), error
else:
    raise AssertionError("delta: works without deltalake")
import centtrack.consent
try:
    centtrack.consent.consent_routes
except centtrack.errors.MissingExtraError as error:
    assert "pip install 'centtrack[consent]'" in str(error), error
else:
    raise AssertionError("the routes work without Starlette")
import centtrack.monitoring
assert centtrack.monitoring.health_of({}).status == "failing"
try:
    centtrack.monitoring.metrics_app
except centtrack.errors.MissingExtraError as error:
    assert "pip install 'centtrack[monitoring]'" in str(error), error
else:
    raise AssertionError("metrics work without prometheus-client")
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A new environment with the core's dependencies only: what this one has installed, and no more."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    site = next(folder.glob("lib/python*/site-packages"))
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", folder / "bin" / "python", *wanted],
        check=True,
    )
    subprocess.run(
        [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--python",
            folder / "bin" / "python",
            ROOT,
        ],
        check=True,
    )
    assert not (site / "pyarrow").exists()
    return folder / "bin"


def test_records_without_extras(bare, tmp_path):
    subprocess.run([bare / "python", "-c", RECORDS], cwd=tmp_path, check=True)


def test_missing_extra_is_named(bare):
    subprocess.run([bare / "python", "-c", WITHOUT_EXTRAS], check=True)


def test_command_line_says_what_to_install(bare):
    ran = subprocess.run([bare / "centtrack"], capture_output=True, text=True)
    assert ran.returncode != 0
    assert "pip install 'centtrack[cli]'" in ran.stderr


def test_the_package_carries_its_types_data_and_example(bare):
    package = next(bare.parent.glob("lib/python*/site-packages/centtrack"))
    wanted = ["py.typed", "geo/data/cities.tsv.gz", "capture/data/sources.json", "policy/profiles/cent.toml",
              "policy/texts/kk.toml", "demo/places.mmdb", "demo/insurance/app.py", "consent/notice/texts/kk.toml",
              "consent/notice/templates/page.html", "consent/notice/static/banner.js", "policy/template.txt",
              "policy/data/known_cookies.toml"]  # fmt: skip
    assert [name for name in wanted if not (package / name).is_file()] == []
