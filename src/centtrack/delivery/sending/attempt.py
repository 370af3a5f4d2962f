"""Calls to a sink, each with a time-out: in daemon threads that are given up when there is no answer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue

from centtrack.errors import SinkError

MAX_GIVEN_UP = 4
"""How many calls may hang at once; then none is begun until one has come back."""

HANGS_AFTER_S = 30.0
"""After how many seconds a call without a time-out is said to hang."""


class NoAnswerError(SinkError):
    """A sink didn't answer in time."""


class _Attempt:
    """One call and how it ended."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call
        self.error: BaseException | None = None
        self.is_done = threading.Event()

    def make(self) -> None:
        try:
            self.call()
        except BaseException as error:  # noqa: BLE001 - whoever waits for the call gets it
            self.error = error
        finally:
            self.is_done.set()


class _AttemptThread:
    """Makes one call after another, until it is told to end."""

    def __init__(self, name: str) -> None:
        # A SimpleQueue takes no lock that garbage collection could find held.
        self._attempts: SimpleQueue[_Attempt | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def begin(self, attempt: _Attempt) -> None:
        self._attempts.put(attempt)

    def end(self) -> None:
        """End after the call that is being made."""
        self._attempts.put(None)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        while (attempt := self._attempts.get()) is not None:
            attempt.make()
            del attempt  # and with it a batch


class Attempts:
    """Makes calls for one thread, which waits for each of them, but not for ever.

    Args:
        name: of the threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: _AttemptThread | None = None
        self._given_up: list[_AttemptThread] = []

    def start(self) -> None:
        """Start the first thread: while the interpreter exits, none can be started any more.

        Raises:
            RuntimeError: if no thread can be started.
        """
        if self._thread is None:
            self._thread = _AttemptThread(self._name)

    @property
    def is_stuck(self) -> bool:
        """Whether so many calls hang that none may be begun."""
        self._given_up = [thread for thread in self._given_up if thread.is_alive()]
        return len(self._given_up) >= MAX_GIVEN_UP

    def make(
        self, call: Callable[[], object], timeout_s: float | None, on_hanging: Callable[[], None] = lambda: None
    ) -> None:
        """Make a call and wait for its end.

        Args:
            call: what to do.
            timeout_s: after how many seconds the call is given up, while its thread goes on; None: never.
            on_hanging: called again and again, while a call without a time-out takes long.

        Raises:
            NoAnswerError: if the call didn't end in time, or too many hang already.
            RuntimeError: if no thread can be started.
            BaseException: whatever the call raises.
        """
        if self.is_stuck:
            raise NoAnswerError(f"{MAX_GIVEN_UP} attempts have had no answer")
        self.start()
        assert self._thread is not None  # noqa: S101 - for the type checker: start() made it
        attempt = _Attempt(call)
        self._thread.begin(attempt)
        while not attempt.is_done.wait(HANGS_AFTER_S if timeout_s is None else timeout_s):
            if timeout_s is not None:
                self._give_up()
                raise NoAnswerError(f"no answer within {timeout_s:g} s")
            on_hanging()
        if attempt.error is not None:
            raise attempt.error

    def _give_up(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.end()
            self._given_up.append(thread)
        if not self.is_stuck:
            with contextlib.suppress(RuntimeError):  # the next call tries again
                self.start()

    def end(self) -> None:
        """End the thread; those that were given up end when their calls do."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.end()
