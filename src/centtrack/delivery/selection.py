"""From rows of the journal to the batch that a sink gets: decoded where need be, without what it may not have."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import msgspec

from centtrack.delivery.records import StoredBatch
from centtrack.delivery.withholding import Withhold
from centtrack.event import Event
from centtrack.sinks.base import Batch

DeadLetter = tuple[str, bytes]
"""Why an event can't be delivered, and the encoded event."""

_decoder = msgspec.json.Decoder(Event)


class Selection(NamedTuple):
    """What becomes of the events of a batch. The same rows give the same each time.

    Attributes:
        batch: what the sink gets.
        dead: what can't be read.
        withheld: reason → events that it may not have.
    """

    batch: Batch
    dead: list[DeadLetter]
    withheld: Counter[str]


def select_lines(stored: StoredBatch, stream: str) -> Selection:
    """The rows as they are, undecoded."""
    batch = Batch(lines=stored.lines, stream=stream, sequence=stored.last, repeated=stored.repeated)
    return Selection(batch, [], Counter())


def select_events(stored: StoredBatch, stream: str, withhold: Withhold | None) -> Selection:
    """Events, in random order where theirs could tell something, without those that are to be withheld."""
    events, dead = _decode(stored)
    withheld: Counter[str] = Counter()
    if withhold is not None:
        reasons = [withhold(event) for event in events]
        withheld.update(reason for reason in reasons if reason)
        events = [event for event, reason in zip(events, reasons, strict=True) if reason is None]
    if has_coarse_times(stored):
        events.sort(key=lambda event: event.event_id)
    batch = Batch(events, stream=stream, sequence=stored.last, repeated=stored.repeated)
    return Selection(batch, dead, withheld)


def has_coarse_times(stored: StoredBatch) -> bool:
    """Whether an order could tell more than the times do. Quotes within JSON's texts are escaped, so this is it."""
    return stored.lines.count(b'"time_precision":"second"') < stored.total


def _decode(stored: StoredBatch) -> tuple[list[Event], list[DeadLetter]]:
    try:
        return _decoder.decode_lines(stored.lines), []
    except msgspec.DecodeError:
        return _decode_singly(stored)


def _decode_singly(stored: StoredBatch) -> tuple[list[Event], list[DeadLetter]]:
    events: list[Event] = []
    dead: list[DeadLetter] = []
    for line in stored.lines.splitlines():
        try:
            events.append(_decoder.decode(line))
        except msgspec.DecodeError as error:
            dead.append((f"unreadable: {error}", line))
    return events, dead
