"""The deliverer: one thread a sink, that brings what the journal holds to it. One process of a host does, by a lock."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import random
import re
import threading
import time
from pathlib import Path

import apsw
import msgspec

from centtrack.delivery.journal import Journal
from centtrack.delivery.records import StoredBatch
from centtrack.delivery.selection import DeadLetter, has_coarse_times, select_events, select_lines
from centtrack.delivery.withholding import Withhold
from centtrack.errors import Rejected, RetryLater
from centtrack.locks import FileLock
from centtrack.sinks.base import Batch, Sink, name_of

logger = logging.getLogger(__name__)

MAX_BATCH = 10_000
_POLL_S = 0.25  # how soon commits of other workers are seen
_LOCK_POLL_S = 0.5
_LINGER_S = 0.5  # events gather, so that a sink gets few large batches under load
_DRAIN_POLL_S = 0.05
_TIDY_AFTER_S = 1.0
_FIRST_BACKOFF_S = 0.5
_MAX_BACKOFF_S = 30.0


class Deliverer:
    """Delivers to one sink.

    Args:
        path: the journal.
        sink: where to.
        withhold: which events it may not have; None: it may have all.
    """

    def __init__(self, path: Path, sink: Sink, withhold: Withhold | None = None) -> None:
        self.sink = sink
        self.name = name_of(sink)
        self._path = path
        self._withhold = withhold
        self._lock = FileLock(path.with_name(f"{path.stem}-{_file_name(self.name)}.lock"))
        self._linger_s = float(getattr(sink, "linger_s", _LINGER_S))
        self._wake = threading.Event()
        self._draining = threading.Event()
        self._deadline = float("inf")
        self._failures = 0
        self._complained = False
        self._thread = threading.Thread(target=self._run, name=f"centtrack-deliver-{self.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something new."""
        self._wake.set()

    def drain(self, timeout_s: float) -> None:
        """Ask the thread to deliver what is there, without gathering, and to end; until the deadline at most."""
        self._deadline = time.monotonic() + timeout_s
        self._draining.set()
        self._wake.set()

    def join(self) -> bool:
        """Wait for the thread until the deadline; False if it is still at it."""
        if self._thread.is_alive():
            left_s = max(0.0, self._deadline - time.monotonic())
            self._thread.join(min(left_s, threading.TIMEOUT_MAX))
        return not self._thread.is_alive()

    # In the thread.

    def _run(self) -> None:
        while not self._is_over():
            try:
                if self._lock.acquire(blocking=False):
                    return self._deliver_all()
                if self._draining.is_set() and self._is_drained():
                    return None
                self._complained = False
            except Exception as error:  # noqa: BLE001 - whatever it is, the next try may work
                self._complain(error)
            finally:
                self._lock.close()
            self._pause(_LOCK_POLL_S)
        return None

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            logger.error("delivery to %s is held up: %s: %s", self.name, type(error).__name__, error)
        self._complained = True

    def _pause(self, seconds: float) -> None:
        """Wait; while draining only for a moment."""
        if self._draining.is_set():
            time.sleep(min(seconds, _DRAIN_POLL_S))
        else:
            self._draining.wait(seconds)

    def _is_over(self) -> bool:
        return time.monotonic() >= self._deadline

    def _is_drained(self) -> bool:
        """Whether the process that holds the lock has delivered all there is."""
        journal = Journal(self._path)
        journal.open()
        try:
            return not journal.has_pending(self.name)
        finally:
            journal.close()

    def _deliver_all(self) -> None:
        journal = Journal(self._path)
        journal.open()
        try:
            journal.register(self.name)
            if not self._open_sink(journal):
                return
            self._deliver_until_over(journal)
            journal.tidy()
        finally:
            journal.close()
            with contextlib.suppress(Exception):
                getattr(self.sink, "close", lambda: None)()

    def _open_sink(self, journal: Journal) -> bool:
        """Open the sink, as often as it takes; False when the time is over."""
        while not self._is_over():
            try:
                getattr(self.sink, "open", lambda: None)()
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - deltalake's PanicException isn't an Exception
                self._back_off(journal, error)
            else:
                return True
        return False

    def _deliver_until_over(self, journal: Journal) -> None:
        idle_since: float | None = None
        while not self._is_over():
            if self._deliver_next(journal):
                idle_since = time.monotonic()
                self._gather()
            elif self._draining.is_set():
                return
            else:
                if idle_since is not None and time.monotonic() - idle_since > _TIDY_AFTER_S:
                    journal.tidy()
                    idle_since = None
                self._wake.wait(_POLL_S)
                self._wake.clear()

    def _gather(self) -> None:
        """Let events gather for the next batch, as long as the sink likes."""
        if self._linger_s:
            self._draining.wait(self._linger_s)

    def _deliver_next(self, journal: Journal) -> bool:
        """Deliver one batch; False if there was none, or it has to be tried again."""
        while journal.release(time.time()):
            pass
        stored = journal.next_batch(self.name, MAX_BATCH)
        if stored is None:
            return False
        return self._deliver(journal, stored, decoded=self._withhold is not None or has_coarse_times(stored))

    def _deliver(self, journal: Journal, stored: StoredBatch, *, decoded: bool) -> bool:
        stream = f"{journal.id}/{self.name}"
        chosen = select_events(stored, stream, self._withhold) if decoded else select_lines(stored, stream)
        to_write = stored.total - len(chosen.dead) - chosen.withheld.total()
        try:
            rejected = self._write(chosen.batch) if to_write else []
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - deltalake's PanicException isn't an Exception
            if isinstance(error, msgspec.DecodeError) and not decoded:
                return self._deliver(journal, stored, decoded=True)
            self._back_off(journal, error)
            return False
        self._failures = 0
        journal.advance(self.name, stored.last, to_write - len(rejected), chosen.dead + rejected, chosen.withheld)
        return True

    def _write(self, batch: Batch) -> list[DeadLetter]:
        """Write a batch; one with a rejected event is halved until that event is alone. Returns the rejected ones."""
        try:
            self.sink.write(batch)
        except Rejected as error:
            if len(batch) == 1:
                return [(f"rejected: {error}", msgspec.json.encode(batch[0]))]
        else:
            return []
        middle = len(batch) // 2
        # A part has a stream of its own, named by its bounds: in the batch's stream its number would be taken.
        return [
            letter
            for start, stop in ((0, middle), (middle, len(batch)))
            for letter in self._write(
                Batch(
                    batch[start:stop],
                    stream=f"{batch.stream}/{batch.sequence}:{start}-{stop}",
                    sequence=batch.sequence,
                    repeated=batch.repeated,
                )
            )
        ]

    def _back_off(self, journal: Journal, error: BaseException) -> None:
        """Note the failure and wait: full jitter, growing, at most 30 s, and at least as long as the sink asked for."""
        self._failures += 1
        reason = f"{type(error).__name__}: {error}"[:500]
        if self._failures == 1:
            logger.error("delivery to %s fails and is tried again: %s", self.name, reason)
        with contextlib.suppress(apsw.Error, OSError):
            journal.note_error(self.name, reason)
        longest = min(_MAX_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** min(self._failures - 1, 10))
        wait_s = random.uniform(0, longest)  # noqa: S311 - jitter, not a secret
        if isinstance(error, RetryLater) and error.after_s:
            wait_s = max(wait_s, error.after_s)
        until = time.monotonic() + wait_s
        while (left := until - time.monotonic()) > 0 and not self._is_over():
            self._pause(left)


def _file_name(name: str) -> str:
    """A sink's name as part of a file's name."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40]
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
