"""The cookie gate: no cookie of the app without consent.

Each Set-Cookie line is judged alone, by name, domain and path, against the registry of the policy. All else of a
message stays as it is. Raw pairs are edited: `http.cookies` loses attributes that it doesn't know.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from centtrack.asgi import RawHeaders
from centtrack.consent.expiry import NECESSARY, Asked, CookieExpiry, host_name
from centtrack.consent.registry import registry_of
from centtrack.consent.set_cookie import SetCookie, default_path, read_set_cookie
from centtrack.cookies import read_names
from centtrack.policy.model import UNCLASSIFIED
from centtrack.policy.policy import PrivacyPolicy

_SET_COOKIE = b"set-cookie"
_SECURE = frozenset({"https", "wss"})

Allows = Callable[[str], bool]
"""Whether a category is granted: `Consent.allows`."""


class Request(Protocol):
    """What the gate asks of a request, and only where it needs it.

    Attributes:
        path: of the request.
    """

    path: str

    @property
    def scheme(self) -> str:
        """As in the scope."""

    @property
    def given(self) -> frozenset[str]:
        """The categories that the visitor granted, and `necessary`."""

    def header(self, name: bytes) -> bytes:
        """A header of the request, by its name in small letters; empty if there is none."""


class Gated(NamedTuple):
    """What became of a message's headers.

    Attributes:
        headers: those that pass; the same list if all do.
        passed: Set-Cookie lines that did.
        removed: those that didn't.
        undeclared: names among those that passed only because nobody declared them.
    """

    headers: RawHeaders
    passed: Sequence[bytes] = ()
    removed: Sequence[bytes] = ()
    undeclared: Sequence[SetCookie] = ()


class CookieGate:
    """Judges cookies under a policy.

    Attributes:
        mode: `observe` removes nothing; `declared` what is declared and not granted; `enforce` also what isn't.
        hides: whether the app doesn't get to see cookies that aren't granted.
        may_expire: whether there is any cookie that could come without being granted.
    """

    def __init__(self, policy: PrivacyPolicy) -> None:
        rules = policy.document.consent
        self.mode = rules.gate
        self.hides = rules.hide and self.mode != "observe"
        self.registry = registry_of(policy)
        self._category = lru_cache(maxsize=1_024)(self._category_of)
        self._expiry = CookieExpiry(policy.document.cookies, self.registry)
        self.may_expire = bool(self._expiry.categories) and self.mode != "observe"
        self._necessary = frozenset(
            entry.name.encode() for entry in self.registry.entries if entry.category == NECESSARY
        )

    def guard(self, headers: RawHeaders, lines: list[bytes], request: Request) -> Gated:
        """What may pass of a message's headers.

        Args:
            headers: of a response, or of a WebSocket's acceptance.
            lines: those among them that set a cookie.
            request: what it answers.
        """
        if self.mode == "observe" or self._are_given(lines, request.given):
            return Gated(headers, lines)
        undeclared: list[SetCookie] = []
        removed = [line for line in lines if not self._passes(line, request, undeclared)]
        if not removed:
            return Gated(headers, lines, (), undeclared)
        gone = frozenset(removed)  # a line that stands there twice is judged the same
        kept = [(name, value) for name, value in headers if not (name.lower() == _SET_COOKIE and bytes(value) in gone)]
        return Gated(kept, [line for line in lines if line not in gone], removed, undeclared)

    def _are_given(self, lines: Sequence[bytes], given: frozenset[str]) -> bool:
        """Whether all may pass by their names alone, as is the rule."""
        for line in lines:  # noqa: SIM110 - most responses with a cookie come by here, and all() takes longer
            if self._category(_name_of(line)) not in given:
                return False
        return True

    def guard_blindly(self, headers: RawHeaders) -> Gated:
        """What may pass if the gate itself has failed: exact names of necessary cookies."""
        if self.mode == "observe":
            return Gated(headers)
        kept = [(name, value) for name, value in headers if name.lower() != _SET_COOKIE or self._is_known(value)]
        return Gated(kept, (), tuple(value for name, value in headers if (name, value) not in kept))

    def _is_known(self, line: bytes) -> bool:
        return isinstance(line, (bytes, bytearray)) and _name_of(bytes(line)) in self._necessary

    def _passes(self, line: bytes, request: Request, undeclared: list[SetCookie]) -> bool:
        category = self._category(_name_of(line))
        if category in request.given:
            return True
        cookie = read_set_cookie(line)
        if category is None:
            category = self._judge(cookie, request)
        if cookie.expires or category in request.given:
            return True
        if category == UNCLASSIFIED:
            undeclared.append(cookie)
            return self.mode == "declared"
        return False

    def _category_of(self, name: bytes) -> str | None:
        """The category of a name; None if domain and path must be looked at, too."""
        fitting = self.registry.fitting(name.decode("latin-1"))
        if not fitting:
            return UNCLASSIFIED
        first = fitting[0]
        return first.category if first.domain is None and first.path is None else None

    def _judge(self, cookie: SetCookie, request: Request) -> str:
        domain = cookie.domain or host_name(request.header(b"host"))
        entry = self.registry.find(cookie.name, domain, cookie.path or default_path(request.path))
        return entry.category if entry else UNCLASSIFIED

    def expire_arrived(self, request: Request) -> list[tuple[bytes, bytes]]:
        """Lines that make the browser forget declared cookies that came without being granted.

        They came from scripts, a CDN or a middleware outside ours, or from a time before the visitor refused.
        """
        if not self.may_expire or not (refused := self._expiry.categories - request.given):
            return []
        names = read_names(request.header(b"cookie")).looked_at
        if not self._expiry.has_any(names, refused):
            return []
        asked = Asked(names, request.header(b"host"), request.path, request.scheme in _SECURE)
        return self._expiry.expire(asked, refused, ours=False)  # the visitor cookie is seen to anyway

    def expire(
        self, categories: Collection[str], *, cookies: bytes, host: bytes, scheme: str, path: str = "/"
    ) -> list[tuple[bytes, bytes]]:
        """Set-Cookie lines that make the browser forget the cookies of these categories, at most 3 KB.

        What comes for other paths only goes with the next page there.

        Args:
            categories: of what is to go.
            cookies: the request's header Cookie.
            host: the header Host.
            scheme: of the request.
            path: of the request.
        """
        asked = Asked(read_names(cookies).looked_at, host, path, scheme in _SECURE)
        return self._expiry.expire(asked, categories, hidden=True)

    def visible(self, headers: RawHeaders, allows: Allows) -> RawHeaders:
        """The request's headers without the cookies that aren't granted; the same list without the option."""
        if not self.hides:
            return headers
        return _filtered(headers, lambda name: self._is_visible(name, allows))

    def visible_blindly(self, headers: RawHeaders) -> RawHeaders:
        """The same if the gate itself has failed: exact names of necessary cookies stay."""
        return _filtered(headers, self._necessary.__contains__)

    def _is_visible(self, name: bytes, allows: Allows) -> bool:
        categories = {entry.category for entry in self.registry.fitting(name.decode("latin-1"))} - {UNCLASSIFIED}
        return any(map(allows, categories)) if categories else self.mode == "declared"


def _filtered(headers: RawHeaders, is_visible: Callable[[bytes], bool]) -> RawHeaders:
    kept: RawHeaders = []
    for name, value in headers:
        if name.lower() != b"cookie":
            kept.append((name, value))
            continue
        pairs = [pair for pair in value.split(b";") if is_visible(pair.partition(b"=")[0].strip(b" \t"))]
        if pairs:
            kept.append((name, b";".join(pairs).lstrip(b" \t")))
    return kept


def set_cookie_lines(headers: RawHeaders) -> list[bytes]:
    """Values of all Set-Cookie headers."""
    return [bytes(value) for name, value in headers if len(name) == len(_SET_COOKIE) and name.lower() == _SET_COOKIE]


def _name_of(line: bytes) -> bytes:
    end = line.find(b"=")
    name = line[: max(end, 0)]
    return name.strip(b" \t") if b";" not in name else b""
