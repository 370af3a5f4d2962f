"""The consent routes: the page and the banner, the choice and its proof, for Starlette and any ASGI app."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from centtrack.asgi import ASGIApp, Receive, Scope, Send
from centtrack.consent.paths import safe_path
from centtrack.consent.visit import visit_of
from centtrack.consent.web import answers, intake, views
from centtrack.consent.web.call import Call
from centtrack.consent.web.desk import Desk, notice_for
from centtrack.consent.web.posts import RefusedPostError
from centtrack.errors import ConfigurationError
from centtrack.logs import report

logger = logging.getLogger(__name__)

GPC_PATH = "/.well-known/gpc.json"
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")

Handler = Callable[[Call, Desk], Awaitable[Response]]


def consent_routes(
    *, prefix: str = "/consent", ledger: str | Path | None = None, templates: str | Path | None = None
) -> list[Route]:
    """The routes of the preference page and what belongs to it, for Starlette and FastAPI.

    They work inside TelemetryMiddleware, which brings policy, secrets and what the visitor chose. Put them at the root
    of the site, so that `/.well-known/gpc.json` is where browsers look for it.

    Args:
        prefix: path of the page; the others are below it.
        ledger: where choices are proved: a path, `sqlite:///…` or `postgresql://…`; default: `$CENTTRACK_LEDGER`, else
            one file per working directory in the user's state folder.
        templates: a folder whose files stand in for the templates of the same name.

    Raises:
        ConfigurationError: if prefix, ledger or templates can't be used.
        MissingExtraError: if a package that the ledger needs isn't installed.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ConfigurationError(f'prefix={prefix!r}: a path such as "/consent", without a slash at its end')
    desk = Desk(ledger, Path(templates) if templates is not None else None)
    paths: dict[str, dict[str, Handler]] = {
        prefix: {"GET": views.show_page},
        f"{prefix}/": {"GET": views.show_page_without_slash},
        f"{prefix}/state": {"GET": views.show_state},
        f"{prefix}/decide": {"POST": intake.decide_posted},
        f"{prefix}/withdraw": {"POST": intake.withdraw_posted},
        f"{prefix}/receipt": {"GET": views.show_receipt},
        f"{prefix}/policy": {"GET": views.show_policy},
        f"{prefix}/banner": {"GET": views.show_banner},
        f"{prefix}/banner.js": {"GET": partial(views.show_file, name="banner.js", content_type="text/javascript")},
        f"{prefix}/consent.css": {"GET": partial(views.show_file, name="consent.css", content_type="text/css")},
        GPC_PATH: {"GET": views.show_gpc},
    }
    return [
        Route(path, _Endpoint(desk, prefix, handlers), name=f"centtrack:{path}", include_in_schema=False)
        for path, handlers in paths.items()
    ]


def with_consent_routes(
    app: ASGIApp,
    *,
    prefix: str = "/consent",
    ledger: str | Path | None = None,
    templates: str | Path | None = None,
) -> ASGIApp:
    """An app of any framework with the consent routes before it. It goes inside TelemetryMiddleware.

    Args:
        app: gets all that isn't for the routes: other paths, WebSockets, the lifespan.
        prefix: as in `consent_routes`.
        ledger: likewise.
        templates: likewise.

    Raises:
        ConfigurationError: if prefix, ledger or templates can't be used.
        MissingExtraError: if a package that the ledger needs isn't installed.
    """
    routes = consent_routes(prefix=prefix, ledger=ledger, templates=templates)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        for route in routes if scope["type"] == "http" else ():
            if route.matches(scope)[0] is Match.FULL:
                await route.handle(scope, receive, send)
                return
        await app(scope, receive, send)

    return serve


def consent_banner(request: Any, *, prefix: str = "/consent", templates: str | Path | None = None) -> Markup:
    """The banner for a server-side template, while the visitor has something to choose; else nothing.

    Args:
        request: a request of Starlette or FastAPI, or an ASGI scope.
        prefix: path of the preference page, from the root of the app.
        templates: as the routes have it.
    """
    scope = request if isinstance(request, Mapping) else request.scope
    try:
        visit = visit_of(scope)
        notice = notice_for(visit.policy, templates=Path(templates) if templates is not None else None)
    except ConfigurationError as error:  # the page is shown, if without a banner
        report(logger, logging.ERROR, "no_consent_banner", "pages are shown without consent banner: %s", str(error))
        return Markup()
    root = scope.get("app_root_path", scope.get("root_path", ""))  # below a mount of Starlette, the former
    call = Call(Request(dict(scope)), visit, notice, quote(root) + prefix)
    if not call.asks(visit.consent):
        return Markup()
    return Markup(notice.banner(call.language(), base=call.base, back=_address_of(scope, root)))  # noqa: S704


def _address_of(scope: Mapping[str, Any], root: str) -> str:
    """Path and query of the page that is served; empty if a browser couldn't be sent back to it."""
    path, query = scope["path"], scope.get("query_string", b"").decode("latin-1")
    if root and not path.startswith(root + "/"):  # servers differ in whether the path has it
        path = root + path
    return safe_path(quote(path) + (f"?{query}" if query else "")) or ""


class _Endpoint:
    """An ASGI app that answers one path. Its requests are never recorded as events.

    Args:
        desk: of all routes that were made together.
        prefix: of these.
        handlers: method → what answers it.
    """

    def __init__(self, desk: Desk, prefix: str, handlers: Mapping[str, Handler]) -> None:
        self._desk = desk
        self._prefix = prefix
        self._handlers = {**handlers, **({"HEAD": handlers["GET"]} if "GET" in handlers else {})}
        self._allow = {"Allow": ", ".join([*self._handlers, "OPTIONS"])}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            visit = visit_of(request.scope)
            visit.keep_out()
            notice = self._desk.notice(visit.policy)
        except ConfigurationError as error:
            report(logger, logging.ERROR, "no_consent_routes", "the consent routes don't work: %s", str(error))
            return answers.problem(request, HTTPStatus.SERVICE_UNAVAILABLE, "consent can't be asked for here")
        handler = self._handlers.get(request.method)
        if handler is None:
            is_asked = request.method == "OPTIONS"
            return Response(None, HTTPStatus.NO_CONTENT if is_asked else HTTPStatus.METHOD_NOT_ALLOWED, self._allow)
        base = quote(request.scope.get("root_path", "")) + self._prefix
        try:
            return await handler(Call(request, visit, notice, base), self._desk)
        except RefusedPostError as refused:
            return answers.problem(request, refused.status, refused.reason)
        except ClientDisconnect:
            return Response(None, HTTPStatus.BAD_REQUEST)  # which nobody reads
