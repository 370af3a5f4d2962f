"""The contract of all sinks, kept by ours; third parties derive the same tests for theirs."""

from __future__ import annotations

import msgspec

from centtrack import Event
from centtrack.sinks import CallableSink, open_sink
from centtrack.testing import MemorySink, SinkContract


class TestJsonLinesSink(SinkContract):
    def make_sink(self, folder):
        return open_sink(f"jsonl:{folder}/events.jsonl")

    def stored(self, folder):
        lines = (folder / "events.jsonl").read_bytes().splitlines()
        return [msgspec.json.decode(line, type=Event) for line in lines]


class TestMemorySink(SinkContract):
    """Its target is the object itself."""

    def make_sink(self, folder):
        self.sink = getattr(self, "sink", None) or MemorySink()
        return self.sink

    def stored(self, folder):
        return self.sink.events


class TestCallableSink(SinkContract):
    """A function can't tell a repeated batch, unless it looks at the events' ids."""

    recognises_repeats = False

    def make_sink(self, folder):
        self.events = getattr(self, "events", [])
        return CallableSink(self.events.extend)

    def stored(self, folder):
        return self.events
