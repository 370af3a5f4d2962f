"""Route templates of Django (ASGI): add `"centtrack.frameworks.django.RouteMiddleware"` to `MIDDLEWARE`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.urls.resolvers import LocalePrefixPattern, RegexPattern

from centtrack.calls import note_route

_PARAMETER = re.compile(r"<(?:[^<>:]+:)?([^<>:]+)>")
_TOKEN = re.compile(
    r"""
      \(\?P<(?P<name>\w+)>                             # a named group
    | (?P<plain>\(\?[aiLmsux-]*:)                      # a group that captures nothing
    | (?P<aside>\(\?(?:[=!#]|<[=!]|[aiLmsux]+(?=\))))  # a look ahead or back, a comment, flags
    | (?P<group>\()
    | (?P<close>\))
    | (?P<any>\[\^?\]?(?:\\.|[^\]\\])*\]|\\[dDsSwW]|\.[*+])
    | (?P<nothing>\\[AbBZ]|[$*+?^]|\{\d*,?\d*\})       # anchors, repeats
    | \\?(?P<text>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING = frozenset({"name", "plain", "aside", "group"})


class RouteMiddleware:
    """Notes the template of the view that was found, as in `/articles/{year}/`, whatever the view answered.

    It works in async and in sync stacks, and changes neither into the other. It is best put first.

    Args:
        get_response: what comes next in the stack.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        self._is_async = bool(iscoroutinefunction(get_response))
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """Serve a request; in an async stack, an awaitable of the response."""
        if self._is_async:
            return self._serve(self._get_response(request), request)
        try:
            return self._get_response(request)
        finally:
            _note(request)

    async def _serve(self, response: Awaitable[Any], request: Any) -> Any:
        try:
            return await response
        finally:
            _note(request)


def _note(request: Any) -> None:
    """Note what the resolver found. Under WSGI there is no scope, and nothing is noted."""
    with contextlib.suppress(Exception):  # a framework that changed must not break the request
        if request.resolver_match is not None:
            # The patterns tried last are those that matched, from the root to the view.
            note_route(request.scope, "/" + "".join(map(_readable, request.resolver_match.tried[-1])))


def _readable(url: Any) -> str:
    """The part of a template that an URLPattern or URLResolver stands for."""
    pattern = url.pattern
    if isinstance(pattern, LocalePrefixPattern):
        return "{language}/" if str(pattern) else ""
    return _without_regex(str(pattern)) if isinstance(pattern, RegexPattern) else _without_converters(str(pattern))


@lru_cache(maxsize=1_024)
def _without_converters(route: str) -> str:
    return _PARAMETER.sub(r"{\1}", route)


@lru_cache(maxsize=1_024)
def _without_regex(regex: str) -> str:
    """A regular expression as a template: `^articles/(?P<year>[0-9]{4})/$` is `articles/{year}/`."""
    parts: list[str] = []
    is_hidden: list[bool] = []  # for each open group
    for token in _TOKEN.finditer(regex):
        kind = token.lastgroup or ""
        if kind == "close":
            del is_hidden[-1:]
            continue
        if not any(is_hidden):
            parts.append(_shown(kind, token[kind]))
        if kind in _OPENING:
            is_hidden.append(kind != "plain")
    return "".join(parts)


def _shown(kind: str, text: str) -> str:
    """What stands in a template for a token outside of groups."""
    if kind == "name":
        return "{" + text + "}"
    if kind in {"group", "any"}:
        return "{var}"
    return text if kind == "text" else ""
