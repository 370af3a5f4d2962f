"""`memory:` keeps events in a list: for tests and for trying things out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from centtrack.errors import ConfigurationError
from centtrack.event import Event
from centtrack.sinks.finding import Finding


class MemorySink:
    """Keeps events in `events`. In an app with several workers, the one that delivers has them.

    Attributes:
        events: all events so far, in order of delivery.
    """

    stores = False
    linger_s = 0.0

    def __init__(self, url: str = "memory:") -> None:
        if url != "memory:":
            raise ConfigurationError("nothing goes after memory:")
        self.name = url
        self.events: list[Event] = []
        self._arrived = threading.Condition()

    def write(self, events: Sequence[Event]) -> None:
        """Keep the events."""
        with self._arrived:
            known = {event.event_id for event in self.events}
            self.events.extend(event for event in events if event.event_id not in known)
            self._arrived.notify_all()

    def check(self) -> Iterator[Finding]:
        """There is nothing that could be missing."""
        yield Finding("it keeps events in the memory of this process, and nothing beyond it")

    def wait(self, count: int = 1, timeout_s: float = 5.0) -> list[Event]:
        """Wait until there are that many events.

        Raises:
            TimeoutError: if they don't come in time.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.events) >= count, timeout_s):
                raise TimeoutError(f"{len(self.events)} of {count} events came within {timeout_s} s")
            return list(self.events)

    def clear(self) -> None:
        """Forget all events."""
        with self._arrived:
            self.events.clear()
