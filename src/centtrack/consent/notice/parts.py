"""What a page shows of each category, in words, for its template."""

from __future__ import annotations

from typing import NamedTuple

from centtrack.consent.notice.languages import Words, pick_words, say_lifetime, texts_in
from centtrack.event import COLUMNS
from centtrack.policy.limits import LEVELS, LIMIT_NAMES
from centtrack.policy.model import ALWAYS_SENT, Cookie
from centtrack.policy.policy import PrivacyPolicy
from centtrack.policy.recipients import recipient_of


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


def say_received(policy: PrivacyPolicy, name: str, language: str) -> str:
    """What a sink gets of a visit: what of its columns the limits let be filled, in either tier."""
    texts = texts_in(language)
    tiers = (policy.limits().by_name(), policy.limits(consented=True).by_name())
    columns = recipient_of(policy.document, name).columns
    filled = {
        column.limit
        for column in COLUMNS
        if column.name in columns
        and column.limit
        and column.level
        and any(tier[column.limit] >= LEVELS[column.limit][column.level.upper()] for tier in tiers)
    }
    words = [texts["limit"][limit] for limit in LIMIT_NAMES if limit in filled]
    free = {column.name for column in COLUMNS if column.limit is None and column.name in columns} - {*ALWAYS_SENT}
    if free - {"props"}:
        words.append(texts["received_request"])
    if "props" in free and policy.document.events:
        words.append(texts["received_events"])
    return "; ".join([*words, texts["received_choice"]])
