"""Where the visitor came from. URLs are read as browsers read them (WHATWG URL Standard)."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Collection
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

from ada_url import URL, idna_to_unicode

from centtrack.policy.levels import Page, Referrer
from centtrack.scrub.text import cut_whole, scrub

MAX_REFERRER = 4_096  # bytes that are looked at; what is kept is cut to 2 KB after scrubbing
_MAX_NAME = 253  # letters of a name in DNS (RFC 1035, 2.3.4)

_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_-]{1,63})*\.[a-z][a-z0-9-]{1,62}")
_NO_AUTHORITY = frozenset("/?#@\\")  # what a Host header can't hold
_APP = "android-app:"


class ReferrerFields(NamedTuple):
    """Columns of the event, and the kinds of what was scrubbed on the way."""

    referrer_class: str | None
    referrer_domain: str | None
    referrer_path: str | None
    scrubbed: tuple[str, ...] = ()


class Source(NamedTuple):
    """A referrer before reduction.

    Attributes:
        kind: internal, search, social, email, ai, spam, external or none.
        domain: host, in ASCII, without `www.` and port.
        path: raw path, dot segments resolved.
    """

    kind: str
    domain: str | None = None
    path: str = ""


def warm() -> None:
    """Read the lists of sources, and the tables of names outside ASCII."""
    _known_sources()
    _spam()
    normal_host("қазақ.example")


@cache
def _known_sources() -> dict[str, str]:
    """Host, with the first part of a path where it matters, or the URL of an app → search, social, email, ai."""
    text = files("centtrack.capture").joinpath("data", "sources.json").read_text(encoding="utf-8")
    return {host: kind for kind, hosts in json.loads(text)["hosts"].items() for host in hosts}


@cache
def _spam() -> frozenset[str]:
    """Hosts that send requests with their own address as the referrer, to be seen in reports."""
    packed = files("centtrack.capture").joinpath("data", "spam.txt.gz").read_bytes()
    return frozenset(line for line in gzip.decompress(packed).decode().splitlines() if not line.startswith("#"))


def read_source(referrer: str, own_hosts: Collection[str]) -> Source:
    """What a Referer header says. User information, port, query and fragment of it are never kept.

    Only http and https have a domain. Of other schemes apps that are listed have a kind.

    Args:
        referrer: the header.
        own_hosts: of this site, as `normal_host` gives them.
    """
    if not referrer.strip():
        return Source("none")
    try:
        url = URL(cut_whole(referrer, MAX_REFERRER))
        scheme, host, path = url.protocol, _plain(url.hostname), url.pathname
    except ValueError:
        return Source("external")
    if scheme == _APP:
        return Source(_known_sources().get(f"{_APP}//{host}", "external"))
    if scheme not in {"http:", "https:"}:
        return Source("external")
    if host in own_hosts:
        return Source("internal", host, path)
    folder = path.split("/", 2)[1]
    known = _known_sources().get(f"{host}/{folder}") if folder else None
    return Source(known or kind_of_domain(host), host, path)


@lru_cache(maxsize=1_024)
def normal_host(text: str) -> str | None:
    """A host's name as browsers write it, without port, `www.` and a dot at the end; None if it is none.

    `Қазақ.example` and `xn--80aau21bd.example:8000` are the same.

    Args:
        text: a Host header (RFC 9110, 7.2), or a name of a site in the policy.
    """
    if not _NO_AUTHORITY.isdisjoint(text):
        return None
    try:
        return _plain(URL(f"http://{text}").hostname) or None
    except ValueError:
        return None


def _plain(host: str) -> str:
    return host.rstrip(".").removeprefix("www.")


def _scrub_domain(host: str | None) -> tuple[str | None, tuple[str, ...]]:
    """A host's name, if it is one: not an address, nor text that holds personal data."""
    if not host or not _HOST_NAME.fullmatch(host):
        return None, ()
    kinds = scrub(idna_to_unicode(host) if "xn--" in host else host).kinds  # Punycode looks like a token
    return (None, kinds) if kinds else (host, ())


@lru_cache(maxsize=2_048)
def kind_of_domain(host: str) -> str:
    """The kind of a host, or of the nearest domain above it that is listed: search, social, email, ai, spam, external.

    Args:
        host: as `normal_host` gives it.
    """
    if len(host) > _MAX_NAME:
        return "external"
    known, spam = _known_sources(), _spam()
    labels = host.split(".")
    for start in range(len(labels) - 1):
        domain = ".".join(labels[start:])
        if domain in spam:
            return "spam"
        if kind := known.get(domain):
            return kind
    return "external"


_CLASS = {"email": "external", "ai": "external"}


def reduce_referrer(source: Source, level: Referrer, page: Page, *, scrub_uuids: bool) -> ReferrerFields:
    """Class, domain and path as the level allows; an internal referrer is never finer than the page."""
    if level is Referrer.NONE:
        return ReferrerFields(None, None, None)
    kind = _CLASS.get(source.kind, source.kind)
    domain, kinds = _scrub_domain(source.domain) if level >= Referrer.DOMAIN else (None, ())
    allowed = level >= Referrer.PATH and (kind != "internal" or page >= Page.PATH)
    if not allowed or not source.path:
        return ReferrerFields(kind, domain, None, kinds)
    path = scrub(source.path, uuids=scrub_uuids)
    return ReferrerFields(kind, domain, path.text, kinds + path.kinds)
