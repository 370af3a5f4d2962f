"""Events that were sent twice: a host that lost the brokers' acknowledgement sends its last batch again."""

from __future__ import annotations

from collections import deque

from centtrack.consuming.entries import Entry

WINDOW = 20_000  # messages of a partition; one batch of a host has at most half as many, over all partitions


class RecentIds:
    """The ids of the last messages of a partition. A repeated event has the same key, so it is in the same one."""

    def __init__(self) -> None:
        self._order: deque[bytes] = deque()
        self._known: set[bytes] = set()

    def is_repeated(self, entry: Entry) -> bool:
        """Whether the event came before, not long ago; it is known from now on.

        Only of messages whose key is their event's id, as the sink `kafka:` writes them: keys of others may be those
        of many events.
        """
        key = entry.key
        if key is None or not entry.line.startswith(b'{"event_id":"%s"' % key):
            return False
        if key in self._known:
            return True
        self._known.add(key)
        self._order.append(key)
        if len(self._order) > WINDOW:
            self._known.discard(self._order.popleft())
        return False
