"""SIGTERM and SIGINT, as something to wait for."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Catches the signals that ask a process to end, as long as the block lasts. For the main thread only."""

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)

    def _note(self, number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):  # full of signals that nobody has looked at yet
            os.write(self._writer, b".")  # nothing else is safe wherever the signal came

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for one; False if none came in time. From the first on it returns at once."""
        readable, _, _ = select.select([self._reader], [], [], timeout_s)
        return bool(readable)
