"""The sink: each event is a message, and a batch is written when all of it is acknowledged."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from centtrack.errors import MissingExtraError
from centtrack.event import Event
from centtrack.sinks.base import Batch
from centtrack.sinks.finding import Finding
from centtrack.sinks.kafka.settings import read_settings

try:
    from confluent_kafka import Producer

    from centtrack.sinks.kafka.check import look
    from centtrack.sinks.kafka.client import find_topic, give_up, make_producer
    from centtrack.sinks.kafka.errors import Trouble, is_refusal, raise_for
    from centtrack.sinks.kafka.sending import Sending
except ImportError:
    Producer = None  # type: ignore[assignment, misc]


class KafkaSink:
    """Produces each event as a message: its id as key, its JSON as value, its reduced time as timestamp.

    A batch that comes again is produced again, but for what this process knows to be acknowledged. Consumers
    deduplicate by the key.
    """

    linger_s = 0.5
    timeout_s = 30.0

    def __init__(self, url: str) -> None:
        if Producer is None:
            raise MissingExtraError("The kafka: sink", "kafka")
        self._settings = read_settings(url)
        self.name = self._settings.name
        self._producer: Producer | None = None
        self._made_by = 0
        self._trouble = Trouble()
        self._batch = ("", 0)
        self._acknowledged: set[str] = set()

    def open(self) -> None:
        """Make a producer, and look whether the topic is there.

        Raises:
            ConfigurationError: if it isn't, or the brokers don't let this user in.
            RetryLater: if no broker answers.
        """
        self.close()
        self._trouble, self._made_by = Trouble(), os.getpid()
        self._producer = producer = make_producer(self._settings, self._trouble)
        codes = find_topic(producer, self._settings, self._trouble)
        if codes:
            self.close()  # so that nothing is produced before it was found
        raise_for(self._settings, codes, self._trouble.not_reached(self._settings))

    def write(self, events: Sequence[Event]) -> None:
        """Produce a batch, and wait until each message is acknowledged or has failed.

        Raises:
            Rejected: if an event is larger than the topic takes.
            ConfigurationError: if the topic is gone, or writing to it isn't permitted.
            RetryLater: if not all of it was acknowledged in time.
        """
        if self._producer is None or self._made_by != os.getpid():
            self.open()
        producer, trouble = self._producer, self._trouble
        assert producer is not None  # noqa: S101 - for the type checker: open() made it
        batch = events if isinstance(events, Batch) else Batch(events)
        trouble.forget()
        sending = Sending(producer, self._settings.topic, trouble, self._known(batch))
        sending.send(batch)
        codes = {*sending.failed, *(trouble.codes if sending.failed else ())}
        if not is_refusal(codes) and self._producer is producer:
            self.close()  # after a fatal error it would never send anything any more
        raise_for(self._settings, codes, f"{sending.failed.total()} events weren't acknowledged")

    def close(self) -> None:
        """End the producer, and with it a call of `write()` that waits. What it still has isn't sent any more."""
        producer, self._producer = self._producer, None
        if producer is not None:
            give_up(producer, self._made_by)

    def check(self) -> Iterator[Finding]:
        """Look at brokers, topic and rights; write a probe, which consumers pass over, and read it back."""
        return look(self._settings)

    def _known(self, batch: Batch) -> set[str]:
        """Ids of this batch's events that are acknowledged; to be added to. Halves of a batch share the whole's."""
        whole = (batch.stream.partition(f"/{batch.sequence}:")[0], batch.sequence)
        if not batch.stream or self._batch != whole:
            self._batch, self._acknowledged = whole, set()
        return self._acknowledged
