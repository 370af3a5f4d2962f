"""Set-Cookie lines as a browser reads them (RFC 6265bis, 5.6), and those that make it forget a cookie."""

from __future__ import annotations

import datetime as dt
import re
import time
from typing import NamedTuple

_MAX_ATTRIBUTE = 1_024  # bytes: browsers ignore a longer one (RFC 6265bis, 5.6)
_LONGEST_S = 10**10
_FIRST_YEAR = 1601  # as browsers have it
_NUMBER = re.compile(r"-?[0-9]{1,64}")
_PAST = re.compile(r"-[0-9]{1,64}|0{1,64}")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(
    rf"[a-z]{{3,9}}, (\d\d)[ -]({'|'.join(_MONTHS)})[ -](\d{{4}}) (\d\d):(\d\d):(\d\d) (?:GMT|UTC)",
    re.ASCII | re.IGNORECASE,
)


class SetCookie(NamedTuple):
    """What a Set-Cookie line says of a cookie, without its value.

    Attributes:
        name: of the cookie; empty if it has none.
        domain: of the attribute, in small letters and without a dot in front; None if it is for the host alone.
        path: of the attribute; None if it follows from the request's address.
        lifetime_s: seconds until it expires; None if it ends with the session, or that can't be read.
        expires: whether the line removes the cookie, in whatever browser. What is doubtful doesn't: else it would be a
            way past the gate.
    """

    name: str
    domain: str | None = None
    path: str | None = None
    lifetime_s: float | None = None
    expires: bool = False


def read_set_cookie(line: bytes) -> SetCookie:
    """Read the value of a Set-Cookie header. Of an attribute that is there twice the last counts; Max-Age first."""
    pair, *rest = line.split(b";")
    name, equals, _ = pair.partition(b"=")
    attributes = [_attribute(one) for one in rest]
    values = dict(attributes)  # the last of each
    domain, path = values.get("domain", "").removeprefix(".").lower(), values.get("path", "")
    is_single = all(
        sum(key == which for key, _ in attributes) <= 1 and len(values.get(which, "")) <= _MAX_ATTRIBUTE
        for which in ("max-age", "expires")
    )
    max_age, expires = values.get("max-age"), values.get("expires")
    return SetCookie(
        name.strip(b" \t").decode("latin-1") if equals else "",
        domain or None,
        path if path.startswith("/") else None,
        _lifetime(max_age, expires),
        is_single and (_PAST.fullmatch(max_age) is not None if max_age is not None else _is_past(expires)),
    )


def _attribute(text: bytes) -> tuple[str, str]:
    key, _, value = text.partition(b"=")
    return key.strip(b" \t").lower().decode("latin-1"), value.strip(b" \t").decode("latin-1")


def _lifetime(max_age: str | None, expires: str | None) -> float | None:
    if max_age is not None and _NUMBER.fullmatch(max_age):
        return float(min(int(max_age), _LONGEST_S))
    moment = _moment(expires)
    return None if moment is None else moment - time.time()


def _is_past(expires: str | None) -> bool:
    moment = _moment(expires)
    return moment is not None and moment <= time.time()


def _moment(date: str | None) -> float | None:
    """The moment of a date as servers write it, in seconds since 1970; None for any other: browsers differ in these."""
    found = _DATE.fullmatch(date or "")
    if found is None:
        return None
    day, month, year, hour, minute, second = found.groups()
    number = _MONTHS.index(month.lower()) + 1
    try:
        at = dt.datetime(int(year), number, int(day), int(hour), int(minute), int(second), tzinfo=dt.UTC)
    except ValueError:  # no such day, hour or minute
        return None
    return at.timestamp() if at.year >= _FIRST_YEAR else None


def expiring_line(
    name: str, *, domain: str | None, path: str, is_partitioned: bool = False, is_secure: bool
) -> tuple[bytes, bytes]:
    """The line that makes a browser forget a cookie. `__Host-` and `__Secure-` need what they needed to be set.

    Args:
        name: of the cookie.
        domain: None for a cookie of the host alone.
        path: as it was set.
        is_partitioned: whether it was set with Partitioned (CHIPS), and so is kept apart.
        is_secure: whether the request came over HTTPS.
    """
    is_host = name.lower().startswith("__host-")
    secured = is_secure or is_host or name.lower().startswith("__secure-")
    line = f"{name}=; Path={'/' if is_host else path}; Max-Age=0"
    line += f"; Domain={domain}" if domain and not is_host else ""
    line += "; Secure" if secured else ""
    return b"set-cookie", (line + ("; Partitioned" if is_partitioned else "")).encode("latin-1", "replace")


def default_path(path: str) -> str:
    """The path of a cookie that names none (RFC 6265, 5.1.4)."""
    folder = path.rpartition("/")[0]
    return folder if folder.startswith("/") else "/"
