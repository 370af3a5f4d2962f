"""`otlp+http://HOST` sends events as log records of OpenTelemetry. Needs the extra `otlp`."""

from centtrack.sinks.otlp.sink import OtlpSink

__all__ = ["OtlpSink"]
