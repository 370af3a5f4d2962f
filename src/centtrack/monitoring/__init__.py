"""Health and metrics: how recording and delivery are doing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from centtrack.errors import MissingExtraError
from centtrack.monitoring.health import Health, health_of

if TYPE_CHECKING:
    from centtrack.monitoring.app import metrics_app

__all__ = ["Health", "health_of", "metrics_app"]


def __getattr__(name: str) -> Any:
    """Prometheus' text needs the extra `monitoring`, so it is imported only where it is used."""
    if name == "metrics_app":
        try:
            from centtrack.monitoring.app import metrics_app
        except ImportError as error:
            raise MissingExtraError(f"centtrack.monitoring.{name} (no package {error.name!r})", "monitoring") from None
        return metrics_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
