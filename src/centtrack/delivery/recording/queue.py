"""The bounded queue between requests and the recorder's thread. Appending never waits."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import chain
from typing import NamedTuple

from centtrack.capture.observation import Observation
from centtrack.event import Event

MAX_ENTRIES = 8_192
MAX_BYTES = 16_000_000
_OVERHEAD = 1_024  # bytes of an entry besides its texts, about
_UNREADABLE = 65_536  # what is assumed of headers that can't be measured

Work = Callable[[], Event | str]
"""Makes an event; or tells, in one word, why there is none."""

Item = Event | Work


class Taken(NamedTuple):
    """What was in the queue. It counts as queued until `settle` is called.

    Attributes:
        entries: (item, its size in bytes).
        waiting: called when all of it is committed or dropped.
    """

    entries: list[tuple[Item, int]]
    waiting: list[Callable[[], object]]


class QueueCounts(NamedTuple):
    """What a queue counts. `offered` less `dropped` and `entries` is what was committed.

    Attributes:
        offered: how often something was offered.
        dropped: reason → offers that came to nothing.
        entries: how many wait.
        size: their bytes, about.
    """

    offered: int
    dropped: Mapping[str, int]
    entries: int
    size: int


class EventQueue:
    """Counts what is offered, and drops what doesn't fit: by entries, and by bytes.

    An entry counts until it is settled, so that what the thread works on, or keeps while the journal can't be written,
    is within the limits, too.

    Args:
        max_entries: how many may wait.
        max_bytes: how large they may be together.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._offered = 0
        self._entries = 0
        self._size = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._dropped: Counter[str] = Counter()
        self._new: list[tuple[Item, int]] = []
        self._waiting: list[Callable[[], object]] = []
        self._is_closed = False
        # Reentrant: the garbage collector may end a request, which is then offered, while this thread is at the queue.
        self._lock = threading.RLock()
        self._something = threading.Event()
        self._hurry = threading.Event()

    def offer(self, item: Item | str, size: int = _OVERHEAD) -> bool:
        """Append an event, what will make one, or the reason why there is none.

        Args:
            item: what.
            size: its bytes, about.

        Returns:
            False, and nothing is counted, if the queue is closed.
        """
        with self._lock:
            if self._is_closed:
                return False
            self._offered += 1
            if isinstance(item, str):
                self._dropped[item] += 1
            elif self._entries >= self._max_entries or self._size + size > self._max_bytes:
                self._dropped["queue_full"] += 1
            else:
                self._entries += 1
                self._size += size
                self._new.append((item, size))
        if not self._something.is_set():
            self._something.set()
        return True

    def refuse(self, reason: str, count: int) -> None:
        """Count offers that were made while there was no queue."""
        with self._lock:
            self._offered += count
            self._dropped[reason] += count

    def when_settled(self, tell: Callable[[], object]) -> None:
        """Call this, from the thread, when all that was offered before is committed or dropped."""
        with self._lock:
            self._waiting.append(tell)
        self._hurry.set()
        self._something.set()

    def wake(self) -> None:
        """Let the thread look at once."""
        self._hurry.set()
        self._something.set()

    # What the thread does.

    def wait(self, timeout_s: float) -> bool:
        """Wait for something new; False if nothing came."""
        came = self._something.wait(timeout_s)
        self._something.clear()
        return came

    def linger(self, seconds: float) -> None:
        """Let more come, unless somebody waits for the commit."""
        self._hurry.wait(seconds)

    def take(self) -> Taken:
        """Take all that is new."""
        with self._lock:
            self._hurry.clear()
            taken = Taken(self._new, self._waiting)
            self._new, self._waiting = [], []
        return taken

    def settle(self, entries: int, size: int) -> None:
        """So many entries, of so many bytes, wait no longer."""
        with self._lock:
            self._entries -= entries
            self._size -= size

    def drop(self, reason: str, count: int = 1) -> None:
        """Count offered entries that come to nothing."""
        with self._lock:
            self._dropped[reason] += count

    def drop_taken(self, reason: str) -> int:
        """Count all that was taken, and isn't settled, as dropped; how many that is."""
        with self._lock:
            count = self._entries - len(self._new)
            if count:
                self._dropped[reason] += count
            self._entries, self._size = len(self._new), sum(size for _, size in self._new)
            return count

    def close_if_empty(self) -> bool:
        """Take nothing any more; False if something is there that must be taken first."""
        with self._lock:
            self._is_closed = True
            if self._new or self._waiting:
                self._is_closed = False
            return self._is_closed

    def counts(self) -> QueueCounts:
        """The counts, as of one moment."""
        with self._lock:
            return QueueCounts(self._offered, dict(self._dropped), self._entries, self._size)


def weigh(seen: Observation) -> int:
    """The memory that an observation takes, in bytes, about."""
    try:
        if isinstance(seen.headers, list):  # anything else might be read only once
            lines = b"".join(chain.from_iterable(seen.headers))
            cookies = sum(map(len, seen.passed_cookies)) + sum(map(len, seen.removed_cookies))
            return _OVERHEAD + len(lines) + len(seen.path) + len(seen.query) + cookies
    except TypeError:  # not as ASGI has them; what they are is found out in the thread
        pass
    return _UNREADABLE
