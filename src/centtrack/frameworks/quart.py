"""Route templates of Quart: `record_routes(app)`."""

from __future__ import annotations

import contextlib
import re
from functools import lru_cache

from quart import Quart, request, request_started, websocket, websocket_started
from quart.wrappers.base import BaseRequestWebsocket

from centtrack.calls import note_route

# <name>, <converter:name>, <converter(arguments):name>
_PARAMETER = re.compile(r"<(?:[A-Za-z_]\w*(?:\(.*?\))?:)?([A-Za-z_]\w*)>")


def record_routes(app: Quart) -> None:
    """Note the template of each request and WebSocket, as in `/products/{product}`, with its blueprints' prefixes.

    It listens to Quart's signals, which come before any `before_request`, so that none of these can hide the route.

    Args:
        app: the application.
    """
    request_started.connect(_note_request, app, weak=False)
    websocket_started.connect(_note_websocket, app, weak=False)


# Async, as Quart hands plain functions to a thread.
async def _note_request(_app: object, **_more: object) -> None:
    _note(request)


async def _note_websocket(_app: object, **_more: object) -> None:
    _note(websocket)


def _note(connection: BaseRequestWebsocket) -> None:
    with contextlib.suppress(Exception):  # a framework that changed must not break the request
        if connection.url_rule is not None:
            note_route(connection.scope, _readable(connection.url_rule.rule))


@lru_cache(maxsize=1_024)
def _readable(rule: str) -> str:
    """A rule with its parameters' names only."""
    return _PARAMETER.sub(r"{\1}", rule)
