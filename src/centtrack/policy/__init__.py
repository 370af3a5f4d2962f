"""privacy.toml: levels, model, loading, and the policy that is in force."""

from centtrack.policy.limits import Limits
from centtrack.policy.policy import PROFILES, PrivacyPolicy

__all__ = ["PROFILES", "Limits", "PrivacyPolicy"]
