"""Real apps of each framework, driven through the middleware: what the event has for its route."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asgi import Recording
from centtrack.testing import make_scope

FIRST = {
    "http": {"type": "http.request", "body": b"", "more_body": False},
    "websocket": {"type": "websocket.connect"},
}
Visit = Callable[..., tuple[int | None, str | None]]


class PlannedError(Exception):
    """What the apps' failing views raise."""


def fail() -> None:
    """A view that fails."""
    raise PlannedError


@pytest.fixture
def boom() -> Callable[[], None]:
    return fail


@pytest.fixture
def visit(tmp_path: Path) -> Visit:
    """Visit an app, and return its status and the event's route; no value of the path may be in it."""

    def visit(
        app: Any, path: str, *, method: str = "GET", kind: str = "http", root_path: str = "", host: str = "testserver"
    ) -> tuple[int | None, str | None]:
        recording = Recording(tmp_path, app)
        scope = make_scope(root_path + path, method=method, kind=kind, headers=[("host", host)])
        scope["root_path"] = root_path
        if kind == "websocket":
            scope.pop("method", None)  # ASGI has none for it, and Litestar relies on that
        with contextlib.suppress(PlannedError):
            recording.serve(scope, FIRST[kind])
        event = recording.event()
        assert "secret" not in (event.route or "")
        return event.status, event.route

    return visit
