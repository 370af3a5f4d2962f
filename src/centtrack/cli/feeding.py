"""`centtrack deliver --from`: feeds a sink from a topic of Kafka, as a process of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from centtrack.cli.signals import StopSignals
from centtrack.consuming.jobs import Jobs
from centtrack.delivery.pipeline import DELIVER_WITHIN_S
from centtrack.errors import ConfigurationError, MissingExtraError, RetryLater
from centtrack.monitoring.health import Health
from centtrack.policy.policy import PrivacyPolicy
from centtrack.sinks.base import Sink

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.2


class Feeding:
    """Feeds one sink from a topic.

    Args:
        url: of the topic.
        sinks: where to: one.
        policy: the one in force.

    Raises:
        ConfigurationError: if the URL says nothing that can be used, or there are several sinks.
        MissingExtraError: if there is no client of Kafka.
    """

    def __init__(self, url: str, sinks: Sequence[Sink], policy: PrivacyPolicy) -> None:
        try:
            from centtrack.consuming.feeder import Feeder
        except ImportError as error:
            raise MissingExtraError(f"--from (no package {error.name!r})", "kafka") from None
        if len(sinks) != 1:
            raise ConfigurationError(
                "--from feeds one sink: run a process for each. They are groups of their own, so each sink gets all"
            )
        self._feeder = Feeder(url, sinks[0], policy)
        self._policy = policy.source

    def run(self, signals: StopSignals) -> None:
        """Feed until a signal, then write to its end what is being written, and leave the group."""
        if not self._check(signals):
            return
        source = self._feeder.source
        logger.info(
            "feeding %s from %s as a member of group %s, under %s",
            self._feeder.sink_name, source.name, source.group, self._policy,
        )  # fmt: skip
        self._feeder.start()
        signals.wait()
        self._feeder.drain(DELIVER_WITHIN_S)
        if not self._feeder.join():
            logger.warning("delivery to %s was cut short; the rest is in the topic", self._feeder.sink_name)
        logger.info("ended")

    def _check(self, signals: StopSignals) -> bool:
        """Look whether all is there that must be. False if a signal came first."""
        jobs = Jobs("centtrack-check")
        checking = jobs.begin(self._feeder.check)
        jobs.end()
        while not checking.done():
            if signals.wait(_LOOK_EVERY_S):
                return False
        try:
            checking.result()
        except RetryLater as error:
            logger.warning("%s: waiting for it", error)
        return True

    def health(self) -> Health:
        """How it is doing."""
        from centtrack.consuming.progress import judge_feed

        return judge_feed(self._feeder.state())

    def metrics(self) -> Callable[[str], tuple[bytes, str]]:
        """What tells what it counts. Needs prometheus_client."""
        from centtrack.consuming.metrics import write_feed_metrics

        return lambda accept: write_feed_metrics(self._feeder.state(), accept)
