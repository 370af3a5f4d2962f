"""What the log says when a process begins to record."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence

from centtrack.capture.capture import Capture
from centtrack.delivery import clock
from centtrack.policy.policy import PrivacyPolicy
from centtrack.policy.recipients import find_idle_limits, find_unmatched, recipient_of


def announce(capture: Capture, sinks: Sequence[str], bucket_s: int | None) -> Iterator[tuple[int, str]]:
    """Level and text of each line.

    Args:
        capture: with the policy in force.
        sinks: names of the sinks.
        bucket_s: length of the buckets of time that events are held for, in seconds; None: they aren't.
    """
    if not capture.secrets:
        yield (
            logging.WARNING,
            "no secret is given, so consent can be neither read nor granted: set secret= of the middleware or "
            "$CENTTRACK_SECRET; `openssl rand -hex 32` makes one",
        )
    yield _where_to(", ".join(sinks), bucket_s)
    yield from _about_sinks(capture.policy, sinks)


def _about_sinks(policy: PrivacyPolicy, sinks: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Where the policy's words about sinks may not be what somebody meant."""
    if idle := find_idle_limits(policy, sinks):
        yield (
            logging.WARNING,
            f"{policy.source}: no sink gets anything of {', '.join(idle)}; what is recorded under these limits "
            "serves no purpose: set them to their coarsest level, or name their columns in the `fields` of a sink",
        )
    # Where each sink has its entry, others may be another process's: that of a consumer behind Kafka, say.
    has_undeclared = any(not recipient_of(policy.document, name).entries for name in sinks)
    for entry in find_unmatched(policy.document, sinks) if has_undeclared else ():
        yield (
            logging.WARNING,
            f'{policy.source}: [[sinks]] names "{entry.name}", but the sinks here are named {", ".join(sinks)}: '
            "what it says of that one holds for none of them",
        )


def _where_to(names: str, bucket_s: int | None) -> tuple[int, str]:
    if bucket_s is None:
        return logging.INFO, f"recording to {names}"
    released = time.strftime("%H:%M", time.gmtime((clock.now() // bucket_s + 1) * bucket_s))
    # Nobody should wonder where the first event is, and few servers show INFO.
    return (
        logging.WARNING,
        f"recording to {names}; events are released every {bucket_s // 60} minutes, next at {released} UTC, because "
        "the policy keeps times no finer",
    )
