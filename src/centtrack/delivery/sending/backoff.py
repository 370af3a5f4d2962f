"""How long to wait after failures."""

from __future__ import annotations

import random
import time

LONGEST_S = 30.0
_FIRST_S = 0.5
_MAX_DOUBLINGS = 10


class Backoff:
    """Waits that grow with each failure, with full jitter: anything from nothing to the longest wait of now.

    Many hosts that lost the same server don't come back to it at once.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0

    @property
    def has_failed(self) -> bool:
        """Whether there was a failure since the last success."""
        return self._failures > 0

    @property
    def left_s(self) -> float:
        """Seconds that are still to be waited."""
        return max(0.0, self._until - time.monotonic())

    def fail(self, at_least_s: float | None = None) -> None:
        """Note a failure.

        Args:
            at_least_s: what the sink asked for, which holds even if it is longer than any wait of ours.
        """
        longest_s = min(LONGEST_S, _FIRST_S * 2 ** min(self._failures, _MAX_DOUBLINGS))
        self._failures += 1
        wait_s = random.uniform(0, longest_s)  # noqa: S311 - jitter, not a secret
        self._until = time.monotonic() + max(wait_s, at_least_s or 0.0)

    def pause(self, seconds: float) -> None:
        """Note a failure that no waiting mends, to be tried again after just as long."""
        self._failures += 1
        self._until = time.monotonic() + seconds

    def succeed(self) -> None:
        """Note a success: the next wait is short again."""
        self._failures, self._until = 0, 0.0
