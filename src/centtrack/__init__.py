"""centtrack: an ASGI middleware that records what a web app may know about its visitors, and no more."""

from centtrack.calls import track
from centtrack.consent.state import Consent, consent_of
from centtrack.event import Event
from centtrack.middleware import TelemetryMiddleware
from centtrack.policy.policy import PrivacyPolicy
from centtrack.sinks.base import Sink

__version__ = "0.1.0"

__all__ = ["Consent", "Event", "PrivacyPolicy", "Sink", "TelemetryMiddleware", "__version__", "consent_of", "track"]
