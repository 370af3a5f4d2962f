"""Calls that a caller stops waiting for.

No setting of a client ends every wait: a database's host can vanish in the middle of an answer, a disk can hang. So the
work is done in a thread of its own, and the caller leaves it there when the time is over. Few may be at work at once,
so threads that hang don't pile up; they are daemons, so they don't keep the process from ending.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


class OverdueError(Exception):
    """The time is over. What was begun may still be done: if it checks its deadline, up to the very end only."""


class BoundedCalls:
    """Runs calls in threads.

    Args:
        at_once: how many may be at work; the others wait.
    """

    def __init__(self, at_once: int) -> None:
        self._free = threading.Semaphore(at_once)

    def run(self, work: Callable[[float], T], timeout_s: float) -> T:
        """Do some work, and return what it returns.

        Args:
            work: is given the deadline, in the terms of `time.monotonic()`, after which it should change nothing.
            timeout_s: seconds until nobody waits for it any more.

        Raises:
            OverdueError: if it took too long.
            Exception: what the work raises.
        """
        deadline = time.monotonic() + timeout_s
        if not self._free.acquire(timeout=timeout_s):
            raise OverdueError
        answer: Future[T] = Future()
        thread = threading.Thread(target=self._work, args=(work, deadline, answer), name="centtrack-ledger")
        thread.daemon = True  # those of an executor would be waited for at the end of the process
        try:
            thread.start()
        except BaseException:
            self._free.release()
            raise
        wait([answer], timeout=max(0.0, deadline - time.monotonic()))
        if not answer.done():
            raise OverdueError
        return answer.result()

    def _work(self, work: Callable[[float], T], deadline: float, answer: Future[T]) -> None:
        try:
            result = work(deadline)
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            self._free.release()
            answer.set_exception(error)
        else:
            self._free.release()
            answer.set_result(result)
