"""The threads of one process, from a start to the close."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from centtrack.delivery.recording.recorder import Recorder
from centtrack.delivery.sending.deliverer import Deliverer
from centtrack.delivery.state import PipelineState

logger = logging.getLogger(__name__)


class Run:
    """A recorder and its deliverers.

    Args:
        recorder: not started yet.
        deliverers: one a sink; none if another process delivers.
    """

    def __init__(self, recorder: Recorder, deliverers: Sequence[Deliverer]) -> None:
        self.recorder = recorder
        self._deliverers = deliverers

    def start(self) -> None:
        """Start the threads.

        Raises:
            RuntimeError: if one of them can't be started. Those that were end.
        """
        try:
            self.recorder.start()
            for deliverer in self._deliverers:
                deliverer.start()
        except BaseException:
            self.close(commit_within_s=0, deliver_within_s=0)
            raise

    def close(self, *, commit_within_s: float, deliver_within_s: float) -> None:
        """Commit what is queued, deliver until the deadline, leave the rest in the journal."""
        if not self.recorder.close(commit_within_s):
            logger.warning("recording was cut short: what isn't committed when the process ends is lost")
        for deliverer in self._deliverers:
            deliverer.drain(deliver_within_s)
        for deliverer in self._deliverers:
            if not deliverer.join() and self.recorder.writer.condition != "degraded":
                logger.warning("delivery to %s was cut short; the rest is in the journal", deliverer.name)

    def state(self) -> PipelineState:
        """How it is doing. From any thread."""
        sinks = tuple(deliverer.state() for deliverer in self._deliverers)
        return replace(self.recorder.state(), sinks=sinks)
