"""The cookie gate: no cookie of the app without consent.

Each Set-Cookie line is judged alone, by name, domain and path, against the registry of the policy. All else of a
message stays as it is. Raw pairs are edited: `http.cookies` loses attributes that it doesn't know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from fnmatch import translate
from functools import lru_cache
from typing import NamedTuple, Protocol

from centtrack.asgi import RawHeaders
from centtrack.consent.registry import registry_of
from centtrack.consent.set_cookie import SetCookie, default_path, expiring_line, read_set_cookie
from centtrack.cookies import VISITOR_COOKIE
from centtrack.policy.model import UNCLASSIFIED, Cookie
from centtrack.policy.policy import PrivacyPolicy

NECESSARY = "necessary"
_SET_COOKIE = b"set-cookie"
_GLOB = re.compile(r"[*?\[]")
_MAX_EXPIRING = 3_072  # bytes: proxies take 4 KB of response headers, and the app needs some

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

    def allows(self, category: str) -> bool:
        """Whether the visitor granted a category."""

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
    passed: tuple[bytes, ...] = ()
    removed: tuple[bytes, ...] = ()
    undeclared: tuple[SetCookie, ...] = ()


class CookieGate:
    """Judges cookies under a policy.

    Attributes:
        mode: `observe` removes nothing; `declared` what is declared and not granted; `enforce` also what isn't.
        hides: whether the app doesn't get to see cookies that aren't granted.
    """

    def __init__(self, policy: PrivacyPolicy) -> None:
        rules = policy.document.consent
        self.mode = rules.gate
        self.hides = rules.hide and self.mode != "observe"
        self.registry = registry_of(policy)
        self._category = lru_cache(maxsize=1_024)(self._category_of)
        self._declared = [entry for entry in policy.document.cookies if entry.category not in {NECESSARY, UNCLASSIFIED}]
        self._arrives = {
            category: re.compile(b"|".join(_in_header(one.name) for one in self._declared if one.category == category))
            for category in sorted({entry.category for entry in self._declared})
        }
        self._hidden = [entry.name for entry in self._declared if _is_hidden(entry)]
        self._necessary = frozenset(
            entry.name.encode() for entry in self.registry.entries if entry.category == NECESSARY
        )

    @property
    def may_expire(self) -> bool:
        """Whether there is any cookie that could come without being granted."""
        return bool(self._arrives) and self.mode != "observe"

    def guard(self, headers: RawHeaders, lines: list[bytes], request: Request) -> Gated:
        """What may pass of a message's headers.

        Args:
            headers: of a response, or of a WebSocket's acceptance.
            lines: those among them that set a cookie.
            request: what it answers.
        """
        if self.mode == "observe":
            return Gated(headers, tuple(lines))
        undeclared: list[SetCookie] = []
        removed = [line for line in lines if not self._passes(line, request, undeclared)]
        if not removed:
            return Gated(headers, tuple(lines), (), tuple(undeclared))
        gone = frozenset(removed)  # a line that stands there twice is judged the same
        kept = [(name, value) for name, value in headers if not (name.lower() == _SET_COOKIE and value in gone)]
        return Gated(kept, tuple(line for line in lines if line not in gone), tuple(removed), tuple(undeclared))

    def guard_blindly(self, headers: RawHeaders) -> Gated:
        """What may pass if the gate itself has failed: exact names of necessary cookies."""
        if self.mode == "observe":
            return Gated(headers)
        kept = [(name, value) for name, value in headers if name.lower() != _SET_COOKIE or self._is_known(value)]
        return Gated(kept, (), tuple(value for name, value in headers if (name, value) not in kept))

    def _is_known(self, line: bytes) -> bool:
        return _name_of(line) in self._necessary

    def _passes(self, line: bytes, request: Request, undeclared: list[SetCookie]) -> bool:
        category = self._category(_name_of(line))
        if category == NECESSARY or (category not in {None, UNCLASSIFIED} and request.allows(category)):
            return True
        cookie = read_set_cookie(line)
        if category is None:
            category = self._judge(cookie, request)
        if cookie.expires or category == NECESSARY:
            return True
        if category == UNCLASSIFIED:
            undeclared.append(cookie)
            return self.mode == "declared"
        return request.allows(category)

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
        if not self.may_expire or not (refused := [one for one in self._arrives if not request.allows(one)]):
            return []
        cookies = request.header(b"cookie")
        if not any(self._arrives[category].search(cookies) for category in refused):
            return []
        arrived = [
            name for name in _names(cookies) if VISITOR_COOKIE.encode() not in name
        ]  # that one is seen to anyway
        return list(self._expire(arrived, refused, request.header(b"host"), request.scheme))

    def expire(
        self, categories: Collection[str], *, cookies: bytes, host: bytes, scheme: str
    ) -> list[tuple[bytes, bytes]]:
        """Set-Cookie lines that make the browser forget the cookies of these categories, HttpOnly ones too.

        Not Clear-Site-Data, which takes the necessary ones along. What a declared path hides from this request is
        expired as well. At most 3 KB: the rest goes with the next page.

        Args:
            categories: of what is to go.
            cookies: the request's header Cookie.
            host: the header Host.
            scheme: of the request.
        """
        names = [*_names(cookies), *(name.encode("latin-1", "replace") for name in self._hidden)]
        return list(self._expire(names, categories, host, scheme))

    def _expire(
        self, names: Iterable[bytes], categories: Collection[str], host: bytes, scheme: str
    ) -> Iterator[tuple[bytes, bytes]]:
        lines: dict[tuple[bytes, bytes], None] = {}
        for name in dict.fromkeys(one.decode("latin-1") for one in names):
            fitting = self.registry.fitting(name)
            if fitting and fitting[0].category == NECESSARY:
                fitting = ()  # of several with this name, the one that came is taken for the first
            for entry in fitting:
                if entry.category in categories:
                    lines |= dict.fromkeys(_expiring(name, entry, host, is_secure=scheme in {"https", "wss"}))
        return _within(lines, _MAX_EXPIRING)

    def visible(self, headers: RawHeaders, allows: Allows) -> RawHeaders:
        """The request's headers without the cookies that aren't granted; the same list if all are."""
        if not self.hides or not any(name.lower() == b"cookie" for name, _ in headers):
            return headers
        kept: RawHeaders = []
        for name, value in headers:
            if name.lower() != b"cookie":
                kept.append((name, value))
            elif left := self._visible_of(value, allows):
                kept.append((name, left))
        return kept

    def _visible_of(self, header: bytes, allows: Allows) -> bytes:
        pairs = [pair for pair in header.split(b";") if self._is_visible(pair.partition(b"=")[0].strip(b" \t"), allows)]
        return b";".join(pairs).lstrip(b" \t")

    def _is_visible(self, name: bytes, allows: Allows) -> bool:
        categories = {entry.category for entry in self.registry.fitting(name.decode("latin-1"))} - {UNCLASSIFIED}
        return any(map(allows, categories)) if categories else self.mode == "declared"


def set_cookie_lines(headers: RawHeaders) -> list[bytes]:
    """Values of all Set-Cookie headers."""
    return [value for name, value in headers if len(name) == len(_SET_COOKIE) and name.lower() == _SET_COOKIE]


def host_name(host: bytes) -> str:
    """The name in a Host header, without its port, in small letters."""
    return re.sub(rb":\d*\Z", b"", host).decode("latin-1").lower()


def _name_of(line: bytes) -> bytes:
    name, equals, _ = line.partition(b";")[0].partition(b"=")
    return name.strip(b" \t") if equals else b""


def _names(cookies: bytes) -> Iterator[bytes]:
    for pair in cookies.split(b";"):
        name, equals, _ = pair.partition(b"=")
        if equals:
            yield name.strip(b" \t")


def _in_header(glob: str) -> bytes:
    """A pattern of a name, as part of a Cookie header."""
    name = translate(glob).removeprefix("(?s:").removesuffix(r")\Z").replace(".*", "[^=;]*")
    return rb"(?:\A|;)[ \t]*" + name.encode("latin-1", "replace") + rb"[ \t]*="


def _is_hidden(entry: Cookie) -> bool:
    """Whether a declared path may keep a cookie from the requests that we see."""
    return bool(entry.path and entry.path != "/" and not _GLOB.search(entry.name + entry.path))


def _expiring(name: str, entry: Cookie, host: bytes, *, is_secure: bool) -> Iterator[tuple[bytes, bytes]]:
    """Lines for each place where a cookie may be: a host, and its domains, where the registry names none."""
    path = entry.path if entry.path and not _GLOB.search(entry.path) else "/"
    yield expiring_line(name, domain=None, path=path, is_secure=is_secure)
    domains = (
        [entry.domain.lstrip(".")] if entry.domain and not _GLOB.search(entry.domain) else _domains(host_name(host))
    )
    for domain in domains:
        yield expiring_line(name, domain=domain, path=path, is_secure=is_secure)


def _domains(host: str) -> list[str]:
    """The host and what is above it, down to two labels; a browser ignores the line for a public suffix."""
    labels = host.split(".")
    if len(labels) < 2 or labels[-1].isdigit() or ":" in host:
        return []
    return [".".join(labels[start:]) for start in range(len(labels) - 1)][:4]


def _within(lines: Collection[tuple[bytes, bytes]], limit: int) -> Iterator[tuple[bytes, bytes]]:
    total = 0
    for name, value in lines:
        total += len(name) + len(value) + 4
        if total > limit:
            return
        yield name, value
