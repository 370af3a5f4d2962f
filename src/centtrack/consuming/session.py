"""From joining the group to leaving it: reads without pause, and writes one batch at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import NamedTuple

from centtrack.consuming.jobs import Jobs
from centtrack.consuming.member import MAX_BUFFERED, Member
from centtrack.consuming.partition import Partition
from centtrack.consuming.progress import FeedProgress
from centtrack.consuming.source import Source
from centtrack.consuming.start import Start, choose_start
from centtrack.consuming.trouble import SinkTrouble
from centtrack.consuming.work import Tally, Work
from centtrack.consuming.writer import Writer
from centtrack.logs import report

logger = logging.getLogger(__name__)

LAKE_LINGER_S = 5.0  # each commit makes files, and what waits is safe in the topic
_POLL_S = 0.1
_POLL_AT_WORK_S = 0.02  # how soon the next batch begins when one is done
_MEASURE_EVERY_S = 1.0
_REVOKE_WITHIN_S = 5.0  # what is being written then needn't be written again by the next member


class _Job(NamedTuple):
    """What runs in the other thread.

    Attributes:
        partition: whose work it is; None if it isn't about one.
        work: what is written; None if nothing is.
        future: its end.
        finish: what to do when it worked, if the partition is still here.
    """

    partition: Partition | None
    work: Work | None
    future: Future[None]
    finish: Callable[[], None]


class Session:
    """One membership of the group.

    Args:
        source: what is read.
        writer: to the sink.
        jobs: the thread that writes.
        trouble: of the sink.
        progress: where all is noted.
        linger_s: how long messages gather for a batch.
    """

    def __init__(
        self,
        source: Source,
        writer: Writer,
        jobs: Jobs,
        trouble: SinkTrouble,
        progress: FeedProgress,
        linger_s: float,
    ) -> None:
        self._source = source
        self._writer = writer
        self._jobs = jobs
        self._trouble = trouble
        self._progress = progress
        self._linger_s = linger_s
        self._job: _Job | None = None
        self._measure_at = 0.0
        self._member = Member(source, self._hand_over)

    def join(self) -> None:
        """Join the group.

        Raises:
            ConfigurationError: if somebody has to mend something.
            RetryLater: if no broker answers.
        """
        self._member.join()
        self._progress.note_source(None)

    def step(self) -> None:
        """Read, and have written what is ready.

        Raises:
            ConfigurationError: if somebody has to mend something about the topic.
            RetryLater: if the client can't go on.
        """
        self._member.read(_POLL_S if self._job is None else _POLL_AT_WORK_S)
        self._settle()
        self._begin()
        self._member.throttle()
        if time.monotonic() >= self._measure_at:
            self._measure_at = time.monotonic() + _MEASURE_EVERY_S
            self._measure()

    def close(self, within_s: float) -> None:
        """Wait for what is being written, leave the group, and drop the rest: the topic has it."""
        until = time.monotonic() + within_s
        self._wait(within_s / 2)
        self._member.close(max(0.1, until - time.monotonic()))

    def _hand_over(self, partitions: Sequence[Partition]) -> None:
        if self._job is not None and self._job.partition in partitions:
            self._wait(_REVOKE_WITHIN_S)

    def _wait(self, within_s: float) -> None:
        if self._job is not None:
            wait([self._job.future], within_s)
            self._settle()

    def _settle(self) -> None:
        """See what became of the job."""
        job = self._job
        if job is None or not job.future.done():
            return
        self._job = None
        if job.work is not None:
            self._progress.count(job.work.tally)
            self._tell_dead(job.work.tally.dead_lettered)
            job.work.tally = Tally()
        error = job.future.exception()
        if error is not None:
            self._trouble.fail(error)
            if job.work is not None:
                job.work.repeated = True
            return
        partition = job.partition
        if partition is None or self._member.partitions.get(partition.number) is partition:
            job.finish()
        self._trouble.succeed()

    def _begin(self) -> None:
        """Begin the next job, if there is one and the sink may be called."""
        if self._job is not None:
            return
        if self._member.contact.is_away:
            self._job = _Job(None, None, self._jobs.begin(self._member.look), lambda: None)
            return
        if self._trouble.left_s:
            return
        new = [partition for partition in self._member.partitions.values() if partition.start is None]
        if new:
            self._find_starts(new)
            return
        self._go_on()
        chosen = self._choose()
        if chosen is not None:
            self._write(chosen)

    def _choose(self) -> Partition | None:
        """The partition whose turn it is: of which a batch failed, else of which one is full or has waited enough."""
        partitions = list(self._member.partitions.values())
        for partition in partitions:
            if partition.work is not None:
                return partition
        has_no_room = sum(partition.size for partition in partitions) >= MAX_BUFFERED / 2
        ready = [
            partition
            for partition in partitions
            if partition.total and (partition.is_full or has_no_room or partition.waited_s >= self._linger_s)
        ]
        return max(ready, key=lambda partition: partition.waited_s, default=None)

    def _write(self, partition: Partition) -> None:
        work = partition.work or partition.take()

        def finish() -> None:
            done = partition.done
            partition.finish(work)
            self._progress.count_consumed(partition.done - done, partition.repeated)
            partition.repeated = 0
            self._member.store(partition)

        self._job = _Job(partition, work, self._jobs.begin(lambda: self._writer.write(work)), finish)

    def _find_starts(self, partitions: Sequence[Partition]) -> None:
        found: list[tuple[Partition, Start]] = []

        def find() -> None:
            found.extend((partition, self._find_start(partition)) for partition in partitions)

        def finish() -> None:
            for partition, start in found:
                if self._member.partitions.get(partition.number) is partition:
                    partition.begin(start)
                    self._tell_start(partition, start)
            self._go_on()

        self._job = _Job(None, None, self._jobs.begin(find), finish)

    def _find_start(self, partition: Partition) -> Start:
        """In the other thread: ask the brokers, and the sink if it knows."""
        known = self._member.ask(partition)
        if partition.done:  # it was read here before, and that may not be committed yet
            known = known._replace(committed=max(known.committed or 0, partition.done))
        if self._writer.knows_offsets:
            known = known._replace(last=self._writer.last_offset(partition.stream), sink_knows=True)
        where = f"partition {partition.number} of {self._source.topic}"
        return choose_start(known, where, self._progress.state().sink.name, self._source.group)

    def _go_on(self) -> None:
        for partition in self._member.partitions.values():
            if partition.start is not None and not partition.is_reading:
                self._member.go_on(partition, partition.start)

    def _measure(self) -> None:
        self._progress.note_lag(self._member.lag(), len(self._member.partitions))
        self._progress.note_source("no broker can be reached" if self._member.contact.is_away else None)
        self._trouble.note_idle(has_partitions=bool(self._member.partitions), has_joined=self._member.has_joined)

    def _tell_start(self, partition: Partition, start: Start) -> None:
        logger.info("partition %s is read from offset %s on", partition.number, start.offset)
        if start.lost:
            self._progress.count_lost(start.lost)
            report(
                logger, logging.ERROR, "messages_lost",
                "%s: %s messages of partition %s were deleted by the topic's retention before they were read: they are "
                "lost. Raise retention.ms or retention.bytes of the topic, or add members to the group",
                self._source.name, start.lost, partition.number, source=self._source.name, count=start.lost,
                partition=partition.number,
            )  # fmt: skip

    def _tell_dead(self, total: int) -> None:
        if total:
            report(
                logger, logging.ERROR, "dead_letters", "%s: %s messages can't be delivered: they are in topic %s",
                self._source.name, total, self._source.dead.topic, source=self._source.name, count=total,
            )  # fmt: skip
