"""`centtrack deliver`: the delivery of an app's journal, as a process of its own."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Protocol

import typer

from centtrack.cli.feeding import Feeding
from centtrack.cli.output import PolicyOption, read_policy
from centtrack.cli.signals import StopSignals
from centtrack.delivery.paths import default_journal
from centtrack.delivery.pipeline import DELIVER_WITHIN_S
from centtrack.delivery.sending.deliverer import Deliverer
from centtrack.errors import ConfigurationError, MissingExtraError
from centtrack.logs import JsonFormatter
from centtrack.monitoring.health import Health, problems_of
from centtrack.monitoring.server import MonitoringServer, read_address
from centtrack.policy.policy import PrivacyPolicy
from centtrack.policy.recipients import check_sinks
from centtrack.sinks.base import Sink, name_of
from centtrack.sinks.open import SINK_VARIABLE, open_sinks

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5  # whether the journal is there


Metrics = Callable[[str], tuple[bytes, str]]
"""From the header Accept to the text for Prometheus, and its content type."""


class LogFormat(StrEnum):
    """How lines of the log are written."""

    TEXT = "text"
    JSON = "json"


def deliver(
    sink: Annotated[
        list[str] | None,
        typer.Option(help=f"A sink's URL, as in delta:./telemetry; repeat for several. Default: ${SINK_VARIABLE}."),
    ] = None,
    policy: PolicyOption = None,
    journal: Annotated[
        Path | None,
        typer.Option(help="The journal's file. Default: that of the app with this folder, policy and sinks."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Read a topic of Kafka, not a journal, as one of a group, as in kafka://HOST:9092/TOPIC?group=NAME.",
        ),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(help="Serve /healthz and /metrics here, as in 127.0.0.1:9464. A port alone: on the loopback."),
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option(help="One line of text, or one JSON object, for each.")
    ] = LogFormat.TEXT,
) -> None:
    """Deliver an app's journal to its sinks, until SIGTERM or Ctrl-C. Several may run: one delivers to each sink."""
    _set_up_logs(log_format)
    rules = read_policy(policy)
    sinks = open_sinks(sink or None)
    names = [name_of(one) for one in sinks]
    check_sinks(rules, names)
    service: Service
    if source is None:
        service = Delivery((journal or default_journal(rules.source, names)).absolute(), sinks, rules)
    elif journal is None:
        service = Feeding(source, sinks, rules)
    else:
        raise ConfigurationError("--from reads a topic, and --journal names a journal: leave one of them out")
    with StopSignals() as signals, _listening(listen, service):
        service.run(signals)


class Service(Protocol):
    """What the process does, until a signal comes."""

    def run(self, signals: StopSignals) -> None:
        """Do it."""

    def health(self) -> Health:
        """How it is doing."""

    def metrics(self) -> Metrics:
        """What tells what it counts. Needs prometheus_client."""


class Delivery:
    """Delivers one journal to its sinks.

    Args:
        path: the journal. It is waited for: the app makes it. One that is removed later on is made anew.
        sinks: where to.
        policy: the one in force.
    """

    def __init__(self, path: Path, sinks: Sequence[Sink], policy: PrivacyPolicy) -> None:
        self.path = path
        self.names = [name_of(sink) for sink in sinks]
        self._deliverers = [Deliverer(path, sink, policy) for sink in sinks]
        self._policy = policy.source
        self._is_started = False

    def run(self, signals: StopSignals) -> None:
        """Deliver until a signal, and then what is there, until the deadline."""
        if not self.path.exists():
            logger.warning("no journal at %s yet: waiting. `centtrack status` names those that are there", self.path)
        while not self.path.exists():
            if signals.wait(_LOOK_EVERY_S):
                return
        logger.info("delivering %s to %s, under %s", self.path, ", ".join(self.names), self._policy)
        for deliverer in self._deliverers:
            deliverer.start()
        self._is_started = True
        signals.wait()
        self._drain()

    def _drain(self) -> None:
        for deliverer in self._deliverers:
            deliverer.drain(DELIVER_WITHIN_S)
        for deliverer in self._deliverers:
            if not deliverer.join():
                logger.warning("delivery to %s was cut short; the rest is in the journal", deliverer.name)
        logger.info("ended")

    def health(self) -> Health:
        """How it is doing."""
        if not self._is_started:
            return Health("degraded", (f"there is no journal at {self.path} yet",))
        states = [deliverer.state() for deliverer in self._deliverers]
        problems = tuple(problems_of(states))
        has_ended = any(state.condition == "ended" for state in states)
        return Health("failing" if has_ended else "degraded" if problems else "ok", problems)

    def metrics(self) -> Metrics:
        """What tells what the journal's processes count."""
        from centtrack.monitoring.prometheus import Reader, write_metrics

        read_counts = partial(Reader().read, self.path, self.names)
        return lambda accept: write_metrics(read_counts(), accept)


@contextlib.contextmanager
def _listening(listen: str | None, service: Service) -> Iterator[None]:
    """Serve health and metrics meanwhile, if that is asked for."""
    if listen is None:
        yield
        return
    try:
        metrics = service.metrics()
    except ImportError as error:
        raise MissingExtraError(f"--listen (no package {error.name!r})", "monitoring") from None
    server = MonitoringServer(read_address(listen), service.health, metrics)
    logger.info("health and metrics are at http://%s/healthz and /metrics", server.address)
    try:
        yield
    finally:
        server.close()


def _set_up_logs(form: LogFormat) -> None:
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonFormatter() if form is LogFormat.JSON else text)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("centtrack").setLevel(logging.INFO)
