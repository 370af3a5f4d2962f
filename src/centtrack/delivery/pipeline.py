"""The pipeline: capture, recorder, journal and deliverers of one process, started late and closed in time."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from centtrack.capture.capture import Capture
from centtrack.capture.custom import CustomEvent
from centtrack.capture.observation import Observation
from centtrack.delivery.deliverer import Deliverer
from centtrack.delivery.paths import default_journal
from centtrack.delivery.recorder import Recorder, Totals, Work
from centtrack.delivery.withholding import Withhold, check_third_parties, find_unmatched, make_withholding
from centtrack.errors import ConfigurationError
from centtrack.event import Event
from centtrack.folders import make_private_folder, state_folder
from centtrack.sinks.base import Sink, is_storing, name_of
from centtrack.visitor.daily_key import DAY_S
from centtrack.visitor.salt_file import purge_salts
from centtrack.visitor.salts import open_salts

logger = logging.getLogger(__name__)

COMMIT_WITHIN_S = 2.0
DELIVER_WITHIN_S = 5.0
_MAX_SAID = 64  # problems that are logged: an app may pass on names that its visitors made up


class Pipeline:
    """Takes observations and delivers events. Nothing is opened, and no thread started, before the first use.

    After a fork the child has no threads, so each process starts its own at its first use.

    Args:
        capture: makes events.
        sinks: where to.
        journal: the journal's file; None: one of this app, in the user's state folder.
        salts: where the salts of daily keys are kept, if the policy has these; None: beside the journal.
        debug: whether `track()` raises where it would only count.

    Raises:
        ConfigurationError: if the policy names a third party's sink that isn't among these.
    """

    def __init__(
        self,
        capture: Capture,
        sinks: Sequence[Sink],
        journal: Path | None = None,
        salts: str | Path | None = None,
        *,
        debug: bool = False,
    ) -> None:
        check_third_parties(capture.policy, [name_of(sink) for sink in sinks])
        self.capture = capture
        self.debug = debug
        self.sinks = tuple(sinks)
        self.journal = journal or default_journal(capture.policy.source, map(name_of, sinks))
        storing = any(map(is_storing, sinks))
        self.bucket_s = capture.policy.bucket_s if storing else None
        self._salts = salts or self.journal.with_name("salts")
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._recorder: Recorder | None = None
        self._deliverers: list[Deliverer] = []
        self._written: Totals = {}
        self._said: set[str] = set()

    @property
    def recorder(self) -> Recorder:
        """This process's recorder, started if need be."""
        recorder = self._recorder
        return recorder if recorder is not None and self._owner == os.getpid() else self.start()

    def start(self) -> Recorder:
        """Start the threads of this process, if they don't run yet."""
        if self._owner not in {None, os.getpid()}:
            self._lock = threading.Lock()  # the parent's may have been held when it forked
            self._written = self.capture.totals()  # which the parent writes, as it does what it saw of cookies
            self.capture.inventory.forget()
        with self._lock:
            if self._recorder is not None and self._owner == os.getpid():
                return self._recorder
            with suppress(OSError):  # the recorder says so, and tries again
                make_private_folder(self.journal.parent)
            self._start_salts()
            deliverers = [Deliverer(self.journal, sink, self._withholding(sink)) for sink in self.sinks]
            recorder = Recorder(
                self.journal,
                sinks=[name_of(sink) for sink in self.sinks],
                warm=self._warm,
                refresh=self.capture.refresh,
                totals=self.capture.totals,
                written=self._written,
                inventory=self.capture.inventory,
                on_commit=partial(_wake, deliverers),
                bucket_s=self.bucket_s,
            )
            recorder.start()
            for deliverer in deliverers:
                deliverer.start()
            self._deliverers, self._recorder, self._owner = deliverers, recorder, os.getpid()
            atexit.register(self.close)
        self._say_when()
        self._say_unmatched()
        return recorder

    def _withholding(self, sink: Sink) -> Withhold | None:
        return make_withholding(self.capture.policy, name_of(sink))

    def _warm(self) -> None:
        """In the recorder's thread: this may take its time. Salts that nobody uses any more go."""
        oldest = int(time.time() // DAY_S) - 1
        for path in {self.journal.with_name("salts"), *state_folder().glob("*/salts")}:
            with suppress(OSError, ConfigurationError):
                purge_salts(path, oldest=oldest)
        self.capture.warm()

    def _start_salts(self) -> None:
        """In each process its own: clients must not be shared by a fork."""
        if not self.capture.visitors.makes_keys:
            return
        if "://" not in str(self._salts):
            with suppress(OSError):  # the thread says so, and tries again
                make_private_folder(Path(self._salts).parent)
        self.capture.visitors.salts = open_salts(self._salts)
        self.capture.visitors.salts.start()

    def _say_when(self) -> None:
        names = ", ".join(map(name_of, self.sinks))
        if not self.capture.secrets:
            self.say_once(
                "no secret is given, so consent can be neither read nor granted: set secret= of the middleware or "
                "$CENTTRACK_SECRET; `openssl rand -hex 32` makes one",
                logging.WARNING,
            )
        if self.bucket_s is None:
            logger.info("recording to %s", names)
        else:
            minutes = self.bucket_s // 60
            released = time.strftime("%H:%M", time.gmtime((time.time() // self.bucket_s + 1) * self.bucket_s))
            # Nobody should wonder where the first event is, and few servers show INFO.
            logger.warning("recording to %s; events are released every %d minutes, next at %s UTC, because the policy "
                        "keeps times no finer", names, minutes, released)  # fmt: skip

    def _say_unmatched(self) -> None:
        names = list(map(name_of, self.sinks))
        policy = self.capture.policy
        for name in find_unmatched(policy.document, names, "first"):
            self.say_once(
                f'{policy.source}: [[sinks]] names "{name}", but the sinks here are named {", ".join(names)}: '
                "what it says of that one holds for none of them",
                logging.WARNING,
            )

    def observe(self, seen: Observation, custom: Sequence[CustomEvent] = ()) -> None:
        """Record an observation, and the custom events that came with it. Never waits.

        It is reduced in the recorder's thread, within milliseconds and before anything is written: done for many
        requests in one go that costs less than between the steps of one, and no header, however it is made, can
        stall the event loop.
        """
        self._offer(partial(self._made, seen))
        for event in custom:
            self._offer(partial(self._made, seen, event))

    def refuse(self, reason: str, problem: str | None = None) -> None:
        """Count something that isn't recorded; say why, once for each problem."""
        self._offer(reason)
        if problem:
            self.say_once(problem)

    def say_once(self, problem: str, level: int = logging.ERROR) -> None:
        """Log a problem, the first time that it is this one."""
        if problem not in self._said and len(self._said) < _MAX_SAID:
            self._said.add(problem)
            logger.log(level, "%s", problem)

    def _offer(self, item: Work | str) -> None:
        while not self.recorder.offer(item):  # closed since we looked: the next one takes it
            pass

    def _made(self, seen: Observation, custom: CustomEvent | None = None) -> Event | str:
        made = self.capture.capture(seen)
        if not isinstance(made, Event):
            return made.reason
        return self.capture.with_custom(made, custom) if custom else made

    def close(self) -> None:
        """Commit what is queued (2 s at most), deliver until the deadline (5 s), leave the rest in the journal."""
        with self._lock:
            if self._recorder is None or self._owner != os.getpid():
                return
            recorder, deliverers = self._recorder, self._deliverers
            self._recorder, self._deliverers, self._owner = None, [], None
        atexit.unregister(self.close)
        if self.capture.visitors.salts is not None:
            self.capture.visitors.salts.stop()
        recorder.close(COMMIT_WITHIN_S)
        self._written = self.capture.totals()
        for deliverer in deliverers:
            deliverer.drain(DELIVER_WITHIN_S)
        for deliverer in deliverers:
            if not deliverer.join():
                logger.warning("delivery to %s was cut short; the rest is in the journal", deliverer.name)

    def flush(self, timeout_s: float = COMMIT_WITHIN_S) -> bool:
        """Wait until what was recorded before is in the journal."""
        return self._recorder is None or self._owner != os.getpid() or self._recorder.flush(timeout_s)


def _wake(deliverers: Sequence[Deliverer]) -> None:
    for deliverer in deliverers:
        deliverer.wake()
