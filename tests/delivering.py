"""What tests of delivery share: events that were accepted, sinks that fail, and what the journal counts."""

from __future__ import annotations

import msgspec

import journals
from centtrack.delivery.journal.counters import read_counts
from centtrack.errors import Rejected, RetryLater
from centtrack.testing import MemorySink


def accept(journal, *events, row=100):
    """Accept events, so many a row."""
    encoded = [event if isinstance(event, bytes) else msgspec.json.encode(event) for event in events]
    for start in range(0, len(encoded), row):
        part = encoded[start : start + row]
        journals.accept(journal, *part)
    return list(events)


def counts_of(journal, name):
    return next(sink for sink in read_counts(journal.path).sinks if sink.name == name)


def ids(events):
    return sorted(event.event_id for event in events)


class Flaky(MemorySink):
    """Fails so many times, then works. Keeps what it is given twice, so that repetitions show."""

    def __init__(self, error, times=2, *, after=False):
        super().__init__()
        self.name = "flaky"
        self.errors = [error] * times
        self.writes_first = after
        self.batches = []

    def write(self, events):
        self.batches.append((events.sequence, events.repeated, len(events)))
        if self.errors and self.writes_first:
            super().write(events)
        if self.errors:
            raise self.errors.pop()
        super().write(events)


class Picky(MemorySink):
    """Rejects a batch that has a bad event; keeps batches by stream and number, as the Delta table does."""

    def __init__(self):
        super().__init__()
        self.name = "picky"
        self.done = set()
        self.is_away = False

    def write(self, events):
        if (events.stream, events.sequence) in self.done:
            return
        if any(event.path == "poison" for event in events):
            raise Rejected("no poison")
        if self.is_away and len(self.events) >= 30:
            self.is_away = False
            raise RetryLater
        self.events.extend(events)
        self.done.add((events.stream, events.sequence))


def letters(journal):
    return journal.database.execute("select sink, reason, event from dead").fetchall()


class Scripted(MemorySink):
    """Does with each call what it is told, and notes the calls. Keeps what it is given twice.

    `plan` holds what the next writes do: an error to raise, an event to wait for, or None.
    """

    def __init__(self, *plan, name="scripted", timeout_s=30.0):
        super().__init__()
        self.name = name
        self.timeout_s = timeout_s
        self.plan = list(plan)
        self.calls = []
        self.batches = []

    def open(self):
        self.calls.append("open")

    def close(self):
        self.calls.append("close")

    def write(self, events):
        self.calls.append("write")
        self.batches.append((events.stream, events.sequence, events.repeated, len(events)))
        step = self.plan.pop(0) if self.plan else None
        if isinstance(step, BaseException):
            raise step
        if step is not None:
            step.wait(60)
        self.events.extend(events)


class Impatient(Scripted):
    """Is given up soon in the one call that comes after these, and has time in all others, however busy the machine is.

    Args:
        *plan: as of `Scripted`.
        after: the calls before.
    """

    def __init__(self, *plan, after):
        super().__init__(*plan)
        self.after = after

    @property
    def timeout_s(self):
        return 0.05 if self.calls == self.after else 30.0

    @timeout_s.setter
    def timeout_s(self, _):
        pass
