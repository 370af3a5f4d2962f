"""The deliverer: one thread a sink, that brings what the journal holds to it. One process of a host does, by a lock."""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from pathlib import Path

from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.journal.journal_file import JournalGoneError
from centtrack.delivery.journal.set_aside import is_damage
from centtrack.delivery.records import DEFAULT_LIMITS, Limits
from centtrack.delivery.sending.carrier import Carrier
from centtrack.delivery.sending.ending import Ending
from centtrack.delivery.state import SinkState
from centtrack.folders import make_private_folder
from centtrack.locks import FileLock
from centtrack.logs import describe, report
from centtrack.policy.policy import PrivacyPolicy
from centtrack.sinks.base import Sink, name_of

logger = logging.getLogger(__name__)

_LOCK_POLL_S = 0.5


class Deliverer:
    """Delivers to one sink.

    Args:
        path: the journal.
        sink: where to.
        policy: the one in force: what the sink may not have, what is to be reduced again, how long events may wait.
            None: the sink gets all as it was recorded.
        limits: of the journal.
    """

    def __init__(
        self, path: Path, sink: Sink, policy: PrivacyPolicy | None = None, *, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self.sink = sink
        self.name = name_of(sink)
        self._journal = Journal(path, limits=limits)
        self._lock = FileLock(path.with_name(f"{path.name}-{_file_name(self.name)}.lock"))
        self._wake = threading.Event()
        self._ending = Ending()
        self._newest: int | None = None  # row, when the end was asked for
        self._carrier = Carrier(self._journal, sink, policy, self._wake, self._ending)
        self._thread = threading.Thread(target=self._run, name=f"centtrack-deliver-{self.name}", daemon=True)

    def start(self) -> None:
        """Start the threads."""
        self._carrier.outlet.start()
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something new."""
        self._wake.set()

    def drain(self, timeout_s: float) -> None:
        """Ask the thread to deliver what is there, without gathering, and to end; until the deadline at most."""
        self._ending.begin(timeout_s)
        self._wake.set()

    def join(self) -> bool:
        """Wait for the thread until the deadline; False if it is still at it: a call to the sink hangs."""
        if self._thread.is_alive():
            self._thread.join(min(self._ending.left_s, threading.TIMEOUT_MAX))
        return not self._thread.is_alive()

    def state(self) -> SinkState:
        """How it is doing. Cheap, and from any thread."""
        return self._carrier.progress.state()

    # In the thread.

    def _run(self) -> None:
        problem = None
        try:
            while not self._ending.is_over() and not self._take_turn():
                self._ending.pause(_LOCK_POLL_S)
            problem = self.state().problem
        except (SystemExit, KeyboardInterrupt) as error:
            problem = describe(error)
            self._say("delivery_ended", "delivery to %s has ended in this process: its sink raised %s", problem)
        finally:
            self._carrier.outlet.end()
            self._carrier.progress.enter("ended", problem)

    def _take_turn(self) -> bool:
        """Deliver, if no other process does. True when there is nothing left to do before the end."""
        try:
            make_private_folder(self._journal.path.parent)
            if not self._lock.path.exists():
                self._check_journal()
            if self._lock.acquire(blocking=False):
                self._deliver()
                return True
            self._carrier.progress.enter("standby")
            return self._ending.has_begun() and self._is_drained()
        except JournalGoneError:
            return False  # opened anew, it is another one
        except Exception as error:  # noqa: BLE001 - whatever it is, the next try may work
            reason = describe(error)
            self._carrier.progress.enter("retrying", reason)
            self._say("delivery_held_up", "delivery to %s is held up: %s", reason)
            return False
        finally:
            self._lock.close()

    def _say(self, event: str, message: str, reason: str) -> None:
        report(logger, logging.ERROR, event, message, self.name, reason, sink=self.name, reason=reason)

    def _check_journal(self) -> None:
        """See whether it is one, so that no lock file stays behind beside another program's file."""
        self._journal.open()
        self._journal.close()

    def _is_drained(self) -> bool:
        """Whether the process that holds the lock has delivered all there was when the end was asked for.

        What others record since isn't waited for: they go on with it.
        """
        self._journal.open()
        try:
            if self._newest is None:
                self._newest = self._journal.newest_row()
            return not self._journal.has_pending(self.name, self._newest)
        finally:
            self._journal.close()

    def _deliver(self) -> None:
        try:
            self._journal.open()
            self._journal.register(self.name)
            self._carrier.deliver_until_over()
            self._journal.tidy()
        except Exception as error:
            if is_damage(error):
                self._journal.set_aside(error)
                raise JournalGoneError(f"journal {self._journal.path} was set aside") from error
            raise
        finally:
            self._journal.close()
            self._carrier.outlet.close()


def _file_name(name: str) -> str:
    """A sink's name as part of a file's name."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40]
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
