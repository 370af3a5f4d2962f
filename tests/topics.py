"""Topics of a Kafka cluster that tests fill and read, and feeders that empty them into sinks."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import deltalake
import msgspec
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Message, Producer, TopicPartition

from centtrack import Event
from centtrack.consuming.feeder import Feeder
from centtrack.policy import PrivacyPolicy
from centtrack.sinks.base import Sink
from centtrack.sinks.delta import DeltaSink
from centtrack.testing import make_event
from kafka_cluster import KafkaCluster, partitions_of
from waiting import eventually

Value = Event | bytes | None


class Topic:
    """A topic, and the one for its dead letters.

    Args:
        cluster: where they are made.
        partitions: how many parts it has.
    """

    def __init__(self, cluster: KafkaCluster, partitions: int = 1) -> None:
        self.cluster = cluster
        self.name = f"events-{uuid4().hex[:12]}"
        self.partitions = partitions
        self.dead = f"{self.name}.dead"
        self._producer = Producer({"bootstrap.servers": cluster.servers, "acks": "all", "log_level": 0})
        self.make()
        cluster.make_topic(self.dead, 1)

    def make(self) -> None:
        """Make it, also anew."""
        self.cluster.make_topic(self.name, self.partitions)

    def delete(self) -> None:
        """Delete it."""
        self.cluster.admin.delete_topics([self.name])[self.name].result()

    @property
    def url(self) -> str:
        """As `--from` takes it."""
        return f"kafka://{self.cluster.servers}/{self.name}"

    def stream(self, partition: int = 0) -> str:
        """What the batches of a partition are called."""
        return f"kafka/{self.cluster.admin.list_topics(timeout=10).cluster_id}/{self.name}/{partition}"

    def produce(self, *values: Value, partition: int = 0, headers: Any = None, key: str | None = None) -> None:
        """Produce messages; events as the sink `kafka:` does, unless a key is given."""
        for value in values:
            encoded = msgspec.json.encode(value) if isinstance(value, Event) else value
            own = value.event_id if isinstance(value, Event) else None
            self._producer.produce(self.name, encoded, key=key or own, partition=partition, headers=headers)
        assert self._producer.flush(30) == 0

    def fill(self, total: int, partition: int = 0) -> list[str]:
        """Produce events; their ids."""
        events = [make_event(path=f"/{number}", time_precision="second") for number in range(total)]
        self.produce(*events, partition=partition)
        return [event.event_id for event in events]

    def forget_before(self, offset: int, partition: int = 0) -> None:
        """Delete what stands before an offset, as the topic's retention does."""
        place = TopicPartition(self.name, partition, offset)
        self.cluster.admin.delete_records([place])[place].result()

    def letters(self) -> list[Message]:
        """The dead letters."""
        return read_all(self.cluster.servers, self.dead)

    def committed(self, group: str) -> dict[int, int]:
        """Partition → offset that a group has committed."""
        wanted = ConsumerGroupTopicPartitions(group)
        found = self.cluster.admin.list_consumer_group_offsets([wanted])[group].result()
        return {place.partition: place.offset for place in found.topic_partitions if place.topic == self.name}


def read_all(servers: str, topic: str) -> list[Message]:
    """All messages of a topic."""
    found: list[Message] = []
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "log_level": 0})
    try:
        for partition in partitions_of(consumer, topic):
            place, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=60)
            consumer.assign([TopicPartition(topic, partition, place)])
            while place < end:
                for message in consumer.consume(min(10_000, end - place), timeout=10):
                    assert message.error() is None, message.error()
                    found.append(message)
                    place = message.offset() + 1
    finally:
        consumer.close()
    return found


class Lake:
    """A Delta table in a folder.

    Args:
        folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"delta:{folder}"

    def sink(self) -> DeltaSink:
        """A new sink into it."""
        return DeltaSink(self.url)

    def ids(self) -> Counter[str]:
        """Id → how often it is there."""
        if not (self.folder / "_delta_log").exists():
            return Counter()
        table = deltalake.DeltaTable(str(self.folder)).to_pyarrow_table(columns=["event_id"])
        return Counter(table["event_id"].to_pylist())

    def column(self, name: str) -> list[Any]:
        """The values of a column, in any order."""
        return deltalake.DeltaTable(str(self.folder)).to_pyarrow_table(columns=[name])[name].to_pylist()


_feeders: list[Feeder] = []


@contextlib.contextmanager
def feeding(url: str, sink: Sink, policy: PrivacyPolicy | None = None) -> Iterator[Feeder]:
    """Feed a sink until the end of the block. When no other block goes on around it, no thread of theirs is left."""
    earlier = set(threading.enumerate())
    feeder = Feeder(url, sink, policy)
    _feeders.append(feeder)
    feeder.start()
    try:
        yield feeder
    finally:
        feeder.drain(60)
        assert feeder.join()
        _feeders.remove(feeder)
        eventually(lambda: _feeders or not _own_threads() - earlier)


def _own_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("centtrack-")}
