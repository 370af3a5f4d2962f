"""The visitor cookie: a signed random id, which exists only while analytics is granted."""

from __future__ import annotations

import re
import secrets as randomness
from collections.abc import Sequence
from functools import lru_cache

from centtrack.cookies import VISITOR_COOKIE, OwnCookie
from centtrack.signing import make_serializer, read_signed

_COOKIE = OwnCookie(VISITOR_COOKIE)
_ID = re.compile(r"[0-9a-f]{32}")
_MAX_TOKEN = 128
_DAY_S = 86_400


class VisitorCookie:
    """Mints, reads and removes the cookie.

    Args:
        secrets: what it is signed with, oldest to newest.
        days: how long it lasts. It isn't renewed by visits.
    """

    def __init__(self, secrets: Sequence[bytes], *, days: int) -> None:
        self._serializer = make_serializer(secrets, "visitor")
        self._max_age_s = days * _DAY_S
        self._known = lru_cache(maxsize=1_024)(self._verified)

    def read(self, cookies: bytes, host: bytes) -> str | None:
        """The id that a request carries; None if there is none, two, or one that wasn't signed here.

        Args:
            cookies: the header Cookie.
            host: the header Host.
        """
        tokens = _COOKIE.values(cookies, host)
        return self._known(tokens[0]) if len(tokens) == 1 and len(tokens[0]) <= _MAX_TOKEN else None

    def _verified(self, token: bytes) -> str | None:
        found = read_signed(self._serializer, token)
        return found if isinstance(found, str) and _ID.fullmatch(found) else None

    def mint(self, host: bytes, scheme: str) -> tuple[str, tuple[bytes, bytes]]:
        """A new random id of 128 bits, and the Set-Cookie line that brings it to the visitor."""
        visitor_id = randomness.token_hex(16)
        value = self._serializer.dumps(visitor_id).encode()
        return visitor_id, _COOKIE.set(value, max_age_s=self._max_age_s, host=host, scheme=scheme)


def expired(cookies: bytes, host: bytes, scheme: str) -> tuple[bytes, bytes] | None:
    """The line that removes the cookie, if the request carries one."""
    return _COOKIE.set(b"", max_age_s=0, host=host, scheme=scheme) if _COOKIE.values(cookies, host) else None
