"""What was asked for: the kind of request, its path and its query."""

from __future__ import annotations

import mimetypes
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from centtrack.capture.click_ids import CLICK_IDS
from centtrack.capture.clock import one_digit
from centtrack.capture.headers import Headers
from centtrack.capture.observation import Observation
from centtrack.event import Kind
from centtrack.policy.levels import Page
from centtrack.scrub.clean import MAX_TEXT, clean
from centtrack.scrub.text import Scrubbed, scrub

# RFC 9110 and RFC 5789; what else is sent could say anything. OpenTelemetry's name for the rest.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
_OTHER_METHOD = "_OTHER"

# Sec-Fetch-Dest; what isn't listed is a part of a page: an image, a script, a font.
_KINDS: dict[bytes, Kind] = {
    **dict.fromkeys((b"document", b"iframe", b"frame", b"embed", b"object", b"fencedframe"), "document"),
    b"empty": "api",
}
_PURPOSES = (b"sec-purpose", b"purpose", b"x-moz")
MAX_QUERY = 8_192  # bytes that are looked at
_MAX_QUERY_FIELDS = 100
_MAX_QUERY_VALUE = 512  # bytes of one value that are kept
_CLICK_IDS = frozenset(key.lower() for key in CLICK_IDS)


class PageFields(NamedTuple):
    """Columns of the event, and the kinds of what was scrubbed on the way."""

    route: str | None
    path: str | None
    query: str | None
    scrubbed: tuple[str, ...] = ()


def read_kind(seen: Observation, headers: Headers) -> Kind:
    """The kind of a request, from Sec-Purpose and Sec-Fetch-Dest (W3C Fetch Metadata), else from its content type.

    A redirect is `other`, whatever was asked for: no document came of it.
    """
    if seen.protocol == "websocket":
        return "websocket"
    if _is_prefetch(headers):
        return "prefetch"
    if seen.status is not None and 300 <= seen.status < 400 and seen.status != 304:
        return "other"
    destination = headers.get(b"sec-fetch-dest")
    return _kind_of_content(seen) if destination is None else _KINDS.get(destination, "asset")


def _is_prefetch(headers: Headers) -> bool:
    if not (b"sec-purpose" in headers or b"purpose" in headers or b"x-moz" in headers):
        return False
    return any(b"prefetch" in headers.get(name, b"").lower() for name in _PURPOSES)


def _kind_of_content(seen: Observation) -> Kind:
    """Without fetch metadata (old browsers, robots, logs): by content type, else by the path's extension."""
    content_type = seen.content_type or _guessed_type(seen)
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in {"text/html", "application/xhtml+xml"}:
        return "document" if seen.method in {"GET", "HEAD", "POST"} else "api"
    if media_type.endswith(("json", "/xml", "+xml")) and not media_type.startswith("image/"):
        return "api"
    if media_type.startswith(("image/", "font/", "audio/", "video/")) or media_type in _ASSET_TYPES:
        return "asset"
    return "other"


_ASSET_TYPES = {"text/css", "text/javascript", "application/javascript", "application/font-woff", "application/wasm"}
_PAGE_EXTENSIONS = {"", "php", "asp", "aspx", "jsp", "cgi"}


def _guessed_type(seen: Observation) -> str:
    """The type that a path's extension stands for; a path without one is a document if it was fetched with GET."""
    _, dot, extension = seen.path.rpartition("/")[2].rpartition(".")
    if not dot or extension.lower() in _PAGE_EXTENSIONS:
        return "text/html" if seen.method in {"GET", "HEAD"} else ""
    guessed, _ = mimetypes.guess_type(f"x.{extension}", strict=False)
    return guessed or ("text/html" if len(extension) > 5 and seen.method in {"GET", "HEAD"} else "")


def reduce_page(
    route: str | None, path: str, query: bytes, level: Page, query_keys: Collection[str], *, scrub_uuids: bool
) -> PageFields:
    """Route, path and query as the level allows; no route known means None, never the path."""
    route = clean(route) if route is not None and level >= Page.ROUTE else None
    if level < Page.PATH:
        return PageFields(route, None, None)
    path, kinds = scrub(path, uuids=scrub_uuids)
    if level < Page.QUERY or not query:
        return PageFields(route, path, None, kinds)
    kept = reduce_query(query, query_keys, scrub_uuids=scrub_uuids)
    return PageFields(route, path, kept.text or None, kinds + kept.kinds)


def reduce_query(query: bytes, keys: Collection[str], *, scrub_uuids: bool) -> Scrubbed:
    """The listed keys with scrubbed values, as many as fit; an empty text if none of them is there.

    UTM keys follow the limit `campaign`, so they never stand here; nor do click identifiers, which tell a person.
    """
    kept = ""
    kinds: tuple[str, ...] = ()
    for key, value in parse_query(query):
        if key in keys and not _is_of_campaign(key.lower()):
            found = scrub(value, uuids=scrub_uuids, limit=_MAX_QUERY_VALUE)
            longer = f"{kept}&{urlencode({key: found.text})}"
            if len(longer) <= MAX_TEXT:
                kept, kinds = longer, kinds + found.kinds
    return Scrubbed(kept.removeprefix("&"), kinds)


def _is_of_campaign(key: str) -> bool:
    return key.startswith("utm_") or key in _CLICK_IDS


def parse_query(query: bytes) -> list[tuple[str, str]]:
    """Keys and values of a query, decoded but not cleaned: `scrub` does that. One that is cut loses its last pair."""
    text = query[:MAX_QUERY].decode(errors="replace")
    if len(query) > MAX_QUERY and "&" in text:
        text = text.rpartition("&")[0]
    if text.count("&") >= _MAX_QUERY_FIELDS:
        text = "&".join(text.split("&", _MAX_QUERY_FIELDS)[:_MAX_QUERY_FIELDS])
    return parse_qsl(text, keep_blank_values=True, errors="replace")


def reduce_method(method: str | None) -> str | None:
    """A method of HTTP, or `_OTHER`."""
    return method if method is None or method in _METHODS else _OTHER_METHOD


def reduce_size(size: int | None, level: Page) -> int | None:
    """Bytes of the response. To the byte they would tell pages of one route apart, so they follow the page's level."""
    if size is None or level is Page.NONE:
        return None
    return size if level >= Page.PATH else one_digit(size)
