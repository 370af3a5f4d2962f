"""How delivery is doing in this process, for health and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

SinkCondition = Literal["starting", "delivering", "standby", "retrying", "paused", "hanging", "ended"]
JournalCondition = Literal["closed", "open", "degraded", "full"]


@dataclass(frozen=True, slots=True)
class SinkState:
    """One sink, as this process sees it.

    Attributes:
        name: the sink's name.
        condition: `delivering`; `standby`: another process delivers; `retrying` after a failure; `paused`: somebody
            must mend the configuration; `hanging`: the sink didn't answer in time; `starting`, `ended`.
        problem: why, without visitors' data; None if nothing is wrong.
        delivered: events that it took from this process.
        withheld: events that it may not have.
        dead_lettered: events that it will never take.
        lost: events that could not be read from the journal.
        retries: attempts that failed and were to be repeated.
        pending: events that wait for it; None on standby.
        oldest_s: age of the oldest of these, in seconds, by the event's own time; None if that isn't known.
    """

    name: str
    condition: SinkCondition = "starting"
    problem: str | None = None
    delivered: int = 0
    withheld: int = 0
    dead_lettered: int = 0
    lost: int = 0
    retries: int = 0
    pending: int | None = None
    oldest_s: float | None = None


@dataclass(frozen=True, slots=True)
class PipelineState:
    """The pipeline of this process.

    Attributes:
        offered: requests and custom events that were to be recorded, since the process began.
        accepted: events that were committed.
        dropped: reason → events that weren't accepted.
        queued: entries that wait in memory.
        queued_bytes: their size, about.
        unconfirmed: responses that went on without waiting any longer for the commit.
        journal: `degraded` if it can't be written at present, `full` at its limits.
        problem: what is wrong with the journal.
        journal_bytes: its used size; None before it is open.
        sinks: one entry a sink.
        is_alive: whether the recorder's thread is there; without it nothing is recorded.
    """

    offered: int = 0
    accepted: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    queued: int = 0
    queued_bytes: int = 0
    unconfirmed: int = 0
    journal: JournalCondition = "closed"
    problem: str | None = None
    journal_bytes: int | None = None
    sinks: tuple[SinkState, ...] = ()
    is_alive: bool = True
