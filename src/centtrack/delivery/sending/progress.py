"""How a deliverer is doing: what it notes in its thread, and others read at any time."""

from __future__ import annotations

import time
from dataclasses import replace

from centtrack.delivery import clock
from centtrack.delivery.journal.batches import count_pending
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.state import SinkCondition, SinkState

_MEASURE_EVERY_S = 1.0
_MEASURE_SHARE = 50  # and not more than this part of the time: a backlog of a million rows takes a while to sum


class Progress:
    """The state of one sink in this process.

    Args:
        name: of the sink.
    """

    def __init__(self, name: str) -> None:
        self._state = SinkState(name)  # replaced as a whole, so that another thread never sees half a change
        self._measured_at = 0.0
        self._measure_at = 0.0

    def state(self) -> SinkState:
        """The state; the age of the oldest event goes on while nothing else does."""
        state, measured_at = self._state, self._measured_at
        if state.oldest_s is None:
            return state
        return replace(state, oldest_s=state.oldest_s + max(0.0, time.monotonic() - measured_at))

    def enter(self, condition: SinkCondition, problem: str | None = None) -> None:
        """Note a condition, and what is wrong."""
        state = replace(self._state, condition=condition, problem=problem)
        if condition in {"standby", "ended"}:  # others deliver: what waits is no longer known here
            state, self._measure_at = replace(state, pending=None, oldest_s=None), 0.0
        self._state = state

    def count(self, *, delivered: int = 0, withheld: int = 0, dead_lettered: int = 0, lost: int = 0) -> None:
        """Count what became of events."""
        state = self._state
        self._state = replace(
            state,
            delivered=state.delivered + delivered,
            withheld=state.withheld + withheld,
            dead_lettered=state.dead_lettered + dead_lettered,
            lost=state.lost + lost,
        )

    def count_retry(self) -> None:
        """Count an attempt that failed and is to be repeated."""
        self._state = replace(self._state, retries=self._state.retries + 1)

    def measure(self, journal: Journal) -> None:
        """See what waits in the open journal, now and then."""
        begun = time.monotonic()
        if begun < self._measure_at:
            return
        name = self._state.name
        with journal.using:  # no fork comes in between
            oldest_s = journal.oldest_age_s(name, clock.now())
            pending = count_pending(journal.database, name)
        self._state = replace(self._state, pending=pending, oldest_s=oldest_s)
        self._measured_at = time.monotonic()
        took_s = self._measured_at - begun
        self._measure_at = self._measured_at + max(_MEASURE_EVERY_S, _MEASURE_SHARE * took_s)
