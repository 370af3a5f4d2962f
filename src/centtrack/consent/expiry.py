"""Making browsers forget cookies that nobody agreed to, HttpOnly ones too.

A request doesn't tell for which domain and path a cookie was set, but only some are possible: the host and the domains
above it, the path and those above it. Not with Clear-Site-Data, which takes the necessary ones along.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from itertools import chain, zip_longest
from typing import NamedTuple
from urllib.parse import quote

from centtrack.consent.registry import CookieRegistry
from centtrack.consent.set_cookie import expiring_line
from centtrack.policy.model import UNCLASSIFIED, Cookie

NECESSARY = "necessary"
_GLOB = re.compile(r"[*?\[]")
_MAX_LINES = 3_072  # bytes: proxies take 4 KB of response headers, and the app needs some
_MAX_KEY = 1_024
_MAX_DOMAINS = 4
_MAX_LEVELS = 4  # of paths

Line = tuple[bytes, bytes]


class Asked(NamedTuple):
    """A request, as far as it tells where its cookies are from.

    Attributes:
        names: of its cookies, each with a `=` behind it.
        host: the header Host.
        path: of the request.
        is_secure: whether it came over HTTPS.
    """

    names: bytes
    host: bytes
    path: str
    is_secure: bool


class _Place(NamedTuple):
    """Where a cookie may have been set."""

    domain: str | None
    path: str
    is_partitioned: bool = False


class CookieExpiry:
    """Makes the lines that make browsers forget.

    Args:
        declared: `[[cookies]]` of the policy.
        registry: finds the entries of a name.

    Attributes:
        categories: those that have cookies which need consent.
    """

    def __init__(self, declared: Iterable[Cookie], registry: CookieRegistry) -> None:
        optional = [entry for entry in declared if entry.category not in {NECESSARY, UNCLASSIFIED}]
        self.categories = frozenset(entry.category for entry in optional)
        self._optional = tuple(optional)
        self._registry = registry
        self._hidden = [entry.name for entry in optional if _is_hidden(entry)]
        self._arriving = lru_cache(maxsize=1_024)(self._categories_of)

    def has_any(self, names: bytes, categories: Iterable[str]) -> bool:
        """Whether there is a declared cookie of these categories among the names."""
        if not names:
            return False
        found = self._arriving(names) if len(names) <= _MAX_KEY else self._categories_of(names)
        return not found.isdisjoint(categories)

    def _categories_of(self, names: bytes) -> frozenset[str]:
        entries = (entry for name in _split(names) for entry in self._fitting(name))
        return frozenset(entry.category for entry in entries if entry in self._optional)

    def _fitting(self, name: str) -> tuple[Cookie, ...]:
        fitting = self._registry.fitting(name)
        # Of several with this name, the one that came is taken for the first.
        return () if fitting and fitting[0].category == NECESSARY else fitting

    def expire(
        self, asked: Asked, categories: Collection[str], *, hidden: bool = False, ours: bool = True
    ) -> list[Line]:
        """Set-Cookie lines for the cookies of these categories; at most 3 KB: the rest goes with the next page.

        Args:
            asked: the request that they came with.
            categories: of what is to go.
            hidden: whether what a declared path keeps from this request goes, too.
            ours: whether our own cookies are meant, too.
        """
        names = dict.fromkeys([*_split(asked.names), *(self._hidden if hidden else ())])
        each = [
            [expiring_line(name, **place._asdict(), is_secure=asked.is_secure) for place in _places(entry, asked)]
            for name in names
            for entry in self._fitting(name)
            if entry.category in categories and (ours or entry in self._optional)
        ]
        # The likeliest place of each comes first, then the next one of each.
        lines = dict.fromkeys(line for line in chain.from_iterable(zip_longest(*each)) if line is not None)
        return list(_within(lines, _MAX_LINES))


def host_name(host: bytes) -> str:
    """The name in a Host header, without its port, in small letters."""
    return re.sub(rb":\d*\Z", b"", host).decode("latin-1").lower()


def _split(names: bytes) -> list[str]:
    return [name.strip(" \t") for name in names.decode("latin-1").split("=")[:-1]]


def _is_hidden(entry: Cookie) -> bool:
    """Whether a declared path may keep a cookie from the requests that we see."""
    return bool(entry.path and entry.path != "/" and not _GLOB.search(entry.name + entry.path))


def _places(entry: Cookie, asked: Asked) -> list[_Place]:
    """Where a cookie may be, the likeliest first."""
    is_fixed = entry.domain is not None and not _GLOB.search(entry.domain)
    above = [entry.domain.lstrip(".")] if entry.domain and is_fixed else _domains(host_name(asked.host))
    domains = [None, *above]
    if entry.path is not None and not _GLOB.search(entry.path):
        return [_Place(domain, entry.path) for domain in domains]
    partitioned = [_Place(domain, "/", True) for domain in domains] if asked.is_secure else []
    paths = _paths(asked.path)
    return [
        *(_Place(domain, "/") for domain in domains),
        *partitioned,
        *(_Place(domain, path) for path in paths for domain in domains),
    ]


def _domains(host: str) -> list[str]:
    """The host and what is above it, down to two labels; a browser ignores the line for a public suffix."""
    labels = host.split(".")
    if len(labels) < 2 or labels[-1].isdigit() or ":" in host:
        return []
    return [".".join(labels[start:]) for start in range(len(labels) - 1)][-_MAX_DOMAINS:]


def _paths(path: str) -> list[str]:
    """The paths but `/` whose cookies come with a request, the shortest first."""
    parts = [part for part in quote(path).split("/") if part][:_MAX_LEVELS]
    folders = ["/" + "/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    return [variant for folder in folders for variant in (folder, folder + "/")]


def _within(lines: Iterable[Line], limit: int) -> Iterator[Line]:
    total = 0
    for name, value in lines:
        total += len(name) + len(value) + 4
        if total > limit:
            return
        yield name, value
