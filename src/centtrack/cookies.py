"""Cookies as raw bytes: reading one by its exact name, writing our own, marking a response as one visitor's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from centtrack.asgi import RawHeaders

CONSENT_COOKIE = "centtrack"
VISITOR_COOKIE = "centtrack-visitor"
MAX_AGE_S = 400 * 86_400  # longer lifetimes are cut by browsers (RFC 6265bis, 5.5)

_LOOPBACK = re.compile(rb"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?")
_MAX_HEADER = 16_384
_NAME = re.compile(rb"(?:\A|;)([^=;]*+=)[^;]*+")  # linear: it begins at a semicolon only, and never goes back
# Chromium keeps up to 180 a domain. A hundred leave each 80 bytes of a header of 8 KB, where many servers end.
_MAX_NAMES = 100
_FOR_CACHES = (b"cdn-cache-control", b"surrogate-control", b"x-accel-expires")
_ELEMENT = re.compile(rb'(?:[^,"]|"[^"]*"?)+')


def cookie_values(header: bytes, name: bytes) -> list[bytes]:
    """All values that a Cookie header has for a name. Only space and tab are trimmed: names are exact bytes.

    A Unicode-aware trim lets a prefix such as `__Host-` be forged.
    """
    if name not in header:
        return []
    pairs = (pair.partition(b"=") for pair in header.split(b";"))
    return [value.strip(b" \t") for key, equals, value in pairs if equals and key.strip(b" \t") == name]


class Names(NamedTuple):
    """Names of a request's cookies.

    Attributes:
        looked_at: those that are looked at (RFC 6265, 4.2), each with a `=` behind it.
        rest: how many cookies stand behind those.
    """

    looked_at: bytes
    rest: int


NO_NAMES = Names(b"", 0)


def read_names(header: bytes) -> Names:
    """The names in the header Cookie."""
    if not header:
        return NO_NAMES
    header, rest = header[:_MAX_HEADER], 0
    if (separators := header.count(b";")) >= _MAX_NAMES:
        rest = separators + 1 - _MAX_NAMES
        header = b";".join(header.split(b";", _MAX_NAMES)[:_MAX_NAMES])
    return Names(b"".join(_NAME.findall(header)), rest)


def is_loopback(host: bytes) -> bool:
    """Whether a Host header names this machine, as in development."""
    return _LOOPBACK.fullmatch(host) is not None


class OwnCookie:
    """A cookie of ours. `__Host-` in its name binds it to this host and to HTTPS (RFC 6265bis, 4.1.3.2).

    With a domain, for a site with several subdomains, it is `__Secure-`, which binds it to HTTPS alone. On the
    developer's own machine, over plain HTTP, a browser would refuse either prefix: there it has none.

    Args:
        base: the name without prefix.
        domain: of all the hosts that share it; None: each host has its own.

    Attributes:
        names: all names that it may have.
    """

    def __init__(self, base: str, domain: str | None = None) -> None:
        self._local = base.encode()
        self._name = (b"__Secure-" if domain else b"__Host-") + self._local
        self._domain = b"; Domain=" + domain.encode() if domain else b""
        self.names = (self._name.decode(), base)

    def values(self, header: bytes, host: bytes) -> list[bytes]:
        """The values that a request carries, more than one if somebody doubled it.

        Args:
            header: Cookie.
            host: the header Host.
        """
        if self._local not in header:
            return []
        return cookie_values(header, self._name) or (cookie_values(header, self._local) if is_loopback(host) else [])

    def set(self, value: bytes, *, max_age_s: int, host: bytes, scheme: str) -> tuple[bytes, bytes]:
        """A Set-Cookie line.

        Args:
            value: of the characters that a cookie's value may have.
            max_age_s: lifetime in seconds, at most 400 days; 0 removes it.
            host: the header Host.
            scheme: of the request.
        """
        is_local = scheme not in {"https", "wss"} and is_loopback(host)
        attributes = b"; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax" % min(max_age_s, MAX_AGE_S)
        if is_local:
            return b"set-cookie", self._local + b"=" + value + attributes
        return b"set-cookie", self._name + b"=" + value + attributes + self._domain + b"; Secure"


def made_private(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Response headers that keep shared caches from giving one visitor's response to another.

    `Vary: Cookie` is added, and `Cache-Control` becomes `private` unless it is stricter already. Headers that tell a
    CDN (RFC 9213) or nginx otherwise go.
    """
    kept = [pair for pair in headers if not pair[0].lower().endswith(_FOR_CACHES)]
    directives = _values(kept, b"cache-control")
    if {b"private", b"no-store"}.isdisjoint(map(bytes.lower, directives)):
        left = [one for one in directives if not one.lower().startswith((b"public", b"s-maxage", b"private"))]
        kept = without(kept, b"cache-control")
        kept.append((b"cache-control", b", ".join([*left, b"private"])))
    if {b"cookie", b"*"}.isdisjoint(map(bytes.lower, _values(kept, b"vary"))):
        kept.append((b"vary", b"Cookie"))
    return kept


def without(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> RawHeaders:
    """The headers but for those of a name."""
    return [pair for pair in headers if pair[0].lower() != name]


def _values(headers: RawHeaders, name: bytes) -> list[bytes]:
    """The elements of a header that is a list, with commas in quotes left alone."""
    value = b",".join(value for key, value in headers if key.lower() == name)
    return [element for one in _ELEMENT.findall(value) if (element := one.strip(b" \t"))]
