"""Where events go: one file a sink."""

from centtrack.sinks.base import Batch, CallableSink, Sink
from centtrack.sinks.open import open_sink

__all__ = ["Batch", "CallableSink", "Sink", "open_sink"]
