"""What a member of the group counts, as Prometheus reads it. Needs prometheus_client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from centtrack.consuming.progress import FeedState
from centtrack.delivery.state import SinkState
from centtrack.monitoring.labels import WITHHELD, fold_reasons

_Kind = type[CounterMetricFamily] | type[GaugeMetricFamily]


def write_feed_metrics(state: FeedState, accept: str = "") -> tuple[bytes, str]:
    """The text for Prometheus, and its content type.

    Args:
        state: what to show.
        accept: the header Accept, which chooses between Prometheus' own format and OpenMetrics.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(state))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Once(Collector):
    """One state, in the form that prometheus_client writes."""

    def __init__(self, state: FeedState) -> None:
        self._state = state

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        state = self._state
        yield GaugeMetricFamily(
            "centtrack_consumer_up", "1 if the topic could be read the last time", float(state.problem is None)
        )
        yield CounterMetricFamily("centtrack_consumer_messages", "Messages that are done with", state.consumed)
        yield CounterMetricFamily(
            "centtrack_consumer_repeated", "Messages with an event that had come before", state.repeated
        )
        yield CounterMetricFamily(
            "centtrack_consumer_dead_letters", "Messages that went to the dead-letter topic", state.sink.dead_lettered
        )
        lag = GaugeMetricFamily(
            "centtrack_consumer_lag_messages",
            "Messages behind the last that is done with, of the partitions that this process has",
            labels=["partition"],
        )
        for number, behind in sorted(state.lag.items()):
            lag.add_metric([str(number)], behind)
        yield lag
        for kind, name, about, value in _SINK_METRICS:
            metric = kind(f"centtrack_sink_{name}", about, labels=["sink"])
            metric.add_metric([state.sink.name], value(state.sink))
            yield metric
        withheld = CounterMetricFamily(
            "centtrack_sink_withheld", "Events that the sink may not have", labels=["sink", "reason"]
        )
        for reason, count in fold_reasons(state.withheld, WITHHELD).items():
            withheld.add_metric([state.sink.name, reason], count)
        yield withheld
        lost = CounterMetricFamily(
            "centtrack_sink_lost", "Accepted events that the sink never gets", labels=["sink", "reason"]
        )
        lost.add_metric([state.sink.name, _LOST], state.sink.lost)
        yield lost


_SINK_METRICS: tuple[tuple[_Kind, str, str, Callable[[SinkState], float]], ...] = (
    (CounterMetricFamily, "delivered", "Events that the sink took", lambda sink: sink.delivered),
    (CounterMetricFamily, "retries", "Attempts that failed and were to be repeated", lambda sink: sink.retries),
    (GaugeMetricFamily, "pending_events", "Messages that wait for the sink", lambda sink: sink.pending or 0),
)
_LOST = "topic_retention"
"""Reason: the topic deleted messages before they were read."""
