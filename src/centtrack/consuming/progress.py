"""How a member of the group is doing: what it notes in its thread, and others read at any time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from centtrack.consuming.work import Tally
from centtrack.delivery.state import SinkCondition, SinkState
from centtrack.monitoring.health import Health, problems_of


@dataclass(frozen=True, slots=True)
class FeedState:
    """A member of the group, as it sees itself.

    Attributes:
        source: the topic's URL, without credentials.
        sink: the sink, of this process. What is `pending` is the lag of its partitions.
        consumed: messages that are done with, of whatever kind.
        repeated: those among them that hold an event that came before.
        withheld: reason → events that the sink may not have.
        lag: partition → messages behind the last that is done with. Only of the partitions that this member has.
        problem: why the topic can't be read; None if nothing is wrong.
    """

    source: str
    sink: SinkState
    consumed: int = 0
    repeated: int = 0
    withheld: Mapping[str, int] = field(default_factory=dict)
    lag: Mapping[int, int] = field(default_factory=dict)
    problem: str | None = None


class FeedProgress:
    """The state of a member.

    Args:
        source: the topic's URL, without credentials.
        sink: the sink's name.
    """

    def __init__(self, source: str, sink: str) -> None:
        # Replaced as a whole: no thread sees half a change.
        self._state = FeedState(source, SinkState(sink), problem="no broker has answered yet")

    def state(self) -> FeedState:
        """The state. Cheap, and from any thread."""
        return self._state

    def enter(self, condition: SinkCondition, problem: str | None = None) -> None:
        """Note the sink's condition, and what is wrong with it."""
        self._take_sink(replace(self._state.sink, condition=condition, problem=problem))

    def note_source(self, problem: str | None) -> None:
        """Note why the topic can't be read; None: it can."""
        if problem != self._state.problem:
            self._state = replace(self._state, problem=problem)

    def note_lag(self, lag: Mapping[int, int], partitions: int) -> None:
        """Note how far behind partitions are.

        Args:
            lag: partition → messages, of those where that is known.
            partitions: how many this member has.
        """
        self._state = replace(self._state, lag=lag)
        self._take_sink(replace(self._state.sink, pending=sum(lag.values()) if len(lag) == partitions > 0 else None))

    def count(self, tally: Tally) -> None:
        """Count what became of messages."""
        sink, withheld = self._state.sink, Counter(self._state.withheld)
        withheld.update(tally.withheld)
        self._state = replace(self._state, withheld=dict(withheld))
        self._take_sink(
            replace(
                self._state.sink,
                delivered=sink.delivered + tally.delivered,
                withheld=withheld.total(),
                dead_lettered=sink.dead_lettered + tally.dead_lettered,
            )
        )

    def count_consumed(self, total: int, repeated: int) -> None:
        """Count messages that are done with, and how many of them were repeated events."""
        state = self._state
        self._state = replace(state, consumed=state.consumed + total, repeated=state.repeated + repeated)

    def count_lost(self, total: int) -> None:
        """Count messages that were gone before they were read."""
        self._take_sink(replace(self._state.sink, lost=self._state.sink.lost + total))

    def count_retry(self) -> None:
        """Count an attempt that failed and is to be repeated."""
        self._take_sink(replace(self._state.sink, retries=self._state.sink.retries + 1))

    def _take_sink(self, sink: SinkState) -> None:
        self._state = replace(self._state, sink=sink)


def judge_feed(state: FeedState) -> Health:
    """Health of a member of the group."""
    problems = tuple(problems_of([state.sink]))
    if state.problem:
        problems = (f"{state.source} can't be read: {state.problem}", *problems)
    return Health("failing" if state.sink.condition == "ended" else "degraded" if problems else "ok", problems)
