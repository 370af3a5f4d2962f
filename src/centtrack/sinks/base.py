"""What a sink is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, overload, runtime_checkable

from centtrack.event import Event


class Batch(Sequence[Event]):
    """A batch of events: a sequence, with what a sink needs to recognise a batch that it has had before.

    Attributes:
        events: the events.
        stream: whose batches these are: the journal's id and the sink's name. Constant over restarts.
        sequence: number of the batch in its stream; grows, with gaps. A repeated batch has the same one.
        repeated: whether an earlier attempt was made, whose outcome isn't known.
    """

    __slots__ = ("events", "repeated", "sequence", "stream")

    def __init__(self, events: Sequence[Event], *, stream: str = "", sequence: int = 0, repeated: bool = False) -> None:
        self.events = events
        self.stream = stream
        self.sequence = sequence
        self.repeated = repeated

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        return self.events[index]

    def __len__(self) -> int:
        return len(self.events)

    def __repr__(self) -> str:
        return f"<Batch {self.sequence} of {len(self)} events>"


@runtime_checkable
class Sink(Protocol):
    """Where events go. Only `write` is needed.

    Optional: `name` (its cursor in the journal goes by it), `open()`, `close()`, `healthy() -> bool`; `stores = False`
    if it keeps nothing beyond this process, so that buckets of time needn't be held back for it; `linger_s`, how long
    to gather events for a batch.
    """

    def write(self, events: Sequence[Event], /) -> None:
        """Deliver a batch. Called from a thread of its own, one batch at a time; returning means delivered.

        Raises:
            RetryLater: it may work again later.
            Rejected: an event of it will never be accepted.
        """


class CallableSink:
    """A function that takes a list of events, as a sink."""

    def __init__(self, function: Callable[[list[Event]], object]) -> None:
        self._function = function
        self.name = (
            f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__name__)}"
        )

    def write(self, events: Sequence[Event]) -> None:
        """Call the function."""
        self._function(list(events))


def name_of(sink: Sink) -> str:
    """The name that a sink's cursor goes by."""
    return str(getattr(sink, "name", None) or type(sink).__qualname__)


def is_storing(sink: Sink) -> bool:
    """Whether a sink keeps events beyond this process."""
    return bool(getattr(sink, "stores", True))
