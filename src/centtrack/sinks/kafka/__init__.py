"""`kafka://HOST/TOPIC` produces events to a topic of Apache Kafka."""

from centtrack.sinks.kafka.settings import PROBE_HEADER
from centtrack.sinks.kafka.sink import KafkaSink

__all__ = ["PROBE_HEADER", "KafkaSink"]
