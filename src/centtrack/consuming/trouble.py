"""What is done about a sink that fails: when it is called again, and what is said."""

from __future__ import annotations

import logging

from centtrack.consuming.progress import FeedProgress
from centtrack.delivery.sending.attempt import HANGS_AFTER_S, NoAnswerError
from centtrack.delivery.sending.backoff import Backoff
from centtrack.errors import ConfigurationError, RetryLater
from centtrack.logs import describe, report

logger = logging.getLogger(__name__)

PAUSE_S = 30.0  # between attempts while somebody has to mend the configuration


class SinkTrouble:
    """The failures of one sink.

    Args:
        name: of the sink.
        progress: where they are noted.
    """

    def __init__(self, name: str, progress: FeedProgress) -> None:
        self._name = name
        self._progress = progress
        self._backoff = Backoff()
        self._paused_for = ""
        self._hangs = False

    @property
    def left_s(self) -> float:
        """Seconds until the sink may be called again."""
        return self._backoff.left_s

    def fail(self, error: BaseException) -> None:
        """Note a failure, and when to go on.

        Raises:
            SystemExit, KeyboardInterrupt: if the sink raised it: somebody asked for the end.
        """
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            raise error
        reason, self._hangs = describe(error), False
        if isinstance(error, ConfigurationError):
            self._backoff.pause(PAUSE_S)
            self._progress.enter("paused", reason)
            if reason != self._paused_for:
                self._say("delivery_paused", "delivery to %s pauses until this is mended: %s", reason)
            self._paused_for = reason
        else:
            self._backoff.fail(error.after_s if isinstance(error, RetryLater) else None)
            self._progress.enter("hanging" if isinstance(error, NoAnswerError) else "retrying", reason)
            self._say("delivery_fails", "delivery to %s fails and is tried again: %s", reason)
        self._progress.count_retry()

    def succeed(self) -> None:
        """Note that the sink was called, and took what it got."""
        self._hangs = False
        if self._backoff.has_failed:
            report(
                logger, logging.INFO, "delivery_goes_on", "delivery to %s goes on", self._name, sink=self._name
            )  # fmt: skip
            self._progress.enter("delivering")
        self._backoff.succeed()
        self._paused_for = ""

    def note_hanging(self) -> None:
        """The sink has had a batch for long, and is waited for. From any thread."""
        self._hangs = True
        self._say("delivery_hangs", "%s has had a batch without an answer: %s", f"for {HANGS_AFTER_S:g} s or more")

    def note_idle(self, *, has_partitions: bool, has_joined: bool) -> None:
        """Note how it stands between two calls."""
        if self._hangs:
            self._progress.enter("hanging", f"no answer for {HANGS_AFTER_S:g} s")
        elif not self._backoff.has_failed:
            self._progress.enter("delivering" if has_partitions else "standby" if has_joined else "starting")

    def _say(self, event: str, message: str, reason: str) -> None:
        report(logger, logging.ERROR, event, message, self._name, reason, sink=self._name, reason=reason)
