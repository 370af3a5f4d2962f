"""The pipeline: capture, recorder, journal and deliverers of one process, started late and closed in time."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from centtrack.capture.capture import Capture
from centtrack.capture.custom import CustomEvent
from centtrack.capture.observation import Observation
from centtrack.delivery.announcements import announce
from centtrack.delivery.paths import default_journal
from centtrack.delivery.recording.confirming import wait_for
from centtrack.delivery.recording.queue import Work, weigh
from centtrack.delivery.recording.recorder import Recorder
from centtrack.delivery.recording.writer import Totals
from centtrack.delivery.records import DEFAULT_LIMITS, Limits
from centtrack.delivery.sending.deliverer import Deliverer
from centtrack.delivery.sending.withholding import check_third_parties
from centtrack.delivery.state import PipelineState
from centtrack.errors import ConfigurationError
from centtrack.event import Event
from centtrack.folders import make_private_folder, state_folder
from centtrack.sinks.base import Sink, is_storing, name_of
from centtrack.visitor.daily_key import DAY_S
from centtrack.visitor.salt_file import purge_salts
from centtrack.visitor.salts import open_salts

logger = logging.getLogger(__name__)

Mode = Literal["relaxed", "confirmed", "durable"]
MODES: tuple[str, ...] = get_args(Mode)

COMMIT_WITHIN_S = 2.0
DELIVER_WITHIN_S = 5.0
_MAX_SAID = 64  # problems that are logged: an app may pass on names that its visitors made up

_all: weakref.WeakSet[Pipeline] = weakref.WeakSet()


class Pipeline:
    """Takes observations and delivers events. Nothing is opened, and no thread started, before the first use.

    After a fork the child has no threads, so each process starts its own at its first use.

    Args:
        capture: makes events.
        sinks: where to.
        journal: the journal's file; None: one of this app, in the user's state folder.
        salts: where the salts of daily keys are kept, if the policy has these; None: beside the journal.
        debug: whether `track()` raises where it would only count.
        mode: whether a response waits until its event is committed (`confirmed`), on the disk even (`durable`).
        deliver: whether this process delivers; else `centtrack deliver` does.
        limits: when the journal takes no more.
        on_start: called in each process when its threads have started.

    Attributes:
        confirms: whether responses wait for the commit.

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
        mode: Mode = "relaxed",
        deliver: bool = True,
        limits: Limits = DEFAULT_LIMITS,
        on_start: Callable[[Pipeline], None] = lambda _: None,
    ) -> None:
        check_third_parties(capture.policy, [name_of(sink) for sink in sinks])
        self.capture = capture
        self.debug = debug
        self.confirms = mode != "relaxed"
        self.sinks = tuple(sinks)
        self.journal = journal or default_journal(capture.policy.source, map(name_of, sinks))
        storing = any(map(is_storing, sinks))
        self.bucket_s = capture.policy.bucket_s if storing else None
        self._is_synced = mode == "durable"
        self._delivers = deliver
        self._limits = limits
        self._on_start = on_start
        self._salts = salts or self.journal.with_name("salts")
        self._lock = threading.Lock()
        self._recorder: Recorder | None = None
        self._deliverers: list[Deliverer] = []
        self._written: Totals = {}
        self._unconfirmed = 0
        self._last_state = PipelineState()
        self._said: set[str] = set()
        _all.add(self)

    @property
    def recorder(self) -> Recorder:
        """This process's recorder, started if need be."""
        recorder = self._recorder
        return self.start() if recorder is None else recorder

    @property
    def is_running(self) -> bool:
        """Whether this process records."""
        return self._recorder is not None

    def start(self) -> Recorder:
        """Start the threads of this process, if they don't run yet."""
        with self._lock:
            if self._recorder is not None:
                return self._recorder
            with suppress(OSError):  # the recorder says so, and tries again
                make_private_folder(self.journal.parent)
            self._start_salts()
            delivered = self.sinks if self._delivers else ()
            policy = self.capture.policy
            deliverers = [Deliverer(self.journal, sink, policy, limits=self._limits) for sink in delivered]
            recorder = Recorder(
                self.journal,
                sinks=[name_of(sink) for sink in self.sinks],
                policy=policy,
                limits=self._limits,
                is_synced=self._is_synced,
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
            self._deliverers, self._recorder = deliverers, recorder
            atexit.register(self.close)
        for level, text in announce(self.capture, list(map(name_of, self.sinks)), self.bucket_s):
            self.say_once(text, level)
        self._on_start(self)
        return recorder

    def begin_anew(self) -> None:
        """In the child of a fork: threads, locks and what isn't written yet are the parent's, which goes on."""
        self._lock = threading.Lock()
        self._recorder, self._deliverers = None, []
        self._last_state, self._unconfirmed = PipelineState(), 0
        self.capture.begin_anew()
        self._written = self.capture.totals()

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

    def observe(self, seen: Observation, custom: Sequence[CustomEvent] = ()) -> None:
        """Record an observation, and the custom events that came with it. Never waits.

        It is reduced in the recorder's thread, within milliseconds and before anything is written: done for many
        requests in one go that costs less than between the steps of one, and no header, however it is made, can
        stall the event loop.
        """
        self._offer(partial(self._made, seen), weigh(seen))
        for event in custom:
            self._offer(partial(self._made, seen, event))

    async def confirmed(self) -> None:
        """Wait until what was recorded before is committed: 50 ms at most, and not at all while it can't be."""
        recorder = self.recorder
        if recorder.writer.condition in {"degraded", "full"} or not await wait_for(recorder.queue.when_settled):
            self._unconfirmed += 1
            self.capture.note("unconfirmed")

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

    def _offer(self, item: Work | str, size: int = 0) -> None:
        while not self.recorder.queue.offer(item, size):  # closed since we looked: the next one takes it
            pass

    def _made(self, seen: Observation, custom: CustomEvent | None = None) -> Event | str:
        made = self.capture.capture(seen)
        if not isinstance(made, Event):
            return made.reason
        return self.capture.with_custom(made, custom) if custom else made

    def close(self) -> None:
        """Commit what is queued (2 s at most), deliver until the deadline (5 s), leave the rest in the journal."""
        with self._lock:
            if self._recorder is None:
                return
            recorder, deliverers = self._recorder, self._deliverers
            self._recorder, self._deliverers = None, []
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
        self._last_state = self._state_of(recorder, deliverers)

    def flush(self, timeout_s: float = COMMIT_WITHIN_S) -> bool:
        """Wait until what was recorded before is in the journal."""
        return self._recorder is None or self._recorder.flush(timeout_s)

    def state(self) -> PipelineState:
        """How this process is doing; after `close()`, how it did. Cheap, and from any thread."""
        recorder, deliverers = self._recorder, self._deliverers
        if recorder is None:
            return self._last_state
        return self._state_of(recorder, deliverers)

    def _state_of(self, recorder: Recorder, deliverers: Sequence[Deliverer]) -> PipelineState:
        sinks = tuple(deliverer.state() for deliverer in deliverers)
        return replace(recorder.state(), unconfirmed=self._unconfirmed, sinks=sinks)


def _wake(deliverers: Sequence[Deliverer]) -> None:
    for deliverer in deliverers:
        deliverer.wake()


def _begin_anew() -> None:
    for pipeline in list(_all):
        pipeline.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
