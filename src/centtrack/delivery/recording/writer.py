"""Writes what a worker records into the journal: events, with the counters that account for them."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import apsw

from centtrack.consent.inventory import Inventory
from centtrack.delivery.journal import workers
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.journal.journal_file import JournalGoneError
from centtrack.delivery.journal.quota import JournalFullError
from centtrack.delivery.journal.set_aside import JournalDamagedError, is_damage
from centtrack.delivery.recording.queue import EventQueue
from centtrack.delivery.records import Encoded, Limits
from centtrack.delivery.state import JournalCondition
from centtrack.errors import JournalError
from centtrack.logs import describe, report
from centtrack.policy.policy import PrivacyPolicy

logger = logging.getLogger(__name__)

TROUBLE = (apsw.Error, OSError, JournalError)
"""What may be raised while the journal can't be used."""

NOTHING = Encoded(0, b"", [])
_MEASURE_S = 1.0

Totals = Mapping[tuple[str, str], int]
"""(counter, reason) → how often, since the process began."""


class JournalWriter:
    """One worker's hand on the journal, for one thread.

    Args:
        path: the journal.
        queue: whose counts are written.
        sinks: names of the sinks that get what is recorded from now on.
        policy: the one in force, if it is to be known to those that deliver later under another.
        limits: when the journal takes no more.
        is_synced: whether each commit waits until it is on the disk.
        totals: what capture has counted besides.
        written: tells, when the journal is first written, what of these is in it already: earlier recorders of this
            process wrote it.
        inventory: of cookies, which is emptied into the journal with the events.

    Attributes:
        worker: the name that its counters go by.
        accepted: events that were committed.
        condition: of the journal.
        problem: what is wrong with it, if anything is.
        journal_bytes: what it uses; None before it is open.
    """

    def __init__(
        self,
        path: Path,
        queue: EventQueue,
        *,
        sinks: Sequence[str],
        policy: PrivacyPolicy | None,
        limits: Limits,
        is_synced: bool,
        totals: Callable[[], Totals],
        written: Callable[[], Totals],
        inventory: Inventory | None,
    ) -> None:
        self.worker = f"{os.getpid()}-{secrets.token_hex(4)}"
        self.accepted = 0
        self.condition: JournalCondition = "closed"
        self.problem: str | None = None
        self.journal_bytes: int | None = None
        self._journal = Journal(path, limits=limits, is_synced=is_synced)
        self._queue = queue
        self._sinks = sinks
        self._policy = policy
        self._totals = totals
        self._written: Counter[tuple[str, str]] = Counter()
        self._written_before = written
        self._inventory = inventory
        self._was_open = False
        self._is_open = False
        self._measured = 0.0

    def write(self, events: Encoded = NOTHING) -> None:
        """Commit events and what was counted. Opens the journal, if need be; sets a corrupt one aside.

        Events that the journal's limits don't let in are dropped, and counted.

        Raises:
            apsw.Error, OSError, JournalError: if it can't be written at present. Nothing was.
        """
        try:
            self._open_and_append(events)
        except JournalGoneError:
            self._is_open = False
            self._open_and_append(events)
        except (apsw.Error, JournalDamagedError) as error:
            if not is_damage(error):
                raise
            self._is_open = False
            self._journal.set_aside(error)
            self._open_and_append(events)
        self._measure()

    def degrade(self, error: Exception) -> None:
        """Note that the journal can't be written at present."""
        self.condition, self.problem = "degraded", describe(error)
        self._is_open = False
        text = "the journal can't be written, events wait in memory: %s"
        report(logger, logging.ERROR, "journal_unavailable", text, self.problem, path=str(self._journal.path))

    def look_again(self) -> None:
        """See whether the journal takes events again: health would say that it doesn't until the next one comes."""
        if self.condition in {"degraded", "full"}:
            with contextlib.suppress(*TROUBLE):
                if not self._is_open:
                    self._open()
                self._journal.check_room()
                self._recover()

    def written(self) -> dict[tuple[str, str], int]:
        """What of the capture's totals is in the journal."""
        return {key: self._written[key] for key in self._totals()}

    def end(self) -> None:
        """Write the last counters, and note a clean end.

        Raises:
            apsw.Error, OSError, JournalError: as `write` does.
        """
        self.write()
        self._journal.end_worker(self.worker)

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def _open_and_append(self, events: Encoded) -> None:
        if not self._is_open:
            self._open()
        try:
            self._append(events)
        except JournalFullError as error:
            self._queue.drop(error.reason, events.total)
            self._queue.settle(events.total, events.size)
            self._fill_up(error)
            with contextlib.suppress(*TROUBLE):  # on a disk without a byte left the counters come later
                self._append(NOTHING)
        else:
            if events.total:
                self._recover()

    def _open(self) -> None:
        journal = self._journal
        journal.close()
        journal.open()
        for sink in self._sinks:
            journal.register(sink)
        if self._policy is not None:
            journal.note_policy(self._policy.hash, self._policy.consent_hash)
        journal.begin_worker(self.worker, os.getpid())
        if self._was_open:
            self._resume()
        else:
            self._written = Counter(self._written_before())
            self._written_before = dict  # which holds on to the earlier ones
        self._was_open = self._is_open = True
        self._recover()

    def _resume(self) -> None:
        """In another journal, which may have taken over the counters of a damaged one."""
        with self._journal.transaction() as database:
            known = workers.resume(database, self.worker, self.accepted)
        if known:
            self._written = Counter(known)
            self._written["accepted", ""] = self.accepted
        else:
            self._written = Counter(self._all_totals(self.accepted))
            self._written["offered", ""] -= self._queue.counts().entries

    def _append(self, events: Encoded) -> None:
        accepted = self.accepted + events.total
        totals = self._all_totals(accepted)
        counts = {key: total - self._written[key] for key, total in totals.items() if total > self._written[key]}
        cookies = self._inventory.drain() if self._inventory else []
        if not counts and not cookies:
            return
        try:
            self._journal.append(events, worker=self.worker, counts=counts, cookies=cookies)
        except BaseException:
            if self._inventory:
                self._inventory.restore(cookies)
            raise
        self._written.update(counts)
        self.accepted = accepted
        self._queue.settle(events.total, events.size)

    def _all_totals(self, accepted: int) -> dict[tuple[str, str], int]:
        counts = self._queue.counts()
        dropped = {("dropped", reason): count for reason, count in counts.dropped.items()}
        return {("offered", ""): counts.offered, ("accepted", ""): accepted, **dropped, **self._totals()}

    def _recover(self) -> None:
        if self.condition in {"degraded", "full"}:
            text = "the journal is written again"
            report(logger, logging.WARNING, "journal_recovered", text, path=str(self._journal.path))
        self.condition, self.problem = "open", None

    def _fill_up(self, error: JournalFullError) -> None:
        self.condition, self.problem = "full", str(error)
        text = "the journal takes no more, new events are dropped: %s"
        report(logger, logging.ERROR, "journal_full", text, error, path=str(self._journal.path), reason=error.reason)

    def _measure(self) -> None:
        if time.monotonic() - self._measured >= _MEASURE_S:
            self._measured = time.monotonic()
            with contextlib.suppress(*TROUBLE):  # what was to be committed is
                self.journal_bytes = self._journal.used_bytes
