"""The recorder: a bounded queue that a request appends to and never waits, and the thread that commits it."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import apsw

from centtrack.consent.inventory import Inventory
from centtrack.delivery.encoding import EventEncoder
from centtrack.delivery.journal import Journal
from centtrack.delivery.journal_file import JournalGoneError
from centtrack.delivery.records import Encoded
from centtrack.errors import JournalError
from centtrack.event import Event

logger = logging.getLogger(__name__)

MAX_QUEUED = 8_192
_MAX_COMMIT = 1_024
_LINGER_S = 0.010  # under load only: after a quiet time the first event is committed at once
_RETRY_S = 0.5
_REFRESH_S = 60.0  # how often a quiet recorder looks after geo databases and salts

Work = Callable[[], Event | str]
"""Makes an event; or tells, in one word, why there is none."""

Totals = Mapping[tuple[str, str], int]
"""(counter, reason) → how often, since the process began."""


class Recorder:
    """Takes events from requests and commits them to the journal, from a thread of its own.

    Args:
        path: the journal.
        sinks: names of the sinks that get what is recorded from now on.
        warm: called in the thread before anything else: builds engines, opens databases.
        refresh: called in the thread before events are made, and once a minute: looks for new files, ends old salts.
        totals: what capture has counted besides: what was scrubbed, by kind, and what went wrong.
        written: what of these is in the journal already: earlier recorders of this process wrote it.
        on_commit: called in the thread after each commit.
        bucket_s: length of the buckets of time that events are held for, in seconds; None: they aren't.
        inventory: of cookies, which is emptied into the journal in the thread, with the events.
    """

    def __init__(
        self,
        path: Path,
        *,
        sinks: Sequence[str] = (),
        warm: Callable[[], None] = lambda: None,
        refresh: Callable[[], None] = lambda: None,
        totals: Callable[[], Totals] = dict,
        written: Totals | None = None,
        on_commit: Callable[[], None] = lambda: None,
        bucket_s: int | None = None,
        inventory: Inventory | None = None,
    ) -> None:
        self.worker = f"{os.getpid()}-{secrets.token_hex(2)}"
        self.is_warm = False
        self._path = path
        self._sinks = sinks
        self._warm = warm
        self._refresh = refresh
        self._totals = totals
        self._on_commit = on_commit
        self._inventory = inventory
        self._queue: list[Event | Work] = []
        self._flushes: list[threading.Event] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._offered = 0
        self._dropped: Counter[str] = Counter()
        self._written: Counter[tuple[str, str]] = Counter(written or {})
        self._encoder = EventEncoder(bucket_s, self._refuse)
        self._closing = False
        self._has_ended = False
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="centtrack-recorder", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def offer(self, item: Event | Work | str) -> bool:
        """Append an event, what will make one, or the reason why there is none. Never waits.

        At a full queue the event is dropped and counted. False, and nothing is counted, if the recorder has ended.
        """
        with self._lock:
            if self._has_ended:
                return False
            self._offered += 1
            if isinstance(item, str):
                self._dropped[item] += 1
            elif len(self._queue) >= MAX_QUEUED:
                self._dropped["queue_full"] += 1
            else:
                self._queue.append(item)
        if not self._wake.is_set():
            self._wake.set()
        return True

    def _drop(self, reason: str) -> None:
        with self._lock:
            self._dropped[reason] += 1

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was offered before is committed or dropped; False if that took too long."""
        if not self._thread.is_alive():
            return False
        done = threading.Event()
        with self._lock:
            self._flushes.append(done)
        self._wake.set()
        return done.wait(timeout_s)

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
            self._persist(journal, partial(self._begin, journal))
            self._warm_up()
            while self._commit_next(journal):
                pass
            self._end(journal)
        except Exception:
            logger.exception("the recorder stopped: what is offered from now on is dropped")
        finally:
            with contextlib.suppress(apsw.Error, OSError):
                journal.close()

    def _begin(self, journal: Journal) -> None:
        journal.close()
        journal.open()
        for sink in self._sinks:
            journal.register(sink)
        journal.begin_worker(self.worker, os.getpid())

    def _warm_up(self) -> None:
        self._prepare(self._warm)
        self.is_warm = True

    def _prepare(self, prepare: Callable[[], None]) -> None:
        try:
            prepare()
        except Exception as error:  # noqa: BLE001 - a data file that can't be read must not stop the recorder
            if type(error).__name__ != self._trouble:
                self._trouble = type(error).__name__
                logger.error("could not prepare capture: %s", self._trouble)

    def _end(self, journal: Journal) -> None:
        """Commit what was offered meanwhile, take no more, and note a clean end."""
        while True:
            with self._lock:
                items, self._queue = self._queue, []
                self._has_ended = not items
            encoded = self._encoder.encode(self._make(items))
            self._persist(journal, partial(self._append, journal, encoded), lost=encoded.total)
            if not items:
                break
            self._on_commit()
        with contextlib.suppress(apsw.Error, OSError, JournalError):
            journal.end_worker(self.worker)

    def _commit_next(self, journal: Journal) -> bool:
        """Wait for something, and commit it; False when it was the last."""
        self._wait()
        self._prepare(self._refresh)
        with self._lock:
            items, self._queue = self._queue, []
            flushes, self._flushes = self._flushes, []
        for start in range(0, len(items) or 1, _MAX_COMMIT):
            encoded = self._encoder.encode(self._make(items[start : start + _MAX_COMMIT]))
            self._persist(journal, partial(self._append, journal, encoded), lost=encoded.total)
        self._on_commit()
        for done in flushes:
            done.set()
        return not (self._closing and flushes)

    def _wait(self) -> None:
        """Until there is something; under load a little longer, so that it is more."""
        waited = time.monotonic()
        while not self._wake.wait(_REFRESH_S):
            self._prepare(self._refresh)
        if time.monotonic() - waited < _LINGER_S and not self._flushes:
            time.sleep(_LINGER_S)
        self._wake.clear()

    def _make(self, items: Sequence[Event | Work]) -> list[Event]:
        """The events that come of the items; those that don't are counted."""
        return [event for item in items if (event := item if isinstance(item, Event) else self._work(item)) is not None]

    def _work(self, work: Work) -> Event | None:
        try:
            made = work()
        except Exception as error:  # noqa: BLE001 - one bad event must not stop the others
            self._refuse(error)
            return None
        if isinstance(made, Event):
            return made
        self._drop(made)
        return None

    def _refuse(self, error: Exception) -> None:
        self._drop("capture_failed")
        logger.error("an event could not be made: %s", type(error).__name__)

    def _append(self, journal: Journal, encoded: Encoded) -> None:
        counts = self._new_counts(encoded.total)
        cookies = self._inventory.drain() if self._inventory else []
        if not counts and not cookies:
            return
        try:
            journal.append(encoded, worker=self.worker, counts=counts, cookies=cookies)
        except BaseException:
            if self._inventory:
                self._inventory.restore(cookies)
            raise
        self._written.update(counts)

    def _new_counts(self, accepted: int) -> dict[tuple[str, str], int]:
        """What was counted since the last commit."""
        with self._lock:
            totals = {("offered", ""): self._offered, **{("dropped", why): n for why, n in self._dropped.items()}}
        totals.update(self._totals())
        new = {key: total - self._written[key] for key, total in totals.items() if total > self._written[key]}
        return {**new, ("accepted", ""): accepted} if accepted else new

    def _persist(self, journal: Journal, work: Callable[[], None], lost: int = 0) -> None:
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
                    with self._lock:
                        self._dropped["journal_failed"] += lost
                    return None
                self._recover(journal, error)

    def _recover(self, journal: Journal, error: Exception) -> None:
        """Open a journal anew that was removed; else wait, with what is queued reduced: nothing raw may wait long."""
        if isinstance(error, JournalGoneError):
            with contextlib.suppress(apsw.Error, OSError, JournalError):
                return self._begin(journal)
        with self._lock:
            items, self._queue = self._queue, []
        made = self._make(items)
        with self._lock:
            self._queue[:0] = made
        time.sleep(_RETRY_S)
        return None
