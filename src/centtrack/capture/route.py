"""The route's template, read from the scope after the app has run. Never a guess, never the path."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, NamedTuple

_MAX_MOUNTS = 8
_MAX_WRAPPERS = 64  # middleware around one application
_ANYTHING = "/{path}"  # what Starlette has for the part of a path that a mount hands on


class NotedRoute(NamedTuple):
    """A template that an adapter noted, and the actual root path below which it holds."""

    template: str
    root_path: str


class _Place(NamedTuple):
    """Where a walk through mounts has arrived."""

    prefix: str
    mount: Any  # the last one, or None
    app: Any
    scope: Mapping[str, Any]  # as that application got it


def read_route(
    scope: Mapping[str, Any], path: str, root_path: str, app: object, noted: NotedRoute | None = None
) -> str | None:
    """The template that matched, as in `/products/{product}`; None if the framework told none, or told only a part.

    Reads what Starlette, FastAPI and Litestar leave in the scope. Never raises.

    Args:
        scope: as the app left it.
        path: the scope's path before the app ran.
        root_path: the scope's root path before the app ran.
        app: the outermost application, whose mounts are walked if one of them answered.
        noted: what an adapter noted; it goes before what is in the scope.
    """
    try:
        return _read_route(scope, path, root_path, app, noted)
    except Exception:  # noqa: BLE001 - a framework that changed must not break the event
        return None


def _read_route(
    scope: Mapping[str, Any], path: str, root_path: str, app: object, noted: NotedRoute | None
) -> str | None:
    template, reached = noted or (_own_template(scope), scope.get("root_path", ""))
    handler = scope.get("route_handler")  # Litestar's
    is_below_litestar = handler is not None and getattr(handler, "is_mount", False)
    if template is None and not is_below_litestar and "endpoint" not in scope:
        return None
    if reached == root_path and template is not None and not is_below_litestar:
        return template or "/"
    place = _walk(app, {**scope, "path": path, "root_path": root_path}, reached)
    if place is None:
        return None
    outer = place.prefix + (_litestar_mount(scope, place) if is_below_litestar else "")
    is_told = noted is not None or bool(scope.get("path_template"))
    if not is_told and (template is None or scope.get("route") is place.mount):
        template = _ANYTHING if is_below_litestar else _template_of_endpoint(scope, place)
    return None if template is None else outer + template or "/"


def _own_template(scope: Mapping[str, Any]) -> str | None:
    """What the framework left, without mounts."""
    if template := scope.get("path_template"):  # Litestar; empty in a mount
        return template if isinstance(template, str) else None
    if own := scope.get("fastapi"):
        # With the prefixes of `include_router`, which `scope["route"]` lacks since routers are nested.
        template = _template(own.get("effective_route_context"))
    return template or _template(scope.get("route"))


def _template(route: object) -> str | None:
    template = getattr(route, "path_format", None) or getattr(route, "path", None)
    return template if isinstance(template, str) else None


def _walk(app: object, scope: MutableMapping[str, Any], reached: str) -> _Place | None:
    """Walk the mounts that led to an application. The root path holds their actual values, so it isn't told itself.

    Args:
        app: where to begin.
        scope: as it was before the app ran.
        reached: the root path to arrive at; None is returned unless the walk arrives just there.
    """
    prefix, mount = "", None
    for _ in range(_MAX_MOUNTS):
        app = _unwrapped(app)
        routes = getattr(app, "routes", None)
        if scope["root_path"] != reached and routes:
            scope["root_path"] = getattr(app, "root_path", "") or scope["root_path"]  # FastAPI(root_path=…)
        if scope["root_path"] == reached:
            return _Place(prefix, mount, app, scope)
        mount, child_scope = _matching_mount(routes or (), scope)
        if mount is None:
            return None
        scope.update(child_scope)
        prefix += getattr(mount, "path_format", _ANYTHING).removesuffix(_ANYTHING)  # a Host has none
        app = getattr(mount, "app", None)
    return None


def _unwrapped(app: Any) -> Any:
    """An application without the middleware around it."""
    for _ in range(_MAX_WRAPPERS):
        if hasattr(app, "routes") or not hasattr(app, "app"):
            break
        app = app.app
    return app


def _matching_mount(routes: Any, scope: MutableMapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    for route in routes:
        if hasattr(route, "endpoint") or not hasattr(route, "matches"):
            continue  # it answers itself; had it matched, nothing would have been mounted
        match, child_scope = route.matches(scope)
        if match.name == "FULL":
            return route, child_scope
    return None, {}


def _template_of_endpoint(scope: Mapping[str, Any], place: _Place) -> str | None:
    """FastAPI tells the endpoint of a plain Starlette route or mount, but not the route."""
    endpoint = scope.get("endpoint")
    if place.mount is not None and place.mount.app is endpoint:
        return _ANYTHING
    routes = [route for route in getattr(place.app, "routes", ()) if _endpoint(route) is endpoint]
    if len(routes) > 1:
        routes = [route for route in routes if route.matches(place.scope)[0].name != "NONE"]
    return _template(routes[0]) if routes else None


def _endpoint(route: object) -> object:
    return getattr(route, "endpoint", None) or getattr(route, "app", None)


def _litestar_mount(scope: Mapping[str, Any], place: _Place) -> str:
    """The path of the Litestar mount that answered. It has no parameters, so it is a template as it is."""
    handler, path = scope["route_handler"], place.scope["path"].removeprefix(place.scope["root_path"])
    paths = [route.path for route in scope["litestar_app"].routes if getattr(route, "route_handler", None) is handler]
    longest: str = max((one for one in paths if path.startswith(one)), key=len)
    return longest.rstrip("/")
