"""One job at a time in a thread of its own, so that the group hears of its member however long a sink takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue


class Jobs:
    """Runs jobs, one after another, until it is told to end.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[tuple[Callable[[], None], Future[None]] | None] = SimpleQueue()
        # A daemon: a sink that hangs mustn't keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def begin(self, job: Callable[[], None]) -> Future[None]:
        """Run a job when those before it are done."""
        future: Future[None] = Future()
        self._queue.put((job, future))
        return future

    def end(self) -> None:
        """End after what was begun."""
        self._queue.put(None)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            job, future = item
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - deltalake's PanicException isn't an Exception
                future.set_exception(error)
            else:
                future.set_result(None)
            del item, job, future  # and with them what they hold
