"""Where the visitor came from."""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from centtrack.capture.headers import clean
from centtrack.capture.scrub import scrub
from centtrack.policy.levels import Page, Referrer


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
        host = (parts.hostname or "").removeprefix("www.").rstrip(".")
    except ValueError:
        return Source("external")
    if not host:
        return Source("external")
    if host in own_hosts:
        return Source("internal", host, parts.path)
    return Source(_kind_of_host(host, parts), host, parts.path)


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
    domain = clean(source.domain) if source.domain and level >= Referrer.DOMAIN else None
    allowed = level >= Referrer.PATH and (kind != "internal" or page >= Page.PATH)
    path = scrub(clean(source.path), uuids=scrub_uuids) if allowed and source.path else None
    return ReferrerFields(kind, domain, path)
