"""Set-Cookie lines as a browser reads them (RFC 6265bis, 5.6), and those that make it forget a cookie."""

from __future__ import annotations

import time
from email.utils import mktime_tz, parsedate_tz
from typing import NamedTuple


class SetCookie(NamedTuple):
    """What a Set-Cookie line says of a cookie, without its value.

    Attributes:
        name: of the cookie; empty if it has none.
        domain: of the attribute, in small letters and without a dot in front; None if it is for the host alone.
        path: of the attribute; None if it follows from the request's address.
        lifetime_s: seconds until it expires, 0 or less if it has; None if it ends with the session.
    """

    name: str
    domain: str | None
    path: str | None
    lifetime_s: float | None

    @property
    def expires(self) -> bool:
        """Whether the line removes the cookie."""
        return self.lifetime_s is not None and self.lifetime_s <= 0


def read_set_cookie(line: bytes) -> SetCookie:
    """Read the value of a Set-Cookie header. Of an attribute that is there twice the last counts; Max-Age first."""
    pair, *attributes = line.split(b";")
    name, equals, _ = pair.partition(b"=")
    domain = path = max_age = expires = None
    for attribute in attributes:
        key, _, value = attribute.partition(b"=")
        key, text = key.strip(b" \t").lower(), value.strip(b" \t").decode("latin-1")
        if key == b"domain":
            domain = text.removeprefix(".").lower() or None
        elif key == b"path":
            path = text if text.startswith("/") else None
        elif key == b"max-age":
            max_age = _seconds(text, max_age)
        elif key == b"expires":
            expires = _until(text, expires)
    shown = name.strip(b" \t").decode("latin-1") if equals else ""
    return SetCookie(shown, domain, path, expires if max_age is None else max_age)


def _seconds(text: str, otherwise: float | None) -> float | None:
    """Max-Age; what isn't a whole number is as if it weren't there."""
    digits = text.removeprefix("-")
    return float(text[:16]) if digits.isascii() and digits.isdigit() else otherwise


def _until(text: str, otherwise: float | None) -> float | None:
    date = parsedate_tz(text)
    try:
        return mktime_tz((*date[:9], date[9] or 0)) - time.time() if date else otherwise
    except (ValueError, OverflowError):  # a date that no calendar has
        return otherwise


def expiring_line(name: str, *, domain: str | None, path: str, is_secure: bool) -> tuple[bytes, bytes]:
    """The line that makes a browser forget a cookie. `__Host-` and `__Secure-` need what they needed to be set.

    Args:
        name: of the cookie.
        domain: None for a cookie of the host alone.
        path: as it was set.
        is_secure: whether the request came over HTTPS.
    """
    is_host = name.lower().startswith("__host-")
    secured = is_secure or is_host or name.lower().startswith("__secure-")
    line = f"{name}=; Path={'/' if is_host else path}; Max-Age=0"
    line += f"; Domain={domain}" if domain and not is_host else ""
    return b"set-cookie", (line + ("; Secure" if secured else "")).encode("latin-1", "replace")


def default_path(path: str) -> str:
    """The path of a cookie that names none (RFC 6265, 5.1.4)."""
    folder = path.rpartition("/")[0]
    return folder if folder.startswith("/") else "/"
