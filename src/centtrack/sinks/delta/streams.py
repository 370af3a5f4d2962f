"""How far a lake has each stream of batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from centtrack.event import Event
from centtrack.sinks.base import Batch, OverlapError

if TYPE_CHECKING:
    from deltalake import DeltaTable


class StreamEnds:
    """The last number of each stream, as a table that is loaded has it.

    To ask the table reads its whole log since the last checkpoint, up to a hundred objects; so what is known is kept
    until others have committed.
    """

    def __init__(self) -> None:
        self._version: int | None = None
        self._ends: dict[str, int | None] = {}

    def end_of(self, stream: str, table: DeltaTable) -> int | None:
        """The number of the last batch of a stream; None if there is none."""
        if table.version() != self._version:
            self._version = table.version()
            self._ends.clear()
        if stream not in self._ends:
            self._ends[stream] = table.transaction_version(stream)
        return self._ends[stream]

    def has(self, events: Sequence[Event], table: DeltaTable) -> bool:
        """Whether a table has a batch.

        Raises:
            OverlapError: if it has the beginning of it.
        """
        if not isinstance(events, Batch) or not events.stream:
            return False
        done = self.end_of(events.stream, table)
        if done is None or done < (events.sequence if events.first is None else events.first):
            return False
        if done < events.sequence:
            raise OverlapError(done)
        return True

    def note(self, events: Sequence[Event], table: DeltaTable, before: int) -> None:
        """Note a batch that was committed.

        Args:
            events: the batch.
            table: as it is now.
            before: the version it had; if it is more than one behind, others committed too.
        """
        if table.version() != before + 1 or self._version != before:
            self._ends.clear()
        self._version = table.version()
        if isinstance(events, Batch) and events.stream:
            self._ends[events.stream] = events.sequence
