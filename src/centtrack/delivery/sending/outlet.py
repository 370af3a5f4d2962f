"""A sink as the deliverer uses it: opened when need be, each call with a time-out, batches halved around bad events."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable

import msgspec

from centtrack.delivery.sending.attempt import Attempts, NoAnswerError
from centtrack.delivery.sending.selection import DeadLetter
from centtrack.errors import Rejected
from centtrack.sinks.base import Batch, Sink, name_of

_TIMEOUT_S = 30.0
_CLOSE_WITHIN_S = 5.0
_MAX_PATIENCE = 16  # times the time-out


class Outlet:
    """Writes batches to one sink. What was written stays known until the batch is done with.

    So a batch of which one half was taken, or an attempt that was given up and worked after all, or a journal that
    couldn't note the success, costs no second write, as long as this process lives.

    Args:
        sink: the sink.
        on_hanging: called when a call to a sink without a time-out takes long.
    """

    def __init__(self, sink: Sink, on_hanging: Callable[[], None]) -> None:
        self._sink = sink
        self._on_hanging = on_hanging
        self._attempts = Attempts(f"centtrack-write-{name_of(sink)}")
        self._is_open = False
        self._is_used = False
        self._patience = 1
        self._batch: tuple[str, int, int] | None = None
        self._outcomes: dict[str, str | None] = {}  # a part's key → why it was rejected; None if it was taken

    def start(self) -> None:
        """Start the thread that calls the sink.

        Raises:
            RuntimeError: if no thread can be started.
        """
        self._attempts.start()

    @property
    def is_stuck(self) -> bool:
        """Whether so many calls hang that none may be begun."""
        return self._attempts.is_stuck

    def write(self, batch: Batch, size: int) -> list[DeadLetter]:
        """Write a batch to the open sink; one with a rejected event is halved until that event is alone.

        Args:
            batch: what to write.
            size: how many events that are, for one that isn't decoded doesn't know.

        Returns:
            The rejected events. An empty batch isn't written.

        Raises:
            NoAnswerError: if the sink doesn't answer in time.
            BaseException: whatever else the sink raises.
        """
        if not size:
            return []
        if self._batch != (batch.stream, batch.sequence, size):
            self._batch, self._outcomes = (batch.stream, batch.sequence, size), {}
        return self._write(batch, batch, "")

    def open(self) -> None:
        """Open the sink, if it isn't open.

        Raises:
            NoAnswerError: if the sink doesn't answer in time.
            BaseException: whatever else the sink raises.
        """
        if not self._is_open:
            self._is_used = True
            self._attempts.make(getattr(self._sink, "open", lambda: None), self._timeout_s, self._on_hanging)
            self._is_open = True

    def close(self) -> None:
        """Close the sink: it is opened again before it is next used. What goes wrong in it is of no account."""
        is_used, self._is_open, self._is_used = self._is_used, False, False
        close = getattr(self._sink, "close", None)
        if is_used and close is not None:
            with contextlib.suppress(BaseException):
                self._attempts.make(close, _CLOSE_WITHIN_S)

    def end(self) -> None:
        """Close the sink, and end the thread."""
        self.close()
        self._attempts.end()

    def _write(self, whole: Batch, part: Batch, key: str) -> list[DeadLetter]:
        rejected = self._try(part, key)
        if rejected is None:
            return []
        if len(part) == 1:
            return [(f"rejected: {rejected}", msgspec.json.encode(part[0]))]
        middle = len(part) // 2
        letters = []
        for events in (part[:middle], part[middle:]):
            # A part has a stream of its own: in the batch's its number would be taken. It is named by its events, not
            # by their places in the batch, which another policy may shift after a restart.
            digest = hashlib.sha256("\n".join(event.event_id for event in events).encode()).hexdigest()[:16]
            stream = f"{whole.stream}/{whole.sequence}:{digest}"
            half = Batch(events, stream=stream, sequence=whole.sequence, repeated=whole.repeated)
            letters += self._write(whole, half, digest)
        return letters

    def _try(self, batch: Batch, key: str) -> str | None:
        """Write it, if that isn't done yet. Returns why it was rejected."""
        outcomes = self._outcomes  # of this batch: an attempt that was given up may end when another is at hand

        def write() -> None:
            try:
                self._sink.write(batch)
            except Rejected as error:
                outcomes[key] = str(error)
            else:
                outcomes[key] = None

        if key not in outcomes:
            self._call_patiently(write)
        return outcomes[key]

    def _call_patiently(self, write: Callable[[], None]) -> None:
        """A batch without an answer gets twice the time when it comes again: else a slow sink would never be done."""
        timeout_s, begun = self._timeout_s, time.monotonic()
        try:
            self._attempts.make(write, timeout_s and timeout_s * self._patience, self._on_hanging)
        except NoAnswerError:
            self._patience = min(2 * self._patience, _MAX_PATIENCE)
            raise
        if timeout_s is None or time.monotonic() - begun < timeout_s:
            self._patience = 1

    @property
    def _timeout_s(self) -> float | None:
        timeout_s: float | None = getattr(self._sink, "timeout_s", _TIMEOUT_S)
        return timeout_s
