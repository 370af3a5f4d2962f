"""The carrier: brings what an open journal holds to one sink, batch by batch, whatever the sink does."""

from __future__ import annotations

import contextlib
import logging
import threading
import time

import apsw

from centtrack.delivery import clock
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.records import StoredBatch
from centtrack.delivery.sending.attempt import HANGS_AFTER_S, NoAnswerError
from centtrack.delivery.sending.backoff import Backoff
from centtrack.delivery.sending.ending import Ending
from centtrack.delivery.sending.outlet import Outlet
from centtrack.delivery.sending.progress import Progress
from centtrack.delivery.sending.selection import DeadLetter, Selection, Selector
from centtrack.errors import ConfigurationError, JournalError, RetryLater
from centtrack.logs import describe, report
from centtrack.policy.policy import PrivacyPolicy
from centtrack.policy.recipients import recipient_of
from centtrack.sinks.base import Sink, UnreadableBatchError, name_of

logger = logging.getLogger(__name__)

MAX_BATCH = 10_000
PAUSE_S = 30.0  # between attempts while somebody has to mend the configuration
HOUSEKEEPING_S = 60.0
_POLL_S = 0.25  # how soon commits of other workers are seen
_LINGER_S = 0.5  # events gather, so that a sink gets few large batches under load
_TIDY_AFTER_S = 1.0
_LOOK_UP_S = 1.0  # how soon a journal that was removed is noticed


