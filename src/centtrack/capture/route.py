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
    prefix = ""
    if scope.get("root_path", "") != root_path:
        found = _mount_prefix(app, {"type": scope["type"], "path": path, "root_path": root_path, "headers": []}, route)
        if found is None:
            return None
        prefix = found
    return prefix + template if prefix + template else "/"


def _template(route: object) -> str | None:
    template = getattr(route, "path_format", None) or getattr(route, "path", None)
    return template if isinstance(template, str) else None


def _effective_template(scope: Mapping[str, Any]) -> str | None:
    """FastAPI's template with the prefixes of `include_router`, which `scope["route"]` lacks since routers are nested.

    FastAPI leaves it in its own part of the scope; other frameworks have no such part.
    """
    own = scope.get("fastapi")
    context = own.get("effective_route_context") if isinstance(own, Mapping) else None
    return _template(context) if context is not None else None


def _mount_prefix(app: object, scope: MutableMapping[str, Any], leaf: object) -> str | None:
    """The templates of the mounts that led to the route, joined. `root_path` would hold their actual values."""
    prefix = ""
    for _ in range(_MAX_MOUNTS):
        mount, child_scope = _matching_mount(app, scope)
        if mount is None:
            return prefix
        if mount is leaf:
            return prefix  # its own template is the one that was read
        prefix += mount.path
        scope.update(child_scope)
        app = mount.app
    return None


def _matching_mount(app: object, scope: MutableMapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    for route in getattr(app, "routes", ()):
        if not hasattr(route, "matches"):
            continue
        match, child_scope = route.matches(scope)
        if match.name == "FULL":
            return (route, child_scope) if "root_path" in child_scope else (None, {})
    return None, {}
