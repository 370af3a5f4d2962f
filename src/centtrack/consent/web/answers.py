"""The responses of the consent routes: their headers, and what kind of answer a request asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import NamedTuple
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from centtrack.asgi import RawHeaders
from centtrack.consent.web.posts import JSON

PERSONAL: dict[str, str] = {"Cache-Control": "no-store", "Vary": "Cookie"}
"""For what depends on the visitor."""
_SAFE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
_CSP = "; ".join(
    [
        "default-src 'none'",
        *(f"{what} 'self'" for what in ("style-src", "script-src", "connect-src", "img-src", "form-action")),
        *(f"{what} 'none'" for what in ("base-uri", "frame-ancestors")),
    ]
)


def page(html: str, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] = PERSONAL) -> Response:
    """A page of ours, or a piece of one."""
    return Response(html, status, {**_SAFE, "Content-Security-Policy": _CSP, **headers}, "text/html; charset=utf-8")


def data(value: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] = PERSONAL) -> Response:
    """An answer for programs."""
    return Response(msgspec.json.encode(value), status, {**_SAFE, **headers}, JSON)


def go_on(path: str, status: HTTPStatus = HTTPStatus.SEE_OTHER) -> Response:
    """Sends the browser to a path of this site, which it gets with GET (RFC 9110, 15.4.4)."""
    location = quote(path, safe="/?#%:@!$&'()*+,;=[]~")
    # As the referrer of the next page this one would mark, among the events, who has just chosen.
    return Response(None, status, {**_SAFE, **PERSONAL, "Referrer-Policy": "no-referrer", "Location": location})


def problem(request: Request, status: HTTPStatus, reason: str, headers: Mapping[str, str] = PERSONAL) -> Response:
    """Says what is wrong."""
    if wants_json(request):
        return data({"error": reason}, status, headers)
    return PlainTextResponse(reason + "\n", status, {**_SAFE, **headers})


def wants_json(request: Request) -> bool:
    """Whether a program asks, and not a browser's page: it posts JSON, or accepts it and names no HTML."""
    accepted = request.headers.get("accept", "").lower()
    posted = request.headers.get("content-type", "").lower() if request.method == "POST" else ""
    return posted.startswith(JSON) or (JSON in accepted and "text/html" not in accepted)


def with_cookies(response: Response, lines: RawHeaders) -> Response:
    """The response with these Set-Cookie lines."""
    response.raw_headers.extend(lines)
    return response


class _File(NamedTuple):
    data: bytes
    etag: str


@cache
def _load(name: str) -> _File:
    content = files("centtrack.consent.notice").joinpath("static", name).read_bytes()
    return _File(content, f'"{hashlib.sha256(content).hexdigest()[:16]}"')


def static_file(request: Request, name: str, content_type: str) -> Response:
    """A file of this package, or 304 if the browser has it (RFC 9110, 13.1.2)."""
    file = _load(name)
    headers = {**_SAFE, "ETag": file.etag, "Cache-Control": "public, max-age=3600"}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if file.etag in known or known == ["*"]:
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    return Response(file.data, HTTPStatus.OK, headers, f"{content_type}; charset=utf-8")
