"""Imports point one way, and importing the package costs and opens nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "centtrack"

# Each part, and what it may import of the others. From the bottom to the top.
ALLOWED = {
    "errors": "",
    "asgi": "",
    "logs": "errors",
    "locks": "",
    "folders": "",
    "event": "",
    "spelling": "",
    "schema": "errors event",
    "policy": "errors event spelling",
    "addresses": "policy",
    "cookies": "asgi",
    "signing": "errors",
    "scrub": "policy",
    "geo": "errors logs policy addresses",
    "visitor": "errors locks logs policy cookies signing",
    "consent": "asgi errors event locks logs folders policy cookies signing",
    "capture": "asgi errors event spelling logs policy cookies addresses scrub geo visitor consent",
    "sinks": "errors event schema spelling logs locks addresses",
    "delivery": "errors event locks folders logs policy consent visitor capture sinks scrub",
    "explain": "event policy capture",
    "response": "asgi logs policy cookies scrub visitor consent capture explain",
    "blind": "asgi logs consent",
    "asked": "asgi errors logs policy consent capture delivery",
    "request": "asgi logs consent capture delivery blind asked response",
    "lifespan": "asgi logs",
    "middleware": "asgi errors event spelling logs policy signing visitor consent capture sinks delivery blind "
    "response request lifespan monitoring",
    "monitoring": "errors asgi asked logs consent delivery sinks",
    "consuming": "errors event logs policy sinks delivery monitoring",
    "calls": "errors logs consent asked",
    "frameworks": "calls",
    "testing": "event sinks",
    "request_text": "errors capture",
    "access_log": "errors capture",
    "importing": "errors event capture delivery access_log",
    "reports": "errors event schema sinks",
    "demo": "errors signing delivery",
    "cli": "*",
    "__init__": "event policy consent sinks calls middleware",
    "__main__": "cli",
}


def imports_of(file: Path) -> set[str]:
    """The parts of centtrack that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found |= {name.split(".")[1] for name in names if name.startswith("centtrack.")}
    return found


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_point_one_way(file):
    part = file.relative_to(SOURCE).parts[0].removesuffix(".py")
    assert part in ALLOWED, "a new part: say what it may import"
    if ALLOWED[part] != "*":
        assert imports_of(file) - {part} <= set(ALLOWED[part].split())


def test_import_is_quiet():
    """No thread, no file of ours, no optional package, no framework."""
    code = """
import sys, threading, centtrack
optional = {"pyarrow", "deltalake", "duckdb", "ibis", "typer", "rich", "apachelogs", "starlette", "httpx", "geoip2"}
optional |= {"prometheus_client", "opentelemetry", "obstore"}
assert not optional & set(sys.modules), optional & set(sys.modules)
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True)
