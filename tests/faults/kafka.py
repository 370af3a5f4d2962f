"""A sink into Kafka as a user would write it, and what a consumer of the topic finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from centtrack import Event
from centtrack.errors import RetryLater
from centtrack.sinks.base import Batch

_WITHIN_S = 3.0


class KafkaSink:
    """Produces events; a batch is delivered when all brokers that must have it have acknowledged all of it.

    Args:
        servers: of the cluster.
        topic: where to.
    """

    name = "kafka"
    linger_s = 0.0

    def __init__(self, servers: str, topic: str) -> None:
        self._servers = servers
        self._topic = topic
        self._producer: Producer | None = None

    def open(self) -> None:
        """Make a producer, of this process."""
        self._producer = Producer(
            {"bootstrap.servers": self._servers, "acks": "all", "enable.idempotence": True, "log_level": 0}
        )

    def write(self, batch: Sequence[Event]) -> None:
        """Produce a batch.

        Raises:
            RetryLater: if not all of it was acknowledged in time.
        """
        assert isinstance(batch, Batch)
        assert self._producer is not None
        acknowledged = 0

        def note(error: KafkaError | None, _: Message) -> None:
            nonlocal acknowledged
            acknowledged += error is None

        for event, line in zip(batch, batch.lines.splitlines(), strict=True):
            self._producer.produce(self._topic, line, key=event.event_id, on_delivery=note)
        self._producer.flush(_WITHIN_S)
        if acknowledged < len(batch):
            raise RetryLater(f"{len(batch) - acknowledged} of {len(batch)} events weren't acknowledged")

    def close(self) -> None:
        """End the producer; what it still has will be produced again by the next one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()


class Found(NamedTuple):
    """What a consumer that deduplicates found.

    Attributes:
        paths: event's id → path.
        doubled: how many came with an id that had been there before.
    """

    paths: dict[str, str]
    doubled: int


def consume(servers: str, topic: str) -> Found:
    """Read a topic from its beginning to its end."""
    paths: dict[str, str] = {}
    total = 0
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "judge", "log_level": 0})
    try:
        for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            consumer.assign([TopicPartition(topic, partition, first)])
            while first < end:
                for message in consumer.consume(min(1_000, end - first), timeout=10):
                    assert message.error() is None, message.error()
                    line = msgspec.json.decode(message.value())
                    assert message.key() == line["event_id"].encode()
                    paths[line["event_id"]] = line["path"]
                    first, total = message.offset() + 1, total + 1
    finally:
        consumer.close()
    return Found(paths, total - len(paths))
