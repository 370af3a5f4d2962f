"""What an app, or a framework, may call while a request is served."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from centtrack.asked import AskedRequest
from centtrack.consent.state import SCOPE_KEY
from centtrack.errors import UndeclaredEventError
from centtrack.logs import describe, report

logger = logging.getLogger(__name__)


def track(request: Any, name: str, /, **props: str | float | bool) -> None:
    """Record a custom event with a request.

    It has all columns of the request's own event, and is recorded when the response is done. A name or property that
    the policy doesn't declare in `[[events]]` is counted as dropped, with one ERROR a name in the log. A number that
    looks like somebody's phone, card or IIN is left out.

    Args:
        request: a request or WebSocket of Starlette or FastAPI, or an ASGI scope.
        name: name of the event.
        **props: its properties.

    Raises:
        UndeclaredEventError: only with `debug=True` of the middleware, instead of counting what isn't declared.
    """
    try:
        scope = request if isinstance(request, Mapping) else getattr(request, "scope", {})
        asked = scope.get(SCOPE_KEY)
        if isinstance(asked, AskedRequest):
            asked.track(name, props)
    except UndeclaredEventError:
        raise
    except Exception as error:  # noqa: BLE001 - nothing of ours may reach the app
        report(logger, logging.ERROR, "custom_failed", "a custom event could not be recorded: %s", describe(error))


def note_route(scope: Mapping[str, Any], template: str, *, matches_path: bool = False) -> None:
    """Note the route's template, for a framework that leaves none in the scope. Never raises.

    It goes before what is read from the scope. Mounts of Starlette and Litestar above are put in front of it.

    Args:
        scope: the scope as the framework got it; nothing happens if the middleware wasn't passed.
        template: as in `/products/{product}`, without values.
        matches_path: whether the framework matches the scope's path as it is, with the root path and mounts in it.
    """
    try:
        asked = scope.get(SCOPE_KEY)
        if isinstance(asked, AskedRequest) and isinstance(template, str):
            asked.note_route(scope, template, matches_path=matches_path)
    except Exception as error:  # noqa: BLE001 - nothing of ours may reach the app
        report(logger, logging.ERROR, "route_failed", "a route could not be noted: %s", describe(error))
