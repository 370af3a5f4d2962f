"""The recorder: the thread that makes events of what is queued, and commits them to the journal."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from centtrack.consent.inventory import Inventory
from centtrack.delivery.recording.encoding import EventEncoder
from centtrack.delivery.recording.queue import EventQueue, Item, Taken, Work
from centtrack.delivery.recording.writer import TROUBLE, JournalWriter, Totals
from centtrack.delivery.records import DEFAULT_LIMITS, Encoded, Limits
from centtrack.delivery.state import PipelineState
from centtrack.event import Event
from centtrack.locks import no_fork
from centtrack.logs import describe, report
from centtrack.policy.policy import PrivacyPolicy

logger = logging.getLogger(__name__)

_MAX_COMMIT = 1_024
_LINGER_S = 0.010  # under load only: after a quiet time the first event is committed at once
_RETRY_S = 0.5
_LOOK_AGAIN_S = 5.0
_REFRESH_S = 60.0  # how often a quiet recorder looks after geo databases and salts


class Recorder:
    """Takes events from requests and commits them to the journal, from a thread of its own.

    Args:
        path: the journal.
        sinks: names of the sinks that get what is recorded from now on.
        policy: the one in force, if it is to be known to those that deliver later under another.
        limits: when the journal takes no more.
        is_synced: whether each commit waits until it is on the disk.
        warm: called in the thread before anything else: builds engines, opens databases.
        refresh: called in the thread before events are made, and once a minute: looks for new files, ends old salts.
        totals: what capture has counted besides: what was scrubbed, by kind, and what went wrong.
        written: tells what of these is in the journal already: earlier recorders of this process wrote it.
        on_commit: called in the thread after each commit.
        bucket_s: length of the buckets of time that events are held for, in seconds; None: they aren't.
        inventory: of cookies, which is emptied into the journal in the thread, with the events.

    Attributes:
        queue: what requests append to.
        writer: what writes the journal.
        rounds: how often all that was taken has been settled.
    """

    def __init__(
        self,
        path: Path,
        *,
        sinks: Sequence[str] = (),
        policy: PrivacyPolicy | None = None,
        limits: Limits = DEFAULT_LIMITS,
        is_synced: bool = False,
        warm: Callable[[], None] = lambda: None,
        refresh: Callable[[], None] = lambda: None,
        totals: Callable[[], Totals] = dict,
        written: Callable[[], Totals] = dict,
        on_commit: Callable[[], None] = lambda: None,
        bucket_s: int | None = None,
        inventory: Inventory | None = None,
    ) -> None:
        self.queue = EventQueue()
        self.writer = JournalWriter(
            path, self.queue, sinks=sinks, policy=policy, limits=limits, is_synced=is_synced, totals=totals,
            written=written, inventory=inventory,
        )  # fmt: skip
        self._warm = warm
        self._refresh = refresh
        self._on_commit = on_commit
        self._encoder = EventEncoder(bucket_s, self._refuse)
        self._encoded: list[Encoded] = []
        self._waiting: list[Callable[[], object]] = []
        self.rounds = 0
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="centtrack-recorder", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was offered before is committed or dropped; False if that took too long."""
        if not self._thread.is_alive():
            return False
        done = threading.Event()
        self.queue.when_settled(done.set)
        return done.wait(timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Commit what is queued, end the thread and note a clean end. False if the time was too short."""
        self._is_closing = True
        self.queue.wake()
        return self.join(timeout_s)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread, which was asked to end; False if the time was too short."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def state(self) -> PipelineState:
        """How it is doing. From any thread."""
        counts, writer = self.queue.counts(), self.writer
        return PipelineState(
            offered=counts.offered,
            accepted=writer.accepted,
            dropped=counts.dropped,
            queued=counts.entries,
            queued_bytes=counts.size,
            journal=writer.condition,
            problem=writer.problem,
            journal_bytes=writer.journal_bytes,
            is_alive=self._thread.is_alive(),
        )

    # In the thread.

    def _run(self) -> None:
        self._try(self.writer.write)  # so that a new sink starts before the first event
        with no_fork():  # modules are imported
            self._prepare(self._warm)
        while not self._is_over():
            self._wait()
            self._try(self._record)
        self._try(self.writer.end)
        with contextlib.suppress(*TROUBLE):
            self.writer.close()
        self._tell()

    def _try(self, work: Callable[[], None]) -> None:
        """Whatever goes wrong, the thread goes on: events would wait for ever."""
        try:
            work()
        except TROUBLE as error:
            self.writer.degrade(error)
        except BaseException as error:  # noqa: BLE001 - see above
            report(logger, logging.ERROR, "recorder_failed", "events could not be recorded: %s", describe(error))
            self._give_up("recorder_failed")

    def _is_over(self) -> bool:
        """Whether all is done after `close()`. What can't be committed even then is dropped."""
        if not self._is_closing:
            return False
        if self.writer.condition == "degraded":
            self._try(self._record)
            self._give_up("journal_failed")
        return not self._encoded and self.queue.close_if_empty()

    def _wait(self) -> None:
        """Until there is something; under load a little longer, so that it is more."""
        if self._encoded:
            self.queue.linger(_RETRY_S)
            return
        waited = time.monotonic()
        while not self.queue.wait(_REFRESH_S if self.writer.condition == "open" else _LOOK_AGAIN_S):
            self._prepare(self._refresh)
            self.writer.look_again()
        if time.monotonic() - waited < _LINGER_S:
            self.queue.linger(_LINGER_S)

    def _prepare(self, prepare: Callable[[], None]) -> None:
        try:
            prepare()
        except BaseException as error:  # noqa: BLE001 - a data file that can't be read must not stop the recorder
            report(logger, logging.ERROR, "capture_unprepared", "could not prepare capture: %s", describe(error))

    def _record(self) -> None:
        """Encode what is new, as nothing raw may wait for a journal that can't be written. Then commit what waits."""
        self._prepare(self._refresh)
        taken = self.queue.take()
        self._waiting += taken.waiting
        self._encode(taken)
        if not self._encoded:
            self.writer.write()
        while self._encoded:
            self.writer.write(self._encoded[0])
            del self._encoded[0]
        self._on_commit()
        self._tell()

    def _tell(self) -> None:
        self.rounds += 1
        waiting, self._waiting = self._waiting, []
        for tell in waiting:
            with contextlib.suppress(Exception):  # an event loop that has ended since
                tell()

    def _encode(self, taken: Taken) -> None:
        for start in range(0, len(taken.entries), _MAX_COMMIT):
            part = taken.entries[start : start + _MAX_COMMIT]
            encoded = self._encoder.encode(self._make([item for item, _ in part]))
            self.queue.settle(len(part) - encoded.total, sum(size for _, size in part) - encoded.size)
            if encoded.total:
                self._encoded.append(encoded)

    def _make(self, items: Sequence[Item]) -> list[Event]:
        """The events that come of the items; those that don't are counted."""
        return [event for item in items if (event := item if isinstance(item, Event) else self._work(item)) is not None]

    def _work(self, work: Work) -> Event | None:
        try:
            made = work()
        except BaseException as error:  # noqa: BLE001 - one bad event must not stop the others; a Rust engine's panic is none
            self._refuse(error)
            return None
        if isinstance(made, Event):
            return made
        self.queue.drop(made)
        return None

    def _refuse(self, error: BaseException) -> None:
        self.queue.drop("capture_failed")
        report(logger, logging.ERROR, "capture_failed", "an event could not be made: %s", describe(error))

    def _give_up(self, reason: str) -> None:
        self._encoded = []
        if count := self.queue.drop_taken(reason):
            text = "%d events are lost, since they could not be committed: %s"
            report(logger, logging.ERROR, reason, text, count, self.writer.problem or reason, count=count)
