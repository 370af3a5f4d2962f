"""What visitors read: the preference page, the banner and the policy, in Kazakh, Russian and English."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from centtrack.consent.ledger.records import ShownText
from centtrack.consent.notice.languages import (
    LANGUAGES,
    choose_language,
    pick_words,
    say_count,
    say_lifetime,
    texts_in,
)
from centtrack.consent.notice.parts import CategoryPart, cookie_row, say_received
from centtrack.consent.notice.plain_text import plain_text
from centtrack.consent.notice.rendering import open_templates
from centtrack.consent.paths import safe_path
from centtrack.consent.registry import own_cookies
from centtrack.consent.state import CATEGORIES, IMPLIED, NECESSARY, NO_CHOICE, Consent, State
from centtrack.errors import ConfigurationError
from centtrack.policy.model import UNCLASSIFIED, Cookie, Text
from centtrack.policy.policy import PrivacyPolicy

__all__ = ["LANGUAGES", "Notice", "asked_categories", "choose_language"]


_MAX_SHOWN = 128  # a few KB each


class _Seen(NamedTuple):
    """What the words of a page depend on, apart from policy and language."""

    states: tuple[State, ...]
    source: str
    signal: bool
    has_back: bool


def asked_categories(policy: PrivacyPolicy) -> tuple[str, ...]:
    """The categories that visitors are asked about: those that have a cookie or a purpose under the policy."""
    used = {cookie.category for cookie in _all_cookies(policy)} | set(policy.document.purposes)
    return tuple(category for category in CATEGORIES if category != NECESSARY and category in used)


def _all_cookies(policy: PrivacyPolicy) -> tuple[Cookie, ...]:
    declared = {cookie.name for cookie in policy.document.cookies}
    ours = (cookie for cookie in own_cookies(policy) if cookie.name not in declared)
    return (*ours, *policy.document.cookies)


class Notice:
    """The pages of a policy.

    Args:
        policy: what they say comes from it.
        templates: a folder whose files stand in for ours of the same name.

    Attributes:
        asked: the categories that visitors are asked about.

    Raises:
        ConfigurationError: if the folder isn't there, or a page can't be made from its templates.
        MissingExtraError: without jinja2.
    """

    def __init__(self, policy: PrivacyPolicy, *, templates: Path | None = None) -> None:
        self.asked = asked_categories(policy)
        implied = IMPLIED if policy.document.consent.mode == "implied" else frozenset()
        self._implied = tuple(name for name in self.asked if name in implied)
        self._policy = policy
        self._cookies = _all_cookies(policy)
        self._pages = open_templates(templates)
        self._shown = lru_cache(maxsize=_MAX_SHOWN)(self._make_shown)
        if templates is not None:
            self._try(templates)

    def page(
        self, language: str, *, consent: Consent, base: str, back: str, status: str | None = None, signal: bool
    ) -> str:
        """The preference page.

        Args:
            language: one of LANGUAGES.
            consent: what the visitor allows now.
            base: the prefix of the consent routes, such as `/consent`.
            back: path to go to after the choice; one that could lead elsewhere is left out.
            status: what happened last: `saved`, `withdrawn`, `not_saved`, `no_secret`, `policy_changed`, or nothing.
            signal: whether the browser sends Sec-GPC or a DNT that counts.
        """
        rules = self._policy.document.consent
        refused = [name for name in self.asked if signal and name in rules.gpc]
        is_implied = "implied" in consent.source.split("+")
        locked = () if rules.choice_outranks_signal else refused
        has_grant = any(consent.allows(name) for name in self.asked) and not is_implied
        sections = [self._with_state(name, language, consent, is_implied, name in locked) for name in self.asked]
        return self._render(
            "page.html",
            language,
            base=base,
            back=safe_path(back) or "",
            status=status,
            necessary=self._category(NECESSARY, language),
            asked=sections,
            has_grant=has_grant,
            has_receipt=has_grant and "cookie" in consent.source.split("+"),
            implied=self._implied if is_implied else (),
            has_signal=signal,
            refused_by_signal=refused,
            outranked=rules.choice_outranks_signal,
            valid=say_lifetime(rules.days, language),
        )

    def banner(self, language: str, *, base: str, back: str) -> str:
        """The banner, a fragment of HTML. Arguments as `page` has them."""
        return self._render(
            "banner.html",
            language,
            base=base,
            back=safe_path(back) or "",
            implied=self._implied,
            asked=[name for name in self.asked if name not in self._implied],
        )

    def policy_page(self, language: str, *, base: str) -> str:
        """The policy and its change log. Arguments as `page` has them."""
        document = self._policy.document
        names = [*CATEGORIES, UNCLASSIFIED]
        used = {cookie.category for cookie in self._cookies}
        return self._render(
            "policy.html",
            language,
            base=base,
            back="",
            document=document,
            recipients=[(sink, say_received(self._policy, sink.name, language)) for sink in document.sinks],
            policy_hash=self._policy.hash,
            tiers=(self._policy.limits().by_name(), self._policy.limits(consented=True).by_name()),
            categories=[self._category(name, language) for name in names if name in used],
            implied=self._implied,
            refused_by_signal=[name for name in self.asked if name in document.consent.gpc],
            valid=say_lifetime(document.consent.days, language),
        )

    def policy_data(self) -> dict[str, object]:
        """The policy for machines. Lifetimes and retention in days; texts as the policy has them; own sinks unnamed."""
        document = self._policy.document.model_dump(mode="json")
        consent = document["consent"]
        return {
            "version": self._policy.version,
            "effective": document["effective"],
            "hash": self._policy.hash,
            "consent_hash": self._policy.consent_hash,
            "controller": document["controller"],
            "mode": consent["mode"],
            "days": consent["days"],
            "asked": list(self.asked),
            "purposes": document["purposes"],
            "cookies": [cookie.model_dump(mode="json") for cookie in self._cookies],
            "limits": {"default": self._levels(consented=False), "consented": self._levels(consented=True)},
            "recipients": [
                # Everybody may read this: where the site's own databases are is nobody's business.
                {**sink, "name": sink["name"] if sink["party"] == "third" else None}
                for sink in document["sinks"]
            ],
            "signals": {name: consent[name] for name in ("gpc", "dnt", "choice_outranks_signal")},
            "changes": document["changes"],
        }

    def shown(
        self, kind: str, language: str, *, consent: Consent | None = None, signal: bool = False, back: str = ""
    ) -> ShownText:
        """The words that a visitor is shown, for the ledger; without what is said of the choice before.

        Args:
            kind: `page` or `banner`.
            language: one of LANGUAGES.
            consent: what the visitor allowed when it was shown; None: somebody without a choice.
            signal: as `page` has it.
            back: likewise.
        """
        if kind == "banner":
            return self._shown(language, None)
        had = consent or (Consent(dict.fromkeys(self._implied, State.GIVEN), "implied") if self._implied else NO_CHOICE)
        states = tuple(had.states.get(name, State.UNKNOWN) for name in self.asked)
        return self._shown(language, _Seen(states, had.source, signal, bool(safe_path(back))))

    def _make_shown(self, language: str, seen: _Seen | None) -> ShownText:
        """The words of the banner, or of the page that somebody has seen."""
        if seen is None:
            html = self.banner(language, base="", back="")
        else:
            consent = Consent(dict(zip(self.asked, seen.states, strict=True)), seen.source)
            back = "/" if seen.has_back else ""
            html = self.page(language, consent=consent, base="", back=back, signal=seen.signal)
        return ShownText(plain_text(html), language)

    def _levels(self, *, consented: bool) -> dict[str, str]:
        limits = self._policy.limits(consented=consented)
        return {name: level.label for name, level in limits.by_name().items()}

    def _category(self, name: str, language: str) -> CategoryPart:
        purposes = dict[str, Text](self._policy.document.purposes.items())
        purpose = pick_words(purposes.get(name, ""), language)
        rows = tuple(cookie_row(cookie, language) for cookie in self._cookies if cookie.category == name)
        return CategoryPart(name, purpose, rows, say_count("cookies_count", len(rows), language))

    def _with_state(
        self, name: str, language: str, consent: Consent, is_implied: bool, is_locked: bool
    ) -> CategoryPart:
        state = str(consent.states.get(name, State.UNKNOWN))
        is_given = consent.allows(name) and not is_locked
        return self._category(name, language)._replace(
            is_ticked=is_given and not is_implied,
            is_locked=is_locked,
            state="implied" if is_given and is_implied else state,
        )

    def _render(self, template: str, language: str, **values: object) -> str:
        document = self._policy.document
        rest = {"t": texts_in(language), "language": language, "controller": document.controller}
        rest |= {"gate": document.consent.gate, "consent_hash": self._policy.consent_hash}
        return self._pages.get_template(template).render(rest | values)

    def _try(self, folder: Path) -> None:
        """Make each page once, so that a mistake in a template is found at start."""
        from jinja2 import TemplateError

        try:
            for language in LANGUAGES:
                self.shown("page", language)
                self.shown("banner", language)
                self.policy_page(language, base="")
        except TemplateError as error:
            raise ConfigurationError(f"a page can't be made from the templates in {folder}: {error}") from None
