"""What a sink is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar, overload, runtime_checkable

import msgspec

from centtrack.errors import CenttrackError, SinkError
from centtrack.event import Event

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)

_PART = 300_000  # bytes of lines

Head = TypeVar("Head")


class UnreadableBatchError(CenttrackError):
    """Lines of a batch are no events. Delivery finds out which; a sink lets it through."""


class OverlapError(SinkError):
    """A sink has the beginning of a batch already: another writer of the same stream was faster.

    Attributes:
        done: number of the last event that it has.
    """

    def __init__(self, done: int) -> None:
        self.done = done
        super().__init__(f"another writer wrote up to {done}")


class Batch(Sequence[Event]):
    """A batch of events: a sequence, with what a sink needs to recognise a batch that it has had before.

    Attributes:
        stream: whose batches these are: the journal's id and the sink's name. Constant over restarts.
        sequence: number of the batch in its stream; grows, with gaps. A repeated batch has the same one.
        first: number of its first event, where a stream numbers events one by one, as Kafka's offsets do; `sequence` is
            that of its last one then.
        repeated: whether an earlier attempt was made, whose outcome isn't known.
    """

    __slots__ = ("_events", "_lines", "first", "repeated", "sequence", "stream")

    def __init__(
        self,
        events: Sequence[Event] | None = None,
        *,
        lines: bytes | None = None,
        stream: str = "",
        sequence: int = 0,
        first: int | None = None,
        repeated: bool = False,
    ) -> None:
        self._events = events
        self._lines = lines
        self.stream = stream
        self.sequence = sequence
        self.first = first
        self.repeated = repeated

    @property
    def events(self) -> Sequence[Event]:
        """The events; decoded now, if only their lines were there.

        Raises:
            UnreadableBatchError: if that isn't possible.
        """
        if self._events is None:
            self._events = self._decode(self._lines or b"")
        return self._events

    def parts(self) -> Iterator[Sequence[Event]]:
        """The events, some hundred at a time, decoded when it is their turn: they are still in a core's cache then.

        Raises:
            UnreadableBatchError: as `events`.
        """
        if self._events is not None or self._lines is None:
            yield self.events
            return
        yield from map(self._decode, self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        """Some hundred lines at a time."""
        lines, first = self.lines, 0
        while first < len(lines):
            end = lines.find(b"\n", first + _PART) + 1 or len(lines)
            yield lines[first:end]
            first = end

    def _decode(self, lines: bytes) -> list[Event]:
        try:
            return _decoder.decode_lines(lines)
        except msgspec.DecodeError as error:
            raise UnreadableBatchError(f"{self!r}: {error}") from None

    def heads(self, decoder: msgspec.json.Decoder[Head]) -> Iterator[tuple[Head, bytes]]:
        """Each line, and before it what a sink needs to know of its event; some hundred are read at a time, as `parts`.

        Args:
            decoder: of a struct with some of an event's columns.

        Raises:
            UnreadableBatchError: if a line is no event, once it is reached.
        """
        for piece in self._pieces():
            lines = piece.splitlines()
            try:
                heads = decoder.decode_lines(piece)
            except (msgspec.DecodeError, UnicodeDecodeError):
                heads = []
            if len(heads) != len(lines):
                raise UnreadableBatchError(f"{self!r}: a line is no event")
            yield from zip(heads, lines, strict=True)

    @property
    def lines(self) -> bytes:
        """The events as JSON, one a line, each line ended: as the journal has them, so that it costs nothing."""
        if self._lines is None:
            self._lines = _encoder.encode_lines(self._events or [])
        return self._lines

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        return self.events[index]

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)  # a Sequence's own asks for each by its number, which took most of a sink's time

    def __len__(self) -> int:
        return len(self.events)

    def __repr__(self) -> str:
        return f"<Batch {self.sequence} of {self.stream}>"


@runtime_checkable
class Sink(Protocol):
    """Where events go. Only `write` is needed.

    Optional: `name` (its cursor in the journal goes by it); `open()` and `close()`; `stores = False` if it keeps
    nothing beyond this process, so that buckets of time needn't be held back for it; `linger_s`, how long to gather
    events for a batch; `timeout_s`, how long a call may take, 30 seconds if it doesn't say.

    All calls come from a thread of the delivery's own, one after another. After a failure the sink is closed, opened,
    and gets the same batch again. A call without an answer within `timeout_s` is given up: its thread goes on alone,
    `close()` is called beside it, which should make it end, then `open()` and `write()` with the same batch, repeated,
    which may take twice as long each time. If the call that was given up works after all, its batch counts as written.
    Where a second attempt beside one that hangs could double events, say `timeout_s = None`: then it is said to hang,
    and waited for.
    """

    def write(self, events: Sequence[Event], /) -> None:
        """Deliver a batch; returning means delivered.

        Texts of these errors are logged and shown: they hold no values of events. Of any other error only the type is
        shown and where it was raised; the batch is tried again, as with RetryLater.

        Raises:
            RetryLater: it may work again later.
            Rejected: an event of it will never be accepted.
            ConfigurationError: it works once somebody has mended something, as a password; the text says what.
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
