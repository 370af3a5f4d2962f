"""Metrics of this process through the OpenTelemetry API; the app chooses the SDK, and where it exports to."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from centtrack.delivery.pipeline import Pipeline
from centtrack.delivery.state import PipelineState, SinkState
from centtrack.logs import describe, report
from centtrack.monitoring.labels import DROPPED, fold_reasons

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Observation

logger = logging.getLogger(__name__)

Labels = tuple[tuple[str, str], ...]
"""(name, value) of each label."""

_NO_LABELS: Labels = ()
_pipelines: weakref.WeakValueDictionary[int, Pipeline] = weakref.WeakValueDictionary()
_instruments: list[object] = []  # made once: a second one of the same name would count everything twice


class Instrument(NamedTuple):
    """What is observed.

    Attributes:
        kind: how the OpenTelemetry API calls it.
        name: its name.
        unit: of its values.
        about: what it is.
        read: its values in a state.
        combine: what comes of the values of several pipelines in one process.
    """

    kind: str
    name: str
    unit: str
    about: str
    read: Callable[[PipelineState], Iterable[tuple[Labels, float]]]
    combine: Callable[[Iterable[float]], float] = sum


def export_metrics(pipeline: Pipeline) -> None:
    """Observe a pipeline, if the OpenTelemetry API is installed. For each process at its start; never raises.

    Args:
        pipeline: whose numbers are read, whenever the app's SDK collects.
    """
    try:
        from opentelemetry import metrics

        _pipelines[id(pipeline)] = pipeline
        if not _instruments:  # also not again in a forked child, which has those of its parent
            meter = metrics.get_meter("centtrack")
            for one in INSTRUMENTS:
                make = getattr(meter, f"create_observable_{one.kind}")
                _instruments.append(make(one.name, [_callback(one)], one.unit, one.about))
    except ImportError:
        return
    except Exception as error:  # noqa: BLE001 - metrics must never keep an app from starting
        report(logger, logging.ERROR, "metrics_failed", "metrics can't be exported: %s", describe(error))


def _callback(instrument: Instrument) -> Callable[[CallbackOptions], list[Observation]]:
    from opentelemetry.metrics import Observation

    def observe(options: CallbackOptions) -> list[Observation]:
        found: dict[Labels, list[float]] = {}
        try:
            for state in _states():
                for labels, value in instrument.read(state):
                    found.setdefault(labels, []).append(value)
        except Exception as error:  # noqa: BLE001 - the SDK would log what it is in full
            report(logger, logging.ERROR, "metrics_failed", "metrics can't be read: %s", describe(error))
        return [Observation(instrument.combine(values), dict(labels)) for labels, values in found.items()]

    return observe


def _states() -> Iterator[PipelineState]:
    """Of the pipelines that were started in this process; one that is closed has nothing more to tell."""
    for pipeline in filter(None, (known() for known in _pipelines.valuerefs())):
        state = pipeline.state()
        if state.offered or state.journal != "closed":
            yield state


def _dropped(state: PipelineState) -> Iterator[tuple[Labels, float]]:
    for reason, count in fold_reasons(state.dropped, DROPPED).items():
        yield (("reason", reason),), count


def _of_sinks(read: Callable[[SinkState], float | None]) -> Callable[[PipelineState], Iterator[tuple[Labels, float]]]:
    """A value of each sink that this process delivers to: the one that delivers knows, the others would repeat it."""

    def values(state: PipelineState) -> Iterator[tuple[Labels, float]]:
        for sink in state.sinks:
            value = read(sink)
            if sink.condition not in {"starting", "standby"} and value is not None:
                yield (("sink", sink.name),), value

    return values


def _once(read: Callable[[PipelineState], float | None]) -> Callable[[PipelineState], list[tuple[Labels, float]]]:
    return lambda state: [] if (value := read(state)) is None else [(_NO_LABELS, value)]


_EVENTS, _BYTES, _SECONDS = "{event}", "By", "s"
INSTRUMENTS = (
    Instrument(
        "counter", "centtrack.events.offered", _EVENTS, "Requests and custom events that were to be recorded",
        _once(lambda state: state.offered),
    ),
    Instrument(
        "counter", "centtrack.events.accepted", _EVENTS, "Events that were committed to the journal",
        _once(lambda state: state.accepted),
    ),
    Instrument("counter", "centtrack.events.dropped", _EVENTS, "What wasn't accepted, by reason", _dropped),
    Instrument("gauge", "centtrack.queue.events", _EVENTS, "What waits in memory", _once(lambda state: state.queued)),
    Instrument("gauge", "centtrack.queue.bytes", _BYTES, "Its size", _once(lambda state: state.queued_bytes)),
    Instrument(
        "gauge", "centtrack.journal.bytes", _BYTES, "Bytes that the journal of all processes uses",
        _once(lambda state: state.journal_bytes), max,
    ),
    Instrument(
        "counter", "centtrack.sink.delivered", _EVENTS, "Events that the sink took",
        _of_sinks(lambda sink: sink.delivered),
    ),
    Instrument(
        "counter", "centtrack.sink.withheld", _EVENTS, "Events that the sink may not have",
        _of_sinks(lambda sink: sink.withheld),
    ),
    Instrument(
        "counter", "centtrack.sink.dead_lettered", _EVENTS, "Events that the sink will never take",
        _of_sinks(lambda sink: sink.dead_lettered),
    ),
    Instrument(
        "counter", "centtrack.sink.lost", _EVENTS, "Accepted events that the sink never gets",
        _of_sinks(lambda sink: sink.lost),
    ),
    Instrument(
        "counter", "centtrack.sink.retries", "{attempt}", "Attempts that failed and were to be repeated",
        _of_sinks(lambda sink: sink.retries),
    ),
    Instrument(
        "gauge", "centtrack.sink.pending.events", _EVENTS, "Events that wait for the sink",
        _of_sinks(lambda sink: sink.pending), max,
    ),
    Instrument(
        "gauge", "centtrack.sink.oldest", _SECONDS, "Age of the oldest of these", _of_sinks(lambda sink: sink.oldest_s),
        max,
    ),
)  # fmt: skip
