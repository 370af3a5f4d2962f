"""One batch on its way to a topic."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from functools import cache

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from centtrack.sinks.base import Batch
from centtrack.sinks.kafka.client import poll
from centtrack.sinks.kafka.errors import Trouble

_WITHIN_S = 20.0
_PURGED_WITHIN_S = 1.0
_PAUSE_S = 0.1
_TURN_S = 0.005


class _Head(msgspec.Struct, gc=False):
    """What a message needs of an event beside its line."""

    event_id: str
    time: dt.datetime
    schema_version: int = 1


_decoder = msgspec.json.Decoder(_Head)


class Sending:
    """Produces a batch, and gathers what becomes of its messages.

    The client reports on those that failed alone, which halves the cost of a message: one that it has neither
    reported on nor still holds is acknowledged.

    Args:
        producer: whose messages they are.
        topic: where to.
        trouble: of the producer.
        acknowledged: ids of events that an earlier attempt has brought there; they aren't sent again.

    Attributes:
        acknowledged: after a failure, ids of all that are known to be there.
        failed: code → how many messages failed with it.
    """

    def __init__(self, producer: Producer, topic: str, trouble: Trouble, acknowledged: set[str]) -> None:
        self._producer = producer
        self._topic = topic
        self._trouble = trouble
        self._failed_ids: set[str] = set()
        self.acknowledged = acknowledged
        self.failed: Counter[int] = Counter()

    def send(self, batch: Batch) -> None:
        """Produce it, and wait until each message is acknowledged or has failed."""
        until = time.monotonic() + _WITHIN_S
        heads, there = list(batch.heads(_decoder)), frozenset(self.acknowledged)
        for head, line in heads:
            if head.event_id not in there:
                self._produce(line, head, until)
        poll(self._producer, self._trouble, 0)  # after a fatal error there is nothing to wait for, but to be told why
        self._wait(until)
        if len(self._producer):  # else it would go out beside its own repetition
            self._producer.purge()
            self._wait(time.monotonic() + _PURGED_WITHIN_S)
        if left := len(self._producer):
            self.failed[KafkaError._TIMED_OUT] += left
        elif self.failed:
            self.acknowledged.update({head.event_id for head, _ in heads} - self._failed_ids)

    def _wait(self, until: float) -> None:
        """Wait until the client holds no message any more. It doesn't wake who waits for it to have none."""
        while len(self._producer) and time.monotonic() < until:
            poll(self._producer, self._trouble, _TURN_S)

    def _produce(self, line: bytes, head: _Head, until: float) -> None:
        """Queue a message; wait for room if the queue is full."""
        timestamp = max(1, int(head.time.timestamp() * 1_000))  # 0 stands for now
        while True:
            try:
                self._producer.produce(
                    self._topic, line, head.event_id, on_delivery=self._note, timestamp=timestamp,
                    headers=_headers(head.schema_version),
                )  # fmt: skip
                return
            except BufferError:
                poll(self._producer, self._trouble, _PAUSE_S)
                if time.monotonic() > until:
                    self._count(head.event_id, KafkaError._QUEUE_FULL)
                    return
            except KafkaException as error:
                self._count(head.event_id, error.args[0].code())
                return

    def _note(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._count((message.key() or b"").decode(), error.code())

    def _count(self, event_id: str, code: int) -> None:
        self._failed_ids.add(event_id)
        self.failed[code] += 1


@cache
def _headers(schema_version: int) -> list[tuple[str, str | bytes | None]]:
    return [("schema_version", str(schema_version).encode()), ("content-type", b"application/json")]
