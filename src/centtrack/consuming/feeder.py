"""The feeder: a thread that brings what a topic holds to one sink, whatever happens to the brokers or to the sink."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import wait

from centtrack.consuming.dead import DeadLetters
from centtrack.consuming.jobs import Jobs
from centtrack.consuming.member import Contact
from centtrack.consuming.progress import FeedProgress, FeedState
from centtrack.consuming.session import LAKE_LINGER_S, Session
from centtrack.consuming.source import check_topics, make_consumer, read_source
from centtrack.consuming.trouble import PAUSE_S, SinkTrouble
from centtrack.consuming.writer import Writer
from centtrack.delivery.sending.backoff import Backoff
from centtrack.delivery.sending.ending import Ending
from centtrack.errors import ConfigurationError
from centtrack.logs import describe, report
from centtrack.policy.policy import PrivacyPolicy
from centtrack.sinks.base import Sink, name_of

logger = logging.getLogger(__name__)

_LINGER_S = 0.5
_LEAVE_WITHIN_S = 4.0  # a little less than the process has


class Feeder:
    """Feeds one sink from a topic, as a member of a consumer group.

    Args:
        url: of the topic, as the sink `kafka:` has it, and `group`.
        sink: where to.
        policy: the one in force: what the sink may not have, and what is to be reduced again. None: the sink gets all
            as it was recorded.

    Raises:
        ConfigurationError: if the URL says nothing that can be used.
    """

    def __init__(self, url: str, sink: Sink, policy: PrivacyPolicy | None = None) -> None:
        self.sink_name = name_of(sink)
        self.source = read_source(url, self.sink_name)
        self._progress = FeedProgress(self.source.name, self.sink_name)
        self._trouble = SinkTrouble(self.sink_name, self._progress)
        self._writer = Writer(sink, policy, DeadLetters(self.source.dead), self._trouble.note_hanging)
        own_linger_s = float(getattr(sink, "linger_s", _LINGER_S))
        self._linger_s = LAKE_LINGER_S if self._writer.knows_offsets else own_linger_s
        self._backoff = Backoff()  # of the brokers
        self._ending = Ending()
        self._thread = threading.Thread(target=self._run, name=f"centtrack-feed-{self.sink_name}", daemon=True)

    def check(self) -> None:
        """Look whether the topics are there, before anything is started.

        Raises:
            ConfigurationError: if one isn't, or the brokers don't let this user in.
            RetryLater: if no broker answers.
        """
        contact = Contact()
        consumer = make_consumer(self.source, contact)
        try:
            check_topics(consumer, self.source, contact)
        finally:
            consumer.close()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def drain(self, timeout_s: float) -> None:
        """Ask it to leave the group when what is being written is done; until the deadline at most."""
        self._ending.begin(timeout_s)

    def join(self) -> bool:
        """Wait for the thread until the deadline; False if it is still at it: a call to the sink hangs."""
        if self._thread.is_alive():
            self._thread.join(min(self._ending.left_s, threading.TIMEOUT_MAX))
        return not self._thread.is_alive()

    def state(self) -> FeedState:
        """How it is doing. Cheap, and from any thread."""
        return self._progress.state()

    # In the thread.

    def _run(self) -> None:
        jobs = Jobs(f"centtrack-jobs-{self.sink_name}")
        problem = None
        try:
            while not self._ending.has_begun():
                self._be_member(jobs)
                self._ending.sleep(self._backoff.left_s)
        except (SystemExit, KeyboardInterrupt) as error:
            problem = describe(error)
            report(
                logger, logging.ERROR, "delivery_ended", "delivery to %s has ended: its sink raised %s",
                self.sink_name, problem, sink=self.sink_name,
            )  # fmt: skip
        finally:
            ended = jobs.begin(self._writer.end)
            jobs.end()
            wait([ended], self._ending.left_s if self._ending.has_begun() else _LEAVE_WITHIN_S)
            self._progress.enter("ended", problem)

    def _be_member(self, jobs: Jobs) -> None:
        """Be a member of the group until the end, or until the client can't go on."""
        session = None
        try:
            session = Session(self.source, self._writer, jobs, self._trouble, self._progress, self._linger_s)
            session.join()
            self._backoff.succeed()
            while not self._ending.has_begun():
                session.step()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next try may work
            self._fail(error)
        finally:
            if session is not None:
                session.close(min(_LEAVE_WITHIN_S, self._ending.left_s))

    def _fail(self, error: Exception) -> None:
        reason = describe(error)
        if isinstance(error, ConfigurationError):
            self._backoff.pause(PAUSE_S)
        else:
            self._backoff.fail()
        self._progress.note_source(reason)
        report(
            logger, logging.ERROR, "source_fails", "%s can't be read, and is tried again: %s", self.source.name, reason,
            source=self.source.name, reason=reason,
        )  # fmt: skip
