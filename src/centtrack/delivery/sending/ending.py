"""When a deliverer is to end: said from another thread."""

from __future__ import annotations

import math
import threading
import time

_POLL_S = 0.05


class Ending:
    """A deadline that may be set at any time."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._deadline = math.inf

    def begin(self, within_s: float) -> None:
        """Ask for the end: when all is done, and within that time at most."""
        self._deadline = time.monotonic() + within_s
        self._begun.set()

    def has_begun(self) -> bool:
        """Whether the end was asked for."""
        return self._begun.is_set()

    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.left_s <= 0

    @property
    def left_s(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self._deadline - time.monotonic())

    def comes_within(self, seconds: float) -> bool:
        """Whether the deadline is no further away than that."""
        return self.has_begun() and self.left_s <= seconds

    def sleep(self, seconds: float) -> None:
        """Sleep until the end is asked for, if that comes first."""
        if seconds:
            self._begun.wait(seconds)

    def pause(self, seconds: float) -> None:
        """As `sleep`; when the end was asked for, only a moment."""
        if self._begun.is_set():
            time.sleep(min(seconds, _POLL_S))
        else:
            self._begun.wait(seconds)
