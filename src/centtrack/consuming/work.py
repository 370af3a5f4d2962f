"""What is to be delivered of one partition: an unbroken run of messages, done with from its beginning on."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from centtrack.consuming.entries import Entry


@dataclass
class Tally:
    """What became of messages.

    Attributes:
        delivered: events that the sink has.
        withheld: reason → events that it may not have.
        dead_lettered: messages that went to the dead-letter topic.
    """

    delivered: int = 0
    withheld: Counter[str] = field(default_factory=Counter)
    dead_lettered: int = 0


class Work:
    """Messages on their way to the sink. After a failure it is taken up where it stopped.

    The sink gets them in parts: the whole at first. A part with an event that the sink rejects is halved until that
    event is alone. Parts go in order, so that of a sink that keeps the last offset, that one says what is done.

    Args:
        stream: of the partition.
        entries: at least one.
        repeated: whether a delivery of them may have been attempted before.

    Attributes:
        tally: what became of them since it was last looked at.
    """

    def __init__(self, stream: str, entries: Sequence[Entry], *, repeated: bool) -> None:
        self.stream = stream
        self.repeated = repeated
        self.last = entries[-1].offset
        self.tally = Tally()
        self._entries = list(entries)
        self._sizes = deque([len(entries)])

    @property
    def is_done(self) -> bool:
        """Whether nothing is left."""
        return not self._entries

    def part(self) -> Sequence[Entry]:
        """What comes next."""
        return self._entries[: self._sizes[0]]

    def halve(self) -> None:
        """Make two parts of the next one, which has several entries."""
        size = self._sizes.popleft()
        self._sizes.extendleft((size - size // 2, size // 2))

    def advance(self) -> None:
        """The next part is done with."""
        del self._entries[: self._sizes.popleft()]

    def trim(self, done: int) -> None:
        """Everything up to an offset is done with."""
        self._entries = [entry for entry in self._entries if entry.offset > done]
        self._sizes = deque([len(self._entries)]) if self._entries else deque()

    def blank(self, offsets: Collection[int]) -> None:
        """Of the messages at these offsets nothing is to be delivered."""
        self._entries = [entry.blank() if entry.offset in offsets else entry for entry in self._entries]
