"""The topic for messages that can't be delivered: each is there, with its reason, before the group goes on."""

from __future__ import annotations

import os
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from centtrack.consuming.entries import Entry
from centtrack.errors import RetryLater
from centtrack.sinks.kafka.client import find_topic, give_up, make_producer
from centtrack.sinks.kafka.errors import Trouble, name_of, raise_for
from centtrack.sinks.kafka.settings import Settings

REASON_HEADER = "centtrack-reason"
PLACE_HEADER = "centtrack-place"
"""Where the message stands: its stream and offset, as in `kafka/CLUSTER/events/3/1017`."""

_WITHIN_S = 20.0
_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_MSG_SIZE}


class DeadLetters:
    """Produces to the dead-letter topic. For one thread.

    Args:
        settings: of that topic.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Producer | None = None
        self._trouble = Trouble()

    def bury(self, entries: Sequence[Entry], stream: str) -> None:
        """Produce messages with what is wrong with them, and wait until all is acknowledged.

        Of one that is too large with its reason, the value is left out: its place tells where it stands.

        Args:
            entries: each with its problem.
            stream: of the partition that they come from.

        Raises:
            ConfigurationError: if the topic isn't there, or may not be written.
            RetryLater: if not all was acknowledged in time.
        """
        failed = self._produce(entries, stream)
        large = [entry for entry, code in failed.items() if code in _TOO_LARGE]
        codes = {code for code in failed.values() if code not in _TOO_LARGE}
        if large:
            codes |= set(self._produce([entry._replace(line=b"") for entry in large], stream).values())
        raise_for(self._settings, codes | self._trouble.codes, "dead letters weren't acknowledged")

    def close(self) -> None:
        """Give up what isn't acknowledged yet."""
        producer, self._producer = self._producer, None
        if producer is not None:
            give_up(producer, os.getpid())

    def _produce(self, entries: Sequence[Entry], stream: str) -> dict[Entry, int]:
        """Produce messages. Returns the error's code of each that failed."""
        producer = self._open()
        failed: dict[Entry, int] = {}
        for entry in entries:
            try:
                _produce_one(producer, self._settings.topic, entry, stream, failed)
            except KafkaException as error:
                failed[entry] = error.args[0].code()
        self._flush(producer)
        return failed

    def _flush(self, producer: Producer) -> None:
        try:
            left = producer.flush(_WITHIN_S)
        except KafkaException as error:  # a fatal one: this producer is of no use any more
            self.close()
            raise RetryLater(f"{self._settings.name}: {name_of(error.args[0].code())}") from error
        if left:
            self.close()
            raise RetryLater(f"{self._settings.name}: {left} dead letters weren't acknowledged in time")

    def _open(self) -> Producer:
        if self._producer is None:
            self._trouble = Trouble()
            self._producer = make_producer(self._settings, self._trouble)
            codes = find_topic(self._producer, self._settings, self._trouble)
            raise_for(self._settings, codes, self._trouble.not_reached(self._settings))
        return self._producer


def _produce_one(producer: Producer, topic: str, entry: Entry, stream: str, failed: dict[Entry, int]) -> None:
    headers: list[tuple[str, str | bytes | None]] = [
        (REASON_HEADER, (entry.problem or "").encode("utf-8", "replace")),
        (PLACE_HEADER, f"{stream}/{entry.offset}".encode()),
    ]

    def note(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed[entry] = error.code()

    producer.produce(topic, entry.line, key=entry.key, headers=headers, on_delivery=note)
