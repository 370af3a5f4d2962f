"""Route templates of Falcon (`falcon.asgi`): `app.add_middleware(RouteMiddleware())`."""

from __future__ import annotations

import contextlib
import re
from functools import lru_cache

from centtrack.calls import note_route

# {name}, {name:converter}, {name:converter("argument")}; an argument may hold braces only in quotes
_FIELD = re.compile(r"""\{(\w+)(?::(?:"[^"]*"|'[^']*'|[^{}"'])*)?\}""")


class RouteMiddleware:
    """Notes the template of the resource that was found, as in `/products/{product}`.

    Where no resource is found, as for a sink, a static route or a 404, none is known.
    """

    async def process_resource(self, req: object, _resp: object, _resource: object, _params: object) -> None:
        """Note the template of a request."""
        _note(req)

    async def process_resource_ws(self, req: object, _ws: object, _resource: object, _params: object) -> None:
        """Note the template of a WebSocket."""
        _note(req)


def _note(req: object) -> None:
    with contextlib.suppress(Exception):  # a framework that changed must not break the request
        scope, template = getattr(req, "scope", None), getattr(req, "uri_template", None)
        if isinstance(scope, dict) and isinstance(template, str):
            # Falcon looks up the scope's path as it is: its templates begin with the mount that it is below.
            note_route(scope, _readable(template), matches_path=True)


@lru_cache(maxsize=1_024)
def _readable(template: str) -> str:
    """A template with its parameters' names only."""
    return _FIELD.sub(r"{\1}", template)
