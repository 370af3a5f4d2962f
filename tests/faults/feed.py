"""A journal that is fed as a recorder does it, and deliverers that empty it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec

import journals
from centtrack import Event
from centtrack.delivery.journal.counters import SinkCounts, read_counts
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.sending.deliverer import Deliverer
from centtrack.sinks.base import Sink, name_of
from centtrack.testing import make_event
from waiting import eventually

ROW = 250  # events a commit


def make_events(total: int) -> list[Event]:
    """So many events, each with a path of its own."""
    return [make_event(path=f"/{number}") for number in range(total)]


class Feed:
    """A journal, and what is delivered from it.

    Args:
        folder: where the journal is.
    """

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.db")
        self.journal.open()
        self._deliverers: list[Deliverer] = []

    def deliver(self, *sinks: Sink) -> list[Deliverer]:
        """Give each sink a cursor, and a thread that delivers to it."""
        for sink in sinks:
            self.journal.register(name_of(sink))
        started = [Deliverer(self.journal.path, sink) for sink in sinks]
        for deliverer in started:
            deliverer.start()
        self._deliverers += started
        return started

    def accept(self, events: Sequence[Event | bytes]) -> list[str]:
        """Commit events, or what stands for them in the journal; the ids of those that are events."""
        encoded = [event if isinstance(event, bytes) else msgspec.json.encode(event) for event in events]
        for start in range(0, len(encoded), ROW):
            journals.accept(self.journal, *encoded[start : start + ROW])
            for deliverer in self._deliverers:
                deliverer.wake()
        return [event.event_id for event in events if isinstance(event, Event)]

    def counts(self, name: str) -> SinkCounts:
        """The counters of a sink."""
        return next(sink for sink in read_counts(self.journal.path).sinks if sink.name == name)

    def settled(self, name: str, within_s: float = 100) -> SinkCounts:
        """Wait until nothing waits for a sink; its counters, which close."""
        eventually(lambda: self.counts(name).pending == 0, within_s)
        counts = self.counts(name)
        assert counts.closes
        return counts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for deliverer in self._deliverers:
            deliverer.drain(5)
        for deliverer in self._deliverers:
            deliverer.join()
        self.journal.close()
