"""`redis://HOST/STREAM` adds events to a Redis stream."""

from centtrack.sinks.redis.sink import RedisSink

__all__ = ["RedisSink"]
