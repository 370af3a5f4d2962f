"""What a visitor has chosen, and the routes where visitors choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from centtrack.consent.state import Consent, State, consent_of
from centtrack.errors import MissingExtraError

if TYPE_CHECKING:
    from centtrack.consent.web.routes import consent_banner, consent_routes, with_consent_routes

__all__ = ["Consent", "State", "consent_banner", "consent_of", "consent_routes", "with_consent_routes"]
_ROUTES = frozenset({"consent_banner", "consent_routes", "with_consent_routes"})


def __getattr__(name: str) -> Any:
    """The routes need the extra `consent`, so they are imported only where they are used."""
    if name in _ROUTES:
        try:
            from centtrack.consent.web import routes
        except ImportError as error:
            raise MissingExtraError(f"centtrack.consent.{name} (no package {error.name!r})", "consent") from None
        return getattr(routes, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
