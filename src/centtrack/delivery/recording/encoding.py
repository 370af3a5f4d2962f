"""From events to what the journal holds: JSON, one a line, held back for their bucket of time where need be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from centtrack.delivery import clock
from centtrack.delivery.records import Encoded
from centtrack.event import Event


class EventEncoder:
    """Encodes events, for one thread.

    Args:
        bucket_s: length of the buckets of time that events are held for, in seconds; None: they aren't.
        refuse: called for each event that can't be encoded, with the error.
    """

    def __init__(self, bucket_s: int | None, refuse: Callable[[Exception], None]) -> None:
        self._bucket_s = bucket_s
        self._refuse = refuse
        self._encoder = msgspec.json.Encoder()

    def encode(self, events: Sequence[Event]) -> Encoded:
        """Encoded in one go; if one of them can't be, singly."""
        if self._bucket_s is None:
            try:
                return Encoded(len(events), self._encoder.encode_lines(events).rstrip(b"\n"), [])
            except Exception:  # noqa: BLE001 - whichever it is, it is found below
                return self._encode_singly(events)
        return self._encode_singly(events)

    def _encode_singly(self, events: Sequence[Event]) -> Encoded:
        encoded: list[tuple[str, bytes]] = []
        for event in events:
            try:
                encoded.append((event.event_id, self._encoder.encode(event)))
            except Exception as error:  # noqa: BLE001 - one bad event must not stop the others
                self._refuse(error)
        if self._bucket_s is None:
            return Encoded(len(encoded), b"\n".join(data for _, data in encoded), [])
        # Held until the bucket ends in which it is committed: an event of a long request must not come out alone.
        release_at = (int(clock.now()) // self._bucket_s + 1) * self._bucket_s
        return Encoded(len(encoded), b"", [(release_at, event_id, data) for event_id, data in encoded])
