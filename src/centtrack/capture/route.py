"""The route's template, read from the scope after the app has run. Never a guess, never the path."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

_MAX_MOUNTS = 8


def read_route(scope: Mapping[str, Any], path: str, root_path: str, app: object) -> str | None:
    """The template that matched, as in `/products/{product}`; None if the framework told none.

    Reads what Starlette, FastAPI and Litestar leave in the scope. Never raises.

    Args:
        scope: as the app left it.
        path: the scope's path before the app ran.
        root_path: the scope's root path before the app ran.
        app: the outermost Starlette application, whose mounts are walked if one of them answered.
    """
    try:
        return _read_route(scope, path, root_path, app)
    except Exception:  # noqa: BLE001 - a framework that changed must not break the event
        return None


def _read_route(scope: Mapping[str, Any], path: str, root_path: str, app: object) -> str | None:
    if isinstance(template := scope.get("path_template"), str):  # Litestar
        return template
    route = scope.get("route")
    template = _effective_template(scope) or _template(route)
    if template is None:
        return None
    reached = scope.get("root_path", "")
    if reached == root_path:
        return template or "/"
    start = getattr(app, "root_path", "") or root_path  # FastAPI(root_path=…) sets its own
    if reached == start:
        return template or "/"
    prefix = _mount_prefix(app, {**scope, "path": path, "root_path": start}, route, reached)
    return None if prefix is None else prefix + template or "/"


def _template(route: object) -> str | None:
    template = getattr(route, "path_format", None) or getattr(route, "path", None)
    return template if isinstance(template, str) else None


def _effective_template(scope: Mapping[str, Any]) -> str | None:
    """FastAPI's template with the prefixes of `include_router`, which `scope["route"]` lacks since routers are nested.

    FastAPI leaves it in its own part of the scope; other frameworks have no such part.
    """
    own = scope.get("fastapi")
    return _template(own.get("effective_route_context")) if own else None


def _mount_prefix(app: object, scope: MutableMapping[str, Any], leaf: object, reached: str) -> str | None:
    """The templates of the mounts that led to the route, joined. `root_path` would hold their actual values.

    Args:
        app: where to begin.
        scope: as it was before the app ran.
        leaf: the route that was read; if it is a mount itself, its template isn't a prefix.
        reached: the root path after the app ran. None is returned unless the walk arrives just there.
    """
    prefix = ""
    for _ in range(_MAX_MOUNTS):
        if scope["root_path"] == reached:
            return prefix
        mount, child_scope = _matching_mount(app, scope)
        if mount is None:
            return None
        scope.update(child_scope)
        if mount is not leaf:
            prefix += getattr(mount, "path", "")  # a Host has none
        app = getattr(mount, "app", None)
    return None


def _matching_mount(app: object, scope: MutableMapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    while not hasattr(app, "routes") and hasattr(app, "app"):
        app = app.app  # middleware between
    for route in getattr(app, "routes", ()):
        if not hasattr(route, "matches"):
            continue
        match, child_scope = route.matches(scope)
        if match.name == "FULL":
            return route, child_scope
    return None, {}
