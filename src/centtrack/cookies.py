"""Cookies as raw bytes: reading one by its exact name, writing our own, marking a response as one visitor's."""

from __future__ import annotations

import re

from centtrack.asgi import RawHeaders

MAX_AGE_S = 400 * 86_400  # longer lifetimes are cut by browsers (RFC 6265bis, 5.5)

_LOOPBACK = re.compile(rb"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?")
_STRICTER = (b"private", b"no-store")


def cookie_values(header: bytes, name: bytes) -> list[bytes]:
    """All values that a Cookie header has for a name. Only space and tab are trimmed: names are exact bytes.

    A Unicode-aware trim lets a prefix such as `__Host-` be forged.
    """
    if name not in header:
        return []
    pairs = (pair.partition(b"=") for pair in header.split(b";"))
    return [value.strip(b" \t") for key, equals, value in pairs if equals and key.strip(b" \t") == name]


def is_loopback(host: bytes) -> bool:
    """Whether a Host header names this machine, as in development."""
    return _LOOPBACK.fullmatch(host) is not None


def own_name(base: str, *, is_local: bool) -> bytes:
    """The name of a cookie of ours: `__Host-…` binds it to this host and to HTTPS (RFC 6265bis, 4.1.3.2).

    Args:
        base: the name without prefix.
        is_local: over plain HTTP on the developer's machine a browser would refuse the prefix.
    """
    return (base if is_local else f"__Host-{base}").encode()


def read_own(header: bytes, base: str, host: bytes) -> list[bytes]:
    """The values of a cookie of ours, with the prefix; on the developer's own machine also without."""
    found = cookie_values(header, own_name(base, is_local=False))
    return found or (cookie_values(header, own_name(base, is_local=True)) if is_loopback(host) else [])


def set_own(base: str, value: bytes, *, max_age_s: int, is_local: bool) -> tuple[bytes, bytes]:
    """A Set-Cookie line for a cookie of ours.

    Args:
        base: the name without prefix.
        value: of the characters that a cookie's value may have.
        max_age_s: lifetime in seconds, at most 400 days; 0 removes it.
        is_local: as for `own_name`.
    """
    secure = b"" if is_local else b"; Secure"
    attributes = b"; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax" % min(max_age_s, MAX_AGE_S)
    return b"set-cookie", own_name(base, is_local=is_local) + b"=" + value + attributes + secure


def made_private(headers: RawHeaders) -> RawHeaders:
    """Response headers that keep shared caches from giving one visitor's response to another.

    `Vary: Cookie` is added, and `Cache-Control` becomes `private` unless it is stricter already.
    """
    control = b",".join(value for name, value in headers if name.lower() == b"cache-control")
    vary = b",".join(value for name, value in headers if name.lower() == b"vary")
    kept = list(headers)
    if not any(word in control.lower() for word in _STRICTER):
        shared = (b"public", b"s-maxage")
        parts = [part.strip() for part in control.split(b",") if part.strip()]
        parts = [part for part in parts if not part.lower().startswith(shared)]
        kept = [pair for pair in kept if pair[0].lower() != b"cache-control"]
        kept.append((b"cache-control", b", ".join([*parts, b"private"])))
    fields = {field.strip().lower() for field in vary.split(b",")}
    if fields.isdisjoint({b"cookie", b"*"}):
        kept.append((b"vary", b"Cookie"))
    return kept
