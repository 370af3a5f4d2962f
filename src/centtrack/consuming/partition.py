"""One partition that this member has: what was read of it and isn't delivered yet."""

from __future__ import annotations

import time
from collections import deque

from centtrack.consuming.entries import Entry
from centtrack.consuming.recent import RecentIds
from centtrack.consuming.start import Start
from centtrack.consuming.work import Work

MAX_EVENTS = 20_000  # of a batch
MAX_BYTES = 16_000_000


class Partition:
    """A partition, as the loop of the feeder sees it.

    Args:
        number: its number in the topic.
        stream: what its batches are called: constant over restarts, and whoever has the partition.

    Attributes:
        start: where it is read on; None until that is known.
        is_reading: whether the client reads on from there.
        work: what is being delivered; the same until it is done.
        done: offset of the first message that isn't done with.
        size: bytes that wait behind the work.
        repeated: events that came twice, since that was last looked at.
    """

    def __init__(self, number: int, stream: str) -> None:
        self.number = number
        self.stream = stream
        self.start: Start | None = None
        self.is_reading = False
        self.work: Work | None = None
        self.done = 0
        self.size = 0
        self.repeated = 0
        self._queue: deque[Entry] = deque()
        self._since = 0.0
        self._recent = RecentIds()
        self._is_first = True

    def begin(self, start: Start) -> None:
        """Note where it is read on."""
        self.start, self.done = start, start.offset

    def begin_anew(self) -> None:
        """Forget what was read: where to read on is to be found out again."""
        self.start, self.is_reading, self.work = None, False, None
        self._queue.clear()
        self._recent = RecentIds()  # what was read is read again
        self.size = 0

    def add(self, entry: Entry) -> None:
        """Take what was read. Of an event that came before only the place is left."""
        is_repeated = self._recent.is_repeated(entry)
        if self.start is None or entry.offset < self.start.offset:
            return  # read for its id alone
        if is_repeated:
            entry = entry.blank()
            self.repeated += 1
        if not self._queue:
            self._since = time.monotonic()
        self._queue.append(entry)
        self.size += len(entry.line)

    @property
    def total(self) -> int:
        """How many messages wait behind the work."""
        return len(self._queue)

    @property
    def is_full(self) -> bool:
        """Whether a whole batch waits."""
        return self.total >= MAX_EVENTS or self.size >= MAX_BYTES

    @property
    def waited_s(self) -> float:
        """How long the first of them has waited, in seconds."""
        return time.monotonic() - self._since if self._queue else 0.0

    def take(self) -> Work:
        """Make a batch of what waits. After an assignment, another member may have attempted some of it."""
        taken: list[Entry] = []
        size = 0
        while self._queue and len(taken) < MAX_EVENTS and size < MAX_BYTES:
            taken.append(self._queue.popleft())
            size += len(taken[-1].line)
        self.size -= size
        self._since = time.monotonic()
        self.work, self._is_first = Work(self.stream, taken, repeated=self._is_first), False
        return self.work

    def finish(self, work: Work) -> None:
        """Some work is done; it may be of a time before where to read on had to be found out again."""
        self.done = max(self.done, work.last + 1)
        if self.work is work:
            self.work = None
