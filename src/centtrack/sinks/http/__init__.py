"""`https://HOST/PATH` posts events to a webhook, as CloudEvents. Needs the extra `http`."""

from centtrack.sinks.http.sink import HttpSink

__all__ = ["HttpSink"]
