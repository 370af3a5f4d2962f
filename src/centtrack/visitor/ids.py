"""The id of a visitor, as the level of the limit `visitor` has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from centtrack.policy.levels import Visitor
from centtrack.policy.model import VisitorRules
from centtrack.visitor.cookie import VisitorCookie
from centtrack.visitor.daily_key import DAY_S, make_daily_key
from centtrack.visitor.salts import Salts


class VisitorIds:
    """Makes daily keys and reads visitor cookies.

    Args:
        levels: of all tiers.
        rules: `[visitor]` of the policy.
        secrets: what cookies are signed with, oldest to newest.

    Attributes:
        makes_keys: whether a tier has daily keys.
        salts: of these keys. Without, as in commands and imports, events carry none.
        cookie: None unless a tier has it, and there is a secret.
    """

    def __init__(self, levels: Collection[Visitor], rules: VisitorRules, secrets: Sequence[bytes]) -> None:
        has_cookie = Visitor.COOKIE in levels
        self.makes_keys = Visitor.DAILY_KEY in levels
        self.salts: Salts | None = None
        self.cookie = VisitorCookie(secrets, days=rules.days) if has_cookie and secrets else None
        self._bits = rules.bits

    def wait(self, timeout_s: float) -> None:
        """Wait until the store of salts was asked for the first time."""
        if self.salts is not None:
            self.salts.wait(timeout_s)

    def read_cookie(self, headers: Mapping[bytes, bytes]) -> str | None:
        """The id in the visitor cookie, if there is a valid one.

        Args:
            headers: of the request, by lower-case name.
        """
        cookies = headers.get(b"cookie")
        return self.cookie.read(cookies, headers.get(b"host", b"")) if self.cookie and cookies else None

    def make_key(self, seconds: float, site: str | None, address: bytes | None, user_agent: bytes) -> str | None:
        """The daily key; None without address or salt.

        Args:
            seconds: when the request began, since 1970, UTC.
            site: from the policy.
            address: 4 or 16 bytes.
            user_agent: the header.
        """
        if address is None or self.salts is None:
            return None
        salt = self.salts.salt_of(int(seconds // DAY_S))
        return make_daily_key(salt, site or "", address, user_agent, self._bits) if salt else None
