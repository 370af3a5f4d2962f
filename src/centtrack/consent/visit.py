"""What the middleware leaves in the scope of a request for the consent routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from centtrack.consent.state import SCOPE_KEY, Consent
from centtrack.consent.token import ConsentTokens
from centtrack.errors import ConfigurationError
from centtrack.policy.policy import PrivacyPolicy


class Visit(Protocol):
    """A request, and the rules that it is served under.

    Attributes:
        policy: the policy in force.
        consent: what the visitor allows.
        tokens: signs and reads choices; None without a secret.
        secrets: the keys, oldest to newest.
        client: the address that is believed to be the visitor's; None if there is none. Never stored.
    """

    policy: PrivacyPolicy
    consent: Consent
    tokens: ConsentTokens | None
    secrets: Sequence[bytes]
    client: str | None

    def keep_out(self) -> None:
        """Record no event of this request: its time would link receipt and visit."""

    def note(self, what: str) -> None:
        """Count something that went wrong; `centtrack status` shows it as noted."""


def visit_of(scope: Mapping[str, Any]) -> Visit:
    """What the middleware left.

    Raises:
        ConfigurationError: if the middleware wasn't passed, or is turned off.
    """
    visit = scope.get(SCOPE_KEY)
    if visit is None:
        raise ConfigurationError(
            "no TelemetryMiddleware has seen this request. Either there is none around the routes, or it is inside "
            "(right is `TelemetryMiddleware(with_consent_routes(app), …)`), or it is off: disabled, or its "
            "configuration is wrong, which it has logged at start"
        )
    return cast("Visit", visit)
