"""The recorder: a bounded queue that a request appends to and never waits, and the thread that commits it."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

import apsw
import msgspec

from centtrack.delivery.journal import ImportProgress, Journal
from centtrack.errors import JournalError
from centtrack.event import Event

logger = logging.getLogger(__name__)

MAX_QUEUED = 8_192
_MAX_COMMIT = 1_024
_LINGER_S = 0.010  # under load only: after a quiet time the first event is committed at once
_RETRY_S = 0.5

Work = Callable[[], Event | str]
"""Makes an event; or tells, in one word, why there is none."""


class _Flush(NamedTuple):
    done: threading.Event


class Recorder:
    """Takes events from requests and commits them to the journal, from a thread of its own.

    Args:
        path: the journal.
        sinks: names of the sinks that get what is recorded from now on.
        warm: called in the thread before anything else: builds engines, opens databases.
        on_commit: called in the thread after each commit.
        bucket_s: length of the buckets of time that events are held for, in seconds; None: they aren't.
    """

    def __init__(
        self,
        path: Path,
        *,
        sinks: Sequence[str] = (),
        warm: Callable[[], None] = lambda: None,
        on_commit: Callable[[], None] = lambda: None,
        bucket_s: int | None = None,
    ) -> None:
        self.worker = f"{os.getpid()}-{secrets.token_hex(2)}"
        self.is_warm = False
        self._path = path
        self._sinks = sinks
        self._warm = warm
        self._on_commit = on_commit
        self._bucket_s = bucket_s
        self._queue: SimpleQueue[Event | Work | _Flush] = SimpleQueue()
        self._lock = threading.Lock()
        self._offered = 0
        self._dropped: Counter[str] = Counter()
        self._written: Counter[tuple[str, str]] = Counter()
        self._encoder = msgspec.json.Encoder()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="centtrack-recorder", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def offer(self, item: Event | Work | str) -> None:
        """Append an event, what will make one, or the reason why there is none.

        Never waits; at a full queue the event is dropped and counted.
        """
        with self._lock:
            self._offered += 1
        if isinstance(item, str):
            self._drop(item)
        elif self._queue.qsize() >= MAX_QUEUED:
            self._drop("queue_full")
        else:
            self._queue.put(item)

    def _drop(self, reason: str) -> None:
        """Count an offered event as dropped."""
        with self._lock:
            self._dropped[reason] += 1

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was offered before is committed or dropped; False if that took too long."""
        if not self._thread.is_alive():
            return False
        flush = _Flush(threading.Event())
        self._queue.put(flush)
        return flush.done.wait(timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Flush, end the thread and note a clean end. False if the time was too short."""
        self._closing = True
        flushed = self.flush(timeout_s)
        if flushed:
            self._thread.join(timeout_s)
        return flushed and not self._thread.is_alive()

    # In the thread.

    def _run(self) -> None:
        journal = Journal(self._path)
        try:
            self._warm_up()
            self._begin(journal)
            while self._commit_next(journal):
                pass
            self._end(journal)
        except Exception:
            logger.exception("the recorder stopped: events are dropped from now on")
        finally:
            with contextlib.suppress(apsw.Error, OSError):
                journal.close()

    def _warm_up(self) -> None:
        try:
            self._warm()
        except Exception as error:  # noqa: BLE001 - a data file that can't be read must not stop the recorder
            logger.error("could not prepare capture: %s", type(error).__name__)
        self.is_warm = True

    def _begin(self, journal: Journal) -> None:
        def begin() -> None:
            journal.open()
            for sink in self._sinks:
                journal.register(sink)
            journal.begin_worker(self.worker, os.getpid())

        self._persist(begin)

    def _end(self, journal: Journal) -> None:
        with contextlib.suppress(apsw.Error, OSError, JournalError):
            self._append(journal, [])
            journal.end_worker(self.worker)

    def _commit_next(self, journal: Journal) -> bool:
        """Commit what waits, at least one item; False when it was the last."""
        items, flushes = self._take()
        events = [event for item in items if (event := self._make(item)) is not None]
        self._persist(lambda: self._append(journal, events), lost=len(events))
        if events:
            self._on_commit()
        for flush in flushes:
            flush.done.set()
        return not (self._closing and flushes and self._queue.empty())

    def _take(self) -> tuple[list[Event | Work], list[_Flush]]:
        items: list[Event | Work] = []
        flushes: list[_Flush] = []
        waited = time.monotonic()
        item = self._queue.get()
        if not isinstance(item, _Flush) and time.monotonic() - waited < _LINGER_S:
            time.sleep(_LINGER_S)  # busy: gather
        with contextlib.suppress(Empty):
            while True:
                if isinstance(item, _Flush):
                    flushes.append(item)
                else:
                    items.append(item)
                if len(items) >= _MAX_COMMIT:
                    break
                item = self._queue.get_nowait()
        return items, flushes

    def _make(self, item: Event | Work) -> tuple[Event, bytes] | None:
        """The event and its encoding; None, and counted, if there is none."""
        try:
            made = item if isinstance(item, Event) else item()
            if isinstance(made, str):
                self._drop(made)
                return None
            return made, self._encoder.encode(made)
        except Exception as error:  # noqa: BLE001 - one bad event must not stop the others
            self._drop("capture_failed")
            logger.error("an event could not be made: %s", type(error).__name__)
            return None

    def _append(
        self, journal: Journal, events: Sequence[tuple[Event, bytes]], progress: ImportProgress | None = None
    ) -> None:
        counts = self._new_counts(len(events))
        if self._bucket_s is None:
            at_once, held = [encoded for _, encoded in events], []
        else:
            # Held until the bucket ends in which it is committed: an event of a long request must not come out alone.
            release_at = (int(time.time()) // self._bucket_s + 1) * self._bucket_s
            at_once, held = [], [(release_at, event.event_id, encoded) for event, encoded in events]
        if counts or events or progress:
            journal.append(at_once, worker=self.worker, counts=counts, held=held, progress=progress)
            self._written.update(counts)

    def _new_counts(self, accepted: int) -> dict[tuple[str, str], int]:
        """What was counted since the last commit."""
        with self._lock:
            totals = {("offered", ""): self._offered, **{("dropped", why): n for why, n in self._dropped.items()}}
        new = {key: total - self._written[key] for key, total in totals.items() if total > self._written[key]}
        return {**new, ("accepted", ""): accepted} if accepted else new

    def _persist(self, work: Callable[[], None], lost: int = 0) -> None:
        """Do this as soon as the journal allows. Meanwhile events wait in the queue, and are dropped once it's full."""
        complained = False
        while True:
            try:
                return work()
            except (apsw.Error, OSError, JournalError) as error:
                if not complained:
                    logger.error("the journal can't be written, events wait in memory: %s", error)
                    complained = True
                if self._closing:
                    for _ in range(lost):
                        self._drop("journal_failed")
                    return None
                time.sleep(_RETRY_S)
