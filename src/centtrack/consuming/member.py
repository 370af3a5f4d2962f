"""A member of the consumer group: which partitions it has, and what it reads of them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from centtrack.consuming.entries import read_message
from centtrack.consuming.partition import MAX_BYTES, MAX_EVENTS, Partition
from centtrack.consuming.recent import WINDOW
from centtrack.consuming.source import Source, check_topics, make_consumer, raise_if_refused
from centtrack.consuming.start import Known, Start
from centtrack.delivery.sending.attempt import Attempts, NoAnswerError
from centtrack.errors import RetryLater
from centtrack.logs import report
from centtrack.sinks.kafka.errors import Trouble, name_of, raise_for

logger = logging.getLogger(__name__)

MAX_BUFFERED = 64_000_000  # bytes that wait for the sink, of all partitions
_AT_ONCE = 2_000  # messages
_ASK_WITHIN_S = 10.0


class Contact(Trouble):
    """What the client tells of its connections.

    Attributes:
        is_away: whether no broker could be reached the last time.
    """

    is_away = False

    def note(self, error: KafkaError) -> None:
        """Keep an error in mind."""
        super().note(error)
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.is_away = True


class Member:
    """A member of the group, until it is closed. For one thread, but for `ask` and `look`.

    Args:
        source: what it reads.
        on_revoke: called with partitions before others get them; they are forgotten right after.

    Attributes:
        partitions: number → those that it has.
        contact: with the brokers.
    """

    def __init__(self, source: Source, on_revoke: Callable[[Sequence[Partition]], None]) -> None:
        self.partitions: dict[int, Partition] = {}
        self.contact = Contact()
        self.has_joined = False
        self._source = source
        self._on_revoke = on_revoke
        self._paused: set[int] = set()
        self._cluster = ""
        self._consumer = make_consumer(source, self.contact)
        # For the other thread: a client that one thread reads from all the time makes any other wait for its turn.
        self._asking = make_consumer(source, self.contact)

    def join(self) -> None:
        """Join the group, if both topics are there.

        Raises:
            ConfigurationError: if somebody has to mend something.
            RetryLater: if no broker answers.
        """
        self._cluster = check_topics(self._asking, self._source, self.contact)
        self._consumer.subscribe(
            [self._source.topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose
        )

    def read(self, timeout_s: float) -> None:
        """Read what there is into the partitions, and hear what the group has decided.

        Raises:
            ConfigurationError: if somebody has to mend something.
            RetryLater: if the client can't go on.
        """
        for message in self._consumer.consume(_AT_ONCE, timeout_s):
            partition = self.partitions.get(message.partition() or 0)
            error = message.error()
            if error is not None:
                self._take_error(error, partition)
            elif partition is not None and partition.is_reading:
                partition.add(read_message(message))
                self.contact.is_away = False
        raise_for(self._source.settings, self.contact.codes, "the client can't go on")

    def ask(self, partition: Partition) -> Known:
        """What the brokers know of a partition. From one other thread; what the sink knows is left open.

        Raises:
            RetryLater: if they don't say.
        """
        place = TopicPartition(self._source.topic, partition.number)
        try:
            low, high = self._asking.get_watermark_offsets(place, timeout=_ASK_WITHIN_S)
            [found] = self._asking.committed([place], timeout=_ASK_WITHIN_S)
        except KafkaException as error:
            raise_if_refused(self._source, error.args[0].code())
            raise RetryLater(f"the brokers don't tell where to read on: {name_of(error.args[0].code())}") from error
        return Known(low, high, found.offset if found.offset >= 0 else None, None, sink_knows=False)

    def look(self) -> None:
        """Look whether a broker is there again. From that other thread."""
        with contextlib.suppress(KafkaException):
            self._asking.list_topics(self._source.topic, timeout=_ASK_WITHIN_S)
            self.contact.is_away = False

    def go_on(self, partition: Partition, start: Start) -> None:
        """Read a partition from its start on, which is known now; if the client isn't ready for that, do nothing."""
        try:
            # A little before, for the ids of what came last.
            self._move(self._place(partition, max(start.low, start.offset - WINDOW)))
            self._consumer.store_offsets(offsets=[self._place(partition, start.offset)])
        except KafkaException:
            return
        partition.is_reading = True

    def throttle(self) -> None:
        """Read no more than the sink will soon get, and go on when it got some."""
        total = sum(partition.size for partition in self.partitions.values())
        for number, partition in self.partitions.items():
            is_paused = number in self._paused
            share = 1 if is_paused else 2
            is_filled = partition.total >= share * MAX_EVENTS or partition.size >= share * MAX_BYTES
            is_filled = is_filled or total >= share * MAX_BUFFERED / 2
            if (is_filled or not partition.is_reading) and not is_paused:
                self._paused.add(number)
                self._consumer.pause([self._place(partition)])
            elif is_paused and not is_filled and partition.is_reading:
                self._paused.discard(number)
                self._consumer.resume([self._place(partition)])

    def store(self, partition: Partition) -> None:
        """Have what is done with committed, soon and when the partition goes."""
        with contextlib.suppress(KafkaException):  # another member has it by now
            self._consumer.store_offsets(offsets=[self._place(partition, partition.done)])

    def lag(self) -> dict[int, int]:
        """Partition → messages behind the last that is done with, as far as that is known."""
        found = {}
        for number, partition in self.partitions.items():
            known = self._consumer.get_watermark_offsets(self._place(partition), cached=True)
            if known is not None and known[1] >= 0 and partition.start is not None:
                found[number] = max(0, known[1] - partition.done)
        return found

    def close(self, within_s: float) -> None:
        """Leave the group, so that others needn't wait for it; give that up if the brokers don't answer in time."""
        attempts = Attempts("centtrack-leave")
        with contextlib.suppress(NoAnswerError, KafkaException, RuntimeError):
            attempts.make(self._close, within_s)
        attempts.end()

    def _move(self, place: TopicPartition) -> None:
        try:
            self._consumer.seek(place)
        except KafkaException:  # the client reads nothing of it any more since it found messages deleted
            self._consumer.incremental_unassign([place])
            self._consumer.incremental_assign([place])
            self._consumer.pause([place])
            self._paused.add(place.partition)

    def _close(self) -> None:
        self._consumer.close()
        self._asking.close()

    def _place(self, partition: Partition, offset: int = OFFSET_BEGINNING) -> TopicPartition:
        return TopicPartition(self._source.topic, partition.number, offset)

    def _assign(self, consumer: object, places: Sequence[TopicPartition]) -> None:
        self.has_joined = True
        for place in places:
            stream = f"kafka/{self._cluster}/{place.topic}/{place.partition}"
            self.partitions[place.partition] = Partition(place.partition, stream)
        mine = [self._place(self.partitions[place.partition]) for place in places]
        self._consumer.incremental_assign(mine)
        self._consumer.pause(mine)  # until it is known where to read on
        self._paused |= {place.partition for place in places}
        self._tell_partitions()

    def _revoke(self, consumer: object, places: Sequence[TopicPartition]) -> None:
        self._on_revoke([self.partitions[place.partition] for place in places if place.partition in self.partitions])
        self._lose(consumer, places)

    def _lose(self, consumer: object, places: Sequence[TopicPartition]) -> None:
        for place in places:
            self.partitions.pop(place.partition, None)
            self._paused.discard(place.partition)
        self._tell_partitions()

    def _tell_partitions(self) -> None:
        numbers = ", ".join(map(str, sorted(self.partitions))) or "none"
        logger.info("partitions of %s that are read here: %s", self._source.topic, numbers)

    def _take_error(self, error: KafkaError, partition: Partition | None) -> None:
        code = error.code()
        if code == KafkaError._AUTO_OFFSET_RESET and partition is not None:
            partition.begin_anew()  # it was deleted before it was read: where to go on is found out again
            return
        raise_if_refused(self._source, code)
        if error.fatal() or code in {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}:
            raise_for(self._source.settings, {code}, "the client can't go on")
        report(
            logger, logging.WARNING, "source_error", "%s: the client says %s, and goes on", self._source.name,
            name_of(code), source=self._source.name, code=name_of(code),
        )  # fmt: skip
