"""What a page shows of each category, in words, for its template."""

from __future__ import annotations

from typing import NamedTuple

from centtrack.consent.notice.languages import Words, pick_words, say_lifetime, texts_in
from centtrack.policy.model import Cookie


class CookieRow(NamedTuple):
    """A cookie, as a row of a table."""

    name: str
    purpose: Words
    domain: str
    lifetime: str


class CategoryPart(NamedTuple):
    """A category of cookies as a page shows it; `state` is a key of the texts, `locked` if a signal forbids it."""

    name: str
    purpose: Words
    cookies: tuple[CookieRow, ...]
    counted: str
    is_ticked: bool = False
    is_locked: bool = False
    state: str | None = None


def cookie_row(cookie: Cookie, language: str) -> CookieRow:
    """What is said of a cookie."""
    texts = texts_in(language)
    purpose = pick_words(cookie.purpose, language)
    return CookieRow(
        cookie.name,
        purpose if purpose.text else Words(texts["not_stated"]),
        cookie.domain or texts["this_site"],
        say_lifetime(cookie.lifetime, language),
    )
