"""The registry of cookies: what each is for, found by name, domain and path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase, translate
from functools import lru_cache

from centtrack.cookies import CONSENT_COOKIE, VISITOR_COOKIE, OwnCookie
from centtrack.policy.levels import Visitor
from centtrack.policy.model import Category, Cookie, Text
from centtrack.policy.policy import PrivacyPolicy

_GLOB = re.compile(r"[*?\[]")
_MAX_KNOWN = 1_024
_REMEMBERS_CHOICE: Text = {
    "en": "Remembers your choice about cookies",
    "ru": "Запоминает ваш выбор по файлам cookie",
    "kk": "Cookie туралы таңдауыңызды есте сақтайды",
}
_TELLS_VISITORS_APART: Text = {
    "en": "Tells returning visitors from new ones, by a random number",
    "ru": "Отличает вернувшихся посетителей от новых по случайному числу",
    "kk": "Қайта келген келушіні жаңасынан кездейсоқ сан арқылы ажыратады",
}


class CookieRegistry:
    """Entries of the policy's registry. The first that fits counts.

    Args:
        entries: `[[cookies]]`, in the order of the file.
    """

    def __init__(self, entries: Sequence[Cookie]) -> None:
        self.entries = tuple(entries)
        self._exact = {entry.name for entry in entries}
        globs = [translate(entry.name) for entry in entries if _GLOB.search(entry.name)]
        self._any_glob = re.compile("|".join(globs)) if globs else None
        self._fitting = lru_cache(maxsize=_MAX_KNOWN)(self._find_fitting)

    def fitting(self, name: str) -> tuple[Cookie, ...]:
        """The entries that fit a name, in order."""
        if name not in self._exact and (self._any_glob is None or not self._any_glob.match(name)):
            return ()  # not remembered: such a name could be anything
        return self._fitting(name)

    def find(self, name: str, domain: str, path: str) -> Cookie | None:
        """The entry of a cookie; None if nobody declared it.

        Args:
            name: exact.
            domain: that it is sent to: of its attribute, without a dot in front, or the host that set it.
            path: that it is sent to: of its attribute, or what follows from the address (RFC 6265, 5.1.4).
        """
        for entry in self.fitting(name):
            fits_domain = entry.domain is None or fnmatchcase(domain, entry.domain.lower().lstrip("."))
            if fits_domain and (entry.path is None or fnmatchcase(path, entry.path)):
                return entry
        return None

    def _find_fitting(self, name: str) -> tuple[Cookie, ...]:
        return tuple(entry for entry in self.entries if name == entry.name or fnmatchcase(name, entry.name))


def own_cookies(policy: PrivacyPolicy) -> tuple[Cookie, ...]:
    """The cookies that we set ourselves under a policy, as entries of its registry."""
    rules = policy.document
    consent = OwnCookie(CONSENT_COOKIE, rules.consent.domain).names[0]
    own = [_own(consent, "necessary", _REMEMBERS_CHOICE, rules.consent.days)]
    if policy.limits(consented=True).visitor is Visitor.COOKIE:
        own.append(_own(OwnCookie(VISITOR_COOKIE).names[0], "analytics", _TELLS_VISITORS_APART, rules.visitor.days))
    return tuple(own)


def registry_of(policy: PrivacyPolicy) -> CookieRegistry:
    """The registry of a policy, with our own cookies, also as they are named in development."""
    local = [
        _own(CONSENT_COOKIE, "necessary", _REMEMBERS_CHOICE, policy.document.consent.days),
        _own(VISITOR_COOKIE, "analytics", _TELLS_VISITORS_APART, policy.document.visitor.days),
    ]
    return CookieRegistry([*own_cookies(policy), *local, *policy.document.cookies])


def _own(name: str, category: Category, purpose: Text, days: int) -> Cookie:
    return Cookie(name=name, category=category, path="/", purpose=purpose, lifetime=days)