class Carrier:
    """Delivers to one sink, in the thread of its deliverer.

    Args:
        journal: where from.
        sink: where to.
        policy: the one in force; None: the sink gets all as it was recorded.
        wake: set when there is something new.
        ending: when to end.
    """

    def __init__(
        self, journal: Journal, sink: Sink, policy: PrivacyPolicy | None, wake: threading.Event, ending: Ending
    ) -> None:
        self.name = name_of(sink)
        self.outlet = Outlet(sink, self._note_hanging)
        self.progress = Progress(self.name)
        self._journal = journal
        self._selector = Selector(policy, self.name, journal.consent_hash_of)
        self._retention_days = recipient_of(policy.document, self.name).retention if policy else None
        self._linger_s = float(getattr(sink, "linger_s", _LINGER_S))
        self._wake = wake
        self._ending = ending
        self._backoff = Backoff()
        self._housekeeping_at = 0.0
        self._look_at = 0.0
        self._paused_for = ""
        self._newest: int | None = None  # row, when the end was asked for

    def deliver_until_over(self) -> None:
        """Deliver what there is and what comes, until the deadline, or until all is delivered that may be waited for.

        Raises:
            JournalError, apsw.Error, OSError: if the journal fails.
        """
        idle_since: float | None = None
        while not self._ending.is_over():
            is_last = self._ending.has_begun()  # asked before looking: what is committed by then must be found
            self._keep_house()
            if self._backoff.left_s or self.outlet.is_stuck:
                if self._ending.comes_within(self._backoff.left_s):
                    return
                self._ending.pause(min(self._backoff.left_s or _LOOK_UP_S, _LOOK_UP_S))
            elif count := self._deliver_next():
                idle_since = time.monotonic()
                if is_last and self._is_done():
                    return
                if count < MAX_BATCH:  # else there is more, and nothing to wait for
                    self._ending.sleep(self._linger_s)
            elif not self._backoff.left_s:
                if is_last:
                    return
                idle_since = self._idle(idle_since)

    def _is_done(self) -> bool:
        """Whether all is delivered that was there when the end was asked for: other workers may go on recording."""
        if self._newest is None:
            self._newest = self._journal.newest_row()
        return not self._journal.has_pending(self.name, self._newest)

    def _idle(self, since: float | None) -> float | None:
        """Wait for something new; tidy up after a while of that."""
        if since is not None and time.monotonic() - since > _TIDY_AFTER_S:
            self._journal.tidy()
            since = None
        self._wake.wait(_POLL_S)
        self._wake.clear()
        return since

    def _keep_house(self) -> None:
        """What is to be done now and then, also while the sink fails: events wait no longer than they may."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_UP_S
            with self._journal.transaction():
                pass  # finds out whether the file was removed or replaced, which reading it doesn't
        if time.monotonic() >= self._housekeeping_at:
            self._housekeeping_at = time.monotonic() + HOUSEKEEPING_S
            self._journal.housekeep(self.name, self._retention_days)
        self.progress.measure(self._journal)

    def _deliver_next(self) -> int:
        """Deliver one batch. Returns how many events are done with: 0 if there were none, or they have to wait."""
        while self._journal.release(clock.now()):
            pass
        stored = self._journal.next_batch(self.name, MAX_BATCH)
        try:
            self.outlet.open()
            written = self._write(stored) if stored else None
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - deltalake's PanicException isn't an Exception
            self._fail(error)
            return 0
        if stored and written:
            self._advance(stored, *written)
        self._succeed()
        return stored.total + stored.damaged if stored else 0

    def _write(self, stored: StoredBatch) -> tuple[Selection, list[DeadLetter]]:
        """Give the sink what it may have of a batch. Returns what was chosen, and what of it the sink rejected."""
        stream = f"{self._journal.id}/{self.name}"
        if not self._selector.needs_events(stored):
            lines = self._selector.select_lines(stored, stream)
            # If one of the lines can't be read, which one that is comes out below.
            with contextlib.suppress(UnreadableBatchError):
                return lines, self.outlet.write(lines.batch, stored.total)
        chosen = self._selector.select_events(stored, stream)
        return chosen, self.outlet.write(chosen.batch, len(chosen.batch))

    def _advance(self, stored: StoredBatch, chosen: Selection, rejected: list[DeadLetter]) -> None:
        """Note in the journal what became of a batch."""
        dead, withheld, damaged = chosen.dead + rejected, chosen.withheld, stored.damaged
        delivered = stored.total - len(dead) - withheld.total()
        lost = {"damaged": damaged} if damaged else {}
        self._journal.advance(self.name, stored.last, delivered, dead, withheld, lost=lost)
        self.progress.count(delivered=delivered, withheld=withheld.total(), dead_lettered=len(dead), lost=damaged)
        if dead:
            self._say("dead_letters", "%s: %d events can't be delivered: see `centtrack dead list`", count=len(dead))
        if damaged:
            self._say("damaged", "%s: %d events were damaged on the disk of the journal, and are lost", count=damaged)

    def _succeed(self) -> None:
        if self.progress.state().condition == "delivering":
            return
        self.progress.enter("delivering")
        if self._backoff.has_failed:
            self._say("delivery_goes_on", "delivery to %s goes on", level=logging.INFO)
        self._backoff.succeed()
        self._paused_for = ""
        self._journal.note_error(self.name, None)  # also what an earlier process noted

    def _fail(self, error: BaseException) -> None:
        """Note a failure of the sink, and when to go on. The sink is opened anew."""
        reason = describe(error)
        if isinstance(error, ConfigurationError):
            self._backoff.pause(PAUSE_S)
            self.progress.enter("paused", reason)
            if reason != self._paused_for:
                self._say("delivery_paused", "delivery to %s pauses until this is mended: %s", reason=reason)
            self._paused_for = reason
        else:
            self._backoff.fail(error.after_s if isinstance(error, RetryLater) else None)
            self.progress.enter("hanging" if isinstance(error, NoAnswerError) else "retrying", reason)
            self._say("delivery_fails", "delivery to %s fails and is tried again: %s", reason=reason)
        self.progress.count_retry()
        self._note(reason)
        self.outlet.close()

    def _note_hanging(self) -> None:
        """The sink has had a batch for long, and is waited for."""
        reason = f"no answer for {HANGS_AFTER_S:g} s"
        is_new = self.progress.state().condition != "hanging"
        self.progress.enter("hanging", reason)
        self._say("delivery_hangs", "delivery to %s hangs and is waited for: %s", reason=reason)
        with contextlib.suppress(apsw.Error, OSError, JournalError):  # the call goes on: nothing may be raised here
            if is_new:
                self._journal.note_error(self.name, reason)
            self._keep_house()

    def _note(self, reason: str) -> None:
        with contextlib.suppress(apsw.Error, OSError, JournalError):
            self._journal.note_error(self.name, reason)

    def _say(self, event: str, message: str, level: int = logging.ERROR, **fields: object) -> None:
        report(logger, level, event, message, self.name, *fields.values(), sink=self.name, **fields)
