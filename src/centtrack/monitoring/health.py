"""How recording and delivery are doing, in one word and in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from centtrack.asked import AskedRequest
from centtrack.consent.state import SCOPE_KEY
from centtrack.delivery.pipeline import Pipeline
from centtrack.delivery.recording.queue import MAX_BYTES, MAX_ENTRIES
from centtrack.delivery.state import PipelineState, SinkCondition, SinkState

Status = Literal["ok", "degraded", "failing"]
_NO_PIPELINE = "nothing is recorded: TelemetryMiddleware is missing, disabled or misconfigured, as the log says then"
_FULL = 0.99  # share of the queue from which the next event may not fit

_TROUBLE: Mapping[SinkCondition, str] = {
    "retrying": "{} can't be delivered to, it is tried again",
    "paused": "{} waits until its configuration is mended",
    "hanging": "{} doesn't answer",
    "ended": "delivery to {} has ended in this process",
}


@dataclass(frozen=True, slots=True)
class Health:
    """How this process is doing.

    Attributes:
        status: `ok`; `degraded`: something is wrong, and it mends itself or waits for somebody, as a journal at its
            limit does, which drops new events until a sink has taken others; `failing`: nothing can be recorded, or,
            of `centtrack deliver`, a delivery has ended. The app itself serves its visitors all the same.
        problems: what is wrong, one sentence each, without visitors' data.
    """

    status: Status
    problems: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """For a JSON response."""
        return {"status": self.status, "problems": list(self.problems)}


def health_of(request: Any) -> Health:
    """How recording and delivery are doing in the process that serves a request. Reads memory only.

    Args:
        request: a request or WebSocket of Starlette or FastAPI, or an ASGI scope.
    """
    pipeline = pipeline_of(request)
    return judge(pipeline.state()) if pipeline is not None else Health("failing", (_NO_PIPELINE,))


def pipeline_of(request: Any) -> Pipeline | None:
    """The pipeline that a request is recorded by; None if it isn't.

    Args:
        request: as for `health_of`.
    """
    scope = request if isinstance(request, Mapping) else getattr(request, "scope", {})
    noted = scope.get(SCOPE_KEY)
    return noted.pipeline if isinstance(noted, AskedRequest) else None


def judge(state: PipelineState) -> Health:
    """Health of a pipeline."""
    filled = max(state.queued / MAX_ENTRIES, state.queued_bytes / MAX_BYTES)
    problems = [*_of_recording(state, filled), *problems_of(state.sinks)]
    if not state.is_alive or (state.journal != "open" and filled >= _FULL):
        return Health("failing", tuple(problems))
    return Health("degraded" if problems else "ok", tuple(problems))


def _of_recording(state: PipelineState, filled: float) -> Iterator[str]:
    why = f": {state.problem}" if state.problem else ""
    if not state.is_alive:
        yield f"the recorder's thread has ended, nothing is recorded{why}"
    if state.journal == "degraded":
        yield f"the journal can't be written, events wait in memory{why}"
    elif state.journal == "full":
        yield f"the journal is at its limit, new events are dropped{why}"
    if filled >= _FULL:
        yield "the queue in memory is full, new events are dropped"
    elif filled > 1 / 2:
        yield f"the queue in memory is filled to {filled:.0%}"


def problems_of(sinks: Iterable[SinkState]) -> Iterator[str]:
    """What is wrong with sinks, as this process sees it."""
    for sink in sinks:
        if sink.condition in _TROUBLE:
            why = f": {sink.problem}" if sink.problem else ""
            yield _TROUBLE[sink.condition].format(sink.name) + why
