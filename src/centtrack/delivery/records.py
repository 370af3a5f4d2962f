"""What goes into the journal and comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

MIN_JOURNAL = 1_000_000  # bytes: below it the tables alone would fill much of it


class Limits(NamedTuple):
    """When the journal takes no more events.

    Attributes:
        max_bytes: what it may use.
        min_free: what must stay free on its disk, in bytes.
    """

    max_bytes: int = 1_000_000_000
    min_free: int = 100_000_000


DEFAULT_LIMITS = Limits()


class StoredBatch(NamedTuple):
    """Rows of the journal that a sink has yet to get.

    Attributes:
        last: sequence of the last row; what the cursor moves to.
        repeated: whether a delivery of just these rows was attempted before.
        total: how many events the lines hold.
        lines: the events as JSON, one a line, each line ended.
        damaged: how many events more there were, in rows that aren't any more what was written. They are lost.
    """

    last: int
    repeated: bool
    total: int
    lines: bytes
    damaged: int = 0


class Encoded(NamedTuple):
    """Events as the journal holds them: JSON, one a line.

    Attributes:
        total: how many events.
        lines: those that may be delivered at once.
        held: (when to release, id, event) of those that wait for the end of their bucket of time.
    """

    total: int
    lines: bytes
    held: Sequence[tuple[int, str, bytes]]

    @property
    def size(self) -> int:
        """Bytes of all events."""
        return len(self.lines) + sum(len(event) for _, _, event in self.held)


class ImportProgress(NamedTuple):
    """How far the import of a log has come.

    Attributes:
        source: digest of the log's first bytes.
        head_size: how many bytes that digest is over.
        lines: lines read.
        events: events made of them.
        rejected: lines that made none.
    """

    source: str
    head_size: int
    lines: int
    events: int
    rejected: int
