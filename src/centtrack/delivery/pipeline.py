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
from centtrack.delivery.run import Run
from centtrack.delivery.salt_keeping import purge_old_salts, start_salts
from centtrack.delivery.sending.deliverer import Deliverer
from centtrack.delivery.state import PipelineState
from centtrack.event import Event
from centtrack.folders import make_private_folder
from centtrack.logs import describe, report
from centtrack.policy.recipients import check_sinks
from centtrack.sinks.base import Sink, is_storing, name_of

logger = logging.getLogger(__name__)

Mode = Literal["relaxed", "confirmed", "durable"]
MODES: tuple[str, ...] = get_args(Mode)

COMMIT_WITHIN_S = 2.0
DELIVER_WITHIN_S = 5.0
_START_AGAIN_S = 1.0  # when no thread could be started
_CUSTOM_SIZE = 512  # bytes in the queue, beside the request's own
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
        ConfigurationError: if the policy forbids one of the sinks, or names one that may be a misspelling of theirs.
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
        check_sinks(capture.policy, [name_of(sink) for sink in sinks])
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
        self._lock = threading.RLock()  # the garbage collector may end a request while this thread starts
        self._run: Run | None = None
        self._previous: Run | None = None
        self._written: Totals = {}
        self._missed = 0
        self._start_at = 0.0
        self._blocked_in: int | None = None
        self._unconfirmed = 0
        self._last_state = PipelineState()
        self._said: set[str] = set()
        _all.add(self)

    @property
    def recorder(self) -> Recorder:
        """This process's recorder, started if need be.

        Raises:
            RuntimeError: if no thread can be started.
        """
        run = self._run
        return self.start() if run is None else run.recorder

    @property
    def is_running(self) -> bool:
        """Whether this process records."""
        return self._run is not None

    def start(self) -> Recorder:
        """Start the threads of this process, if they don't run yet.

        Raises:
            RuntimeError: if one of them can't be started; for a while after that, too.
        """
        with self._lock:
            if self._run is not None:
                return self._run.recorder
            if time.monotonic() < self._start_at:
                raise RuntimeError("no thread could be started a moment ago")
            self._start_at = time.monotonic() + _START_AGAIN_S
            with suppress(OSError):  # the recorder says so, and tries again
                make_private_folder(self.journal.parent)
            run = self._make_run()
            run.start()
            start_salts(self.capture.visitors, self._salts)
            self._run, self._start_at, self._blocked_in = run, 0.0, None  # whose rounds begin anew
            missed, self._missed = self._missed, 0
            atexit.register(self.close)
        if missed:
            run.recorder.queue.refuse("start_failed", missed)
        for level, text in announce(self.capture, list(map(name_of, self.sinks)), self.bucket_s):
            self.say_once(text, level)
        self._on_start(self)
        return run.recorder

    def _make_run(self) -> Run:
        policy = self.capture.policy
        delivered = self.sinks if self._delivers else ()
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
            written=partial(self._written_before, self._previous),
            inventory=self.capture.inventory,
            on_commit=partial(_wake, deliverers),
            bucket_s=self.bucket_s,
        )
        return Run(recorder, deliverers)

    def _written_before(self, previous: Run | None) -> Totals:
        """In the recorder's thread: what an earlier one has written, which may still be at its end."""
        if previous is None:
            return self._written
        previous.recorder.join(COMMIT_WITHIN_S)
        return previous.recorder.writer.written()

    def begin_anew(self) -> None:
        """In the child of a fork: threads, locks and what isn't written yet are the parent's, which goes on."""
        self._lock = threading.RLock()
        self._run, self._previous, self._start_at = None, None, 0.0
        self._last_state, self._unconfirmed, self._missed = PipelineState(), 0, 0
        self.capture.begin_anew()
        self._written = self.capture.totals()

    def _warm(self) -> None:
        """In the recorder's thread: this may take its time."""
        purge_old_salts(self.journal)
        self.capture.warm()

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
        rounds = recorder.rounds
        is_stuck = recorder.writer.condition in {"degraded", "full"} or self._blocked_in == rounds
        if is_stuck or not await wait_for(recorder.queue.when_settled):
            self._blocked_in = rounds  # nobody else waits before something has been committed
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

    def _offer(self, item: Work | str, size: int = _CUSTOM_SIZE) -> None:
        try:
            while not self.recorder.queue.offer(item, size):  # closed since we looked: the next one takes it
                pass
        except Exception as error:  # noqa: BLE001 - nothing of ours may reach the app; it is counted by the next start
            self._missed += 1
            report(logger, logging.ERROR, "start_failed", "nothing can be recorded at present: %s", describe(error))

    def _made(self, seen: Observation, custom: CustomEvent | None = None) -> Event | str:
        made = self.capture.capture(seen)
        if not isinstance(made, Event):
            return made.reason
        return self.capture.with_custom(made, custom) if custom else made

    def close(self) -> None:
        """Commit what is queued (2 s at most), deliver until the deadline (5 s), leave the rest in the journal."""
        with self._lock:
            run, self._run = self._run, None
            if run is None:
                return
            self._previous = run
        atexit.unregister(self.close)
        if self.capture.visitors.salts is not None:
            self.capture.visitors.salts.stop()
        run.close(commit_within_s=COMMIT_WITHIN_S, deliver_within_s=DELIVER_WITHIN_S)
        self._last_state = replace(run.state(), is_alive=True)  # it has ended as it was asked to

    def flush(self, timeout_s: float = COMMIT_WITHIN_S) -> bool:
        """Wait until what was recorded before is in the journal."""
        run = self._run
        return run is None or run.recorder.flush(timeout_s)

    def state(self) -> PipelineState:
        """How this process is doing; after `close()`, how it did. Cheap, and from any thread."""
        run = self._run
        return replace(self._last_state if run is None else run.state(), unconfirmed=self._unconfirmed)


def _wake(deliverers: Sequence[Deliverer]) -> None:
    for deliverer in deliverers:
        deliverer.wake()


def _begin_anew() -> None:
    for pipeline in list(_all):
        pipeline.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
