"""From a message of the topic to what is delivered of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from confluent_kafka import Message

from centtrack.delivery.records import StoredBatch
from centtrack.sinks.kafka.settings import PROBE_HEADER


class Entry(NamedTuple):
    """One message.

    Attributes:
        offset: its place in its partition.
        line: the event as JSON, without a line's end; empty if there is nothing to deliver.
        key: the message's key.
        problem: why no event can be read from it; its line is then as it came.
    """

    offset: int
    line: bytes
    key: bytes | None = None
    problem: str | None = None

    def blank(self) -> Entry:
        """The place alone, with nothing to deliver."""
        return Entry(self.offset, b"")


def read_message(message: Message) -> Entry:
    """What is to be delivered of a message. Whether it is an event comes out later, for many at once."""
    offset, value, key = message.offset(), message.value(), message.key()
    assert offset is not None  # noqa: S101 - for the type checker: it was consumed
    line = value if isinstance(value, bytes) else b""
    kept = key if isinstance(key, bytes) else None
    if any(header[0] == PROBE_HEADER for header in message.headers() or ()):
        return Entry(offset, b"")
    if not line.strip():
        return Entry(offset, line, kept, "unreadable: the message has no value")
    if b"\n" in line:
        try:
            line = msgspec.json.format(line, indent=-1)
        except msgspec.DecodeError as error:
            return Entry(offset, line, kept, f"unreadable: {error}")
    return Entry(offset, line, kept)


def join(entries: Sequence[Entry], *, repeated: bool) -> StoredBatch:
    """Entries as the rows that events are selected from.

    Args:
        entries: none of them with a problem.
        repeated: whether a delivery of them may have been attempted before.
    """
    lines = [entry.line for entry in entries if entry.line]
    return StoredBatch(
        last=entries[-1].offset, repeated=repeated, total=len(lines), lines=b"".join(b"%s\n" % line for line in lines)
    )
