"""One request to the consent routes: what it carries, and the rules that it is served under."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from starlette.requests import Request

from centtrack.consent.notice.languages import choose_language
from centtrack.consent.notice.notice import Notice
from centtrack.consent.paths import safe_path
from centtrack.consent.signals import Signals, read_signals
from centtrack.consent.state import Consent, ConsentReader, State
from centtrack.consent.token import Choice, InvalidTokenError
from centtrack.consent.visit import Visit
from centtrack.policy.policy import PrivacyPolicy

DEFAULT_LANGUAGE = "en"


class Call(NamedTuple):
    """A request to the consent routes.

    Attributes:
        request: as it came.
        visit: what the middleware knows of it.
        notice: what the visitor reads.
        base: path of the preference page, as the browser has to ask for it.
    """

    request: Request
    visit: Visit
    notice: Notice
    base: str

    @property
    def policy(self) -> PrivacyPolicy:
        """The policy in force."""
        return self.visit.policy

    @property
    def back(self) -> str:
        """Where to go after the choice, as the address says; empty if it doesn't, or it leads elsewhere."""
        return safe_path(self.request.query_params.get("back", "")) or ""

    @property
    def cookies(self) -> bytes:
        """The header Cookie; of several lines, all (RFC 9113, 8.2.3)."""
        return b"; ".join(value for name, value in self.request.scope["headers"] if name.lower() == b"cookie")

    @property
    def host(self) -> bytes:
        """The header Host."""
        return self.request.headers.get("host", "").encode("latin-1")

    @property
    def scheme(self) -> str:
        """Of the request."""
        return str(self.request.scope.get("scheme", "http"))

    @property
    def has_signal(self) -> bool:
        """Whether the browser sends Sec-GPC, or a DNT that counts."""
        signals = self._signals()
        return signals.gpc or (self.policy.document.consent.dnt and signals.dnt)

    @property
    def grantable(self) -> frozenset[str]:
        """The categories that a choice can grant: those asked about, but for what a signal forbids."""
        rules = self.policy.document.consent
        forbidden = rules.gpc if self.has_signal and not rules.choice_outranks_signal else ()
        return frozenset(self.notice.asked).difference(forbidden)

    def language(self, wanted: str | None = None) -> str:
        """The language to answer in.

        Args:
            wanted: what was asked for; else what the address has, else what the browser prefers.
        """
        accepted = ",".join(self.request.headers.getlist("accept-language"))
        return choose_language(accepted, wanted or self.request.query_params.get("lang"), DEFAULT_LANGUAGE)

    def choice(self) -> Choice | None:
        """What the visitor chose before; None if nothing, or if what came as a choice is none."""
        if self.visit.tokens is None:
            return None
        try:
            return self.visit.tokens.read(self.cookies, self.host)
        except InvalidTokenError:
            return None

    def asks(self, consent: Consent) -> bool:
        """Whether to ask a visitor with this consent: there is something to choose, and nobody else asks about it.

        Without a secret no choice could be remembered: the question would come back with every page.
        """
        if self.visit.tokens is None or self.policy.document.consent.banner:
            return False
        return Consent({category: consent.states[category] for category in self.notice.asked}, consent.source).asks

    def state(self, consent: Consent) -> dict[str, object]:
        """Consent, for scripts: never a receipt."""
        return {
            "asks": self.asks(consent),
            "states": {category: str(state) for category, state in consent.states.items()},
            "source": consent.source,
            "policy": {
                "version": self.policy.version,
                "hash": self.policy.hash,
                "consent_hash": self.policy.consent_hash,
            },
            "signal": self.has_signal,
            "language": self.language(),
        }

    @property
    def has_current_choice(self) -> bool:
        """Whether what the visitor chose counts still."""
        choice = self.choice()
        is_current = choice is not None and choice.policy_hash == self.policy.consent_hash
        return is_current and State.EXPIRED not in self.visit.consent.states.values()

    def cookie_lines(self, choice: Choice) -> list[tuple[bytes, bytes]]:
        """The Set-Cookie line that makes the browser remember a choice; none without a secret.

        Visits don't renew it.
        """
        tokens = self.visit.tokens
        if tokens is None:
            return []
        max_age_s = self.policy.document.consent.days * 86_400
        return [tokens.cookie.set(tokens.sign(choice), max_age_s=max_age_s, host=self.host, scheme=self.scheme)]

    def consent_with(self, lines: Sequence[tuple[bytes, bytes]]) -> Consent:
        """What the visitor allows in the next request, which brings the cookie of these lines."""
        tokens = self.visit.tokens
        if tokens is None:
            return self.visit.consent
        pairs = [pair for pair in self.cookies.split(b";") if _name(pair) not in tokens.cookie.names]
        pairs += [line.partition(b";")[0] for _, line in lines]
        reader = ConsentReader(self.policy.document.consent, self.policy.consent_hash, tokens)
        signals = self._signals()
        return reader.read(gpc=signals.gpc, dnt=signals.dnt, cookies=b";".join(pairs), host=self.host)

    def _signals(self) -> Signals:
        lines = {name: self.request.headers.getlist(name) for name in ("sec-gpc", "dnt")}
        return read_signals({name.encode(): "\n".join(values).encode("latin-1") for name, values in lines.items()})


def _name(pair: bytes) -> str:
    return pair.partition(b"=")[0].strip(b" \t").decode("latin-1")
