"""Where the visitor came from."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from centtrack.capture.scrub import scrub
from centtrack.policy.levels import Page, Referrer

MAX_REFERRER = 4_096  # bytes that are looked at; what is kept is cut to 2 KB after scrubbing

_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_-]{1,63})*\.[a-z][a-z0-9-]{1,62}")


class ReferrerFields(NamedTuple):
    """Columns of the event."""

    referrer_class: str | None
    referrer_domain: str | None
    referrer_path: str | None


class Source(NamedTuple):
    """A referrer before reduction.

    Attributes:
        kind: internal, search, social, email, external or none.
        domain: host, without `www.` and port.
        path: raw path.
    """

    kind: str
    domain: str | None = None
    path: str = ""


@cache
def _known_sources() -> dict[str, str]:
    """Host, with the first part of a path where it matters → search, social or email."""
    text = files("centtrack.capture").joinpath("data", "sources.json").read_text(encoding="utf-8")
    return {host: kind for kind, hosts in json.loads(text)["hosts"].items() for host in hosts}


def read_source(referrer: str | None, own_hosts: Collection[str]) -> Source:
    """What a Referer header says. User information, port, query and fragment of it are never kept."""
    if not referrer:
        return Source("none")
    try:
        parts = urlsplit(referrer)
        host = _normal(parts.hostname)
    except ValueError:
        return Source("external")
    if not host:
        return Source("external")
    if host in own_hosts:
        return Source("internal", host, parts.path)
    return Source(_kind_of_host(host, parts), host, parts.path)


@lru_cache(maxsize=1_024)
def read_host(header: bytes) -> str | None:
    """The name in a Host header (RFC 9110, 7.2), without port and `www.`.

    It tells internal referrers and picks among the policy's sites; it is never recorded.
    """
    try:
        return _normal(urlsplit("//" + header.decode("latin-1")).hostname) or None
    except ValueError:
        return None


def _normal(host: str | None) -> str:
    return (host or "").lower().rstrip(".").removeprefix("www.")


def _public_name(host: str | None) -> str | None:
    """A host's name, if it is one: not an address, nor text that holds personal data."""
    return host if host and _HOST_NAME.fullmatch(host) and scrub(host) == host else None


def _kind_of_host(host: str, parts: SplitResult) -> str:
    folder = parts.path.split("/", 2)[1] if parts.path.startswith("/") else ""
    known = _known_sources()
    return known.get(f"{host}/{folder}") or _kind_of_domain(host)


@lru_cache(maxsize=2_048)
def _kind_of_domain(host: str) -> str:
    """The kind of a host, or of the nearest domain above it that is listed."""
    known = _known_sources()
    labels = host.split(".")
    for start in range(len(labels) - 1):
        if kind := known.get(".".join(labels[start:])):
            return kind
    return "external"


def reduce_referrer(source: Source, level: Referrer, page: Page, *, scrub_uuids: bool) -> ReferrerFields:
    """Class, domain and path as the level allows; an internal referrer is never finer than the page."""
    if level is Referrer.NONE:
        return ReferrerFields(None, None, None)
    kind = "external" if source.kind == "email" else source.kind
    domain = _public_name(source.domain) if level >= Referrer.DOMAIN else None
    allowed = level >= Referrer.PATH and (kind != "internal" or page >= Page.PATH)
    path = scrub(source.path, uuids=scrub_uuids) if allowed and source.path else None
    return ReferrerFields(kind, domain, path)
