"""Counters of a journal and its processes, as Prometheus reads them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from centtrack.delivery.journal.counters import Counts, SinkCounts, read_counts
from centtrack.delivery.state import PipelineState
from centtrack.errors import JournalError
from centtrack.monitoring.labels import DROPPED, LOST, WITHHELD, fold_reasons

READ_WITHIN_S = 5.0  # Prometheus itself waits for 10

_Kind = type[CounterMetricFamily] | type[GaugeMetricFamily]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read to be shown.

    Attributes:
        counts: of the journal, over all processes of the host; None if it can't be read.
        sinks: names of the configured sinks.
        state: the pipeline of the answering process; None if it only delivers.
    """

    counts: Counts | None
    sinks: Collection[str]
    state: PipelineState | None = None


class Reader:
    """Reads the counters of journals, each in one thread at a time: who asks meanwhile shares what that one finds.

    A process that was stopped may hold a journal's lock for as long as it likes. However many ask then, each waits for
    5 seconds at most, and a single thread for the lock. For the threads of one process, not of a fork of it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readings: dict[Path, Future[Counts]] = {}

    def read(self, journal: Path, sinks: Collection[str], state: PipelineState | None = None) -> Reading:
        """Read the counters. Without a journal, or if it can't be read in time, what is left is shown.

        Args:
            journal: its file.
            sinks: names of the configured sinks.
            state: the pipeline of the answering process.
        """
        try:
            return Reading(self._begin(journal).result(READ_WITHIN_S), sinks, state)
        except (JournalError, OSError):  # among the latter is TimeoutError
            return Reading(None, sinks, state)

    def _begin(self, journal: Path) -> Future[Counts]:
        with self._lock:
            reading = self._readings.get(journal)
            if reading is None or reading.done():
                reading = Future()
                threading.Thread(target=_settle, args=(reading, journal), name="centtrack-counts", daemon=True).start()
                self._readings[journal] = reading
            return reading


def _settle(reading: Future[Counts], journal: Path) -> None:
    try:
        reading.set_result(read_counts(journal))
    except BaseException as error:  # noqa: BLE001 - whoever waits for it gets it
        reading.set_exception(error)


def write_metrics(reading: Reading, accept: str = "") -> tuple[bytes, str]:
    """The text for Prometheus, and its content type.

    Args:
        reading: what to show.
        accept: the header Accept, which chooses between Prometheus' own format and OpenMetrics.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(reading))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Once(Collector):
    """One reading, in the form that prometheus_client writes."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        counts, state = self._reading.counts, self._reading.state
        yield GaugeMetricFamily(
            "centtrack_journal_up", "1 if the journal's counters could be read", value=float(counts is not None)
        )
        if state is not None:
            yield GaugeMetricFamily("centtrack_queue_events", "What waits in this process's memory", state.queued)
            yield GaugeMetricFamily("centtrack_queue_bytes", "Its size in bytes, about", state.queued_bytes)
        if counts is not None:
            yield from _of_journal(counts)
            yield from _of_sinks([sink for sink in counts.sinks if sink.name in self._reading.sinks])


def _of_journal(counts: Counts) -> Iterator[Metric]:
    offered = sum(worker.offered for worker in counts.workers)
    accepted = sum(worker.accepted for worker in counts.workers)
    dropped: Counter[str] = Counter()
    for worker in counts.workers:
        dropped.update(worker.dropped)
    yield CounterMetricFamily(
        "centtrack_events_offered", "Requests and custom events that were to be recorded", offered
    )
    yield CounterMetricFamily("centtrack_events_accepted", "Events that were committed to the journal", accepted)
    by_reason = CounterMetricFamily("centtrack_events_dropped", "What was offered, and not accepted", labels=["reason"])
    for reason, count in fold_reasons(dropped, DROPPED).items():
        by_reason.add_metric([reason], count)
    yield by_reason
    yield GaugeMetricFamily("centtrack_journal_bytes", "Bytes that the journal uses", counts.used_bytes)


def _of_sinks(sinks: list[SinkCounts]) -> Iterator[Metric]:
    for kind, name, about, value in _SINK_METRICS:
        metric = kind(f"centtrack_sink_{name}", about, labels=["sink"])
        for sink in sinks:
            if (number := value(sink)) is not None:
                metric.add_metric([sink.name], number)
        yield metric
    for name, about, known, reasons in _SINK_REASONS:
        counter = CounterMetricFamily(f"centtrack_sink_{name}", about, labels=["sink", "reason"])
        for sink in sinks:
            for reason, count in fold_reasons(reasons(sink), known).items():
                counter.add_metric([sink.name, reason], count)
        yield counter


_SINK_METRICS: tuple[tuple[_Kind, str, str, Callable[[SinkCounts], float | None]], ...] = (
    (CounterMetricFamily, "delivered", "Events that the sink took", lambda sink: sink.delivered),
    (CounterMetricFamily, "retries", "Attempts that failed and were to be repeated", lambda sink: sink.retries),
    (GaugeMetricFamily, "dead_letters", "Events that the sink will never take", lambda sink: sink.dead_lettered),
    (GaugeMetricFamily, "pending_events", "Events that wait for the sink", lambda sink: sink.pending),
    (
        GaugeMetricFamily,
        "oldest_seconds",
        "Age of the oldest of these",
        lambda sink: sink.oldest_s if sink.pending else 0,
    ),
)
_SINK_REASONS: tuple[tuple[str, str, Collection[str], Callable[[SinkCounts], Mapping[str, int]]], ...] = (
    ("withheld", "Events that the sink may not have", WITHHELD, lambda sink: sink.withheld),
    ("lost", "Accepted events that the sink never gets", LOST, lambda sink: sink.lost),
)
