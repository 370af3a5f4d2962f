"""What a visitor has chosen."""

from centtrack.consent.state import Consent, State, consent_of

__all__ = ["Consent", "State", "consent_of"]
