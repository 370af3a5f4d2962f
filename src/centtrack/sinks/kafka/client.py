"""Clients of a Kafka cluster: made, asked for a topic, given up."""

from __future__ import annotations

import logging
import os
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from centtrack.errors import ConfigurationError
from centtrack.sinks.kafka.errors import Trouble, mending
from centtrack.sinks.kafka.settings import Settings

FOUND_WITHIN_S = 10.0
_ANSWER_WITHIN_S = 0.2  # at first: who waits for an answer isn't told of what is in the way
_LONGEST_WAIT_S = 4.0
_PAUSE_S = 0.1
MESSAGE_TIMEOUT_MS = 15_000  # below the sink's `timeout_s`: each message's fate is known before a call is given up
_MAX_QUEUE_KB = 65_536  # a batch has at most 16 MB and one commit more; the client's own limit is a gigabyte

# The client's own log goes nowhere: what matters of it comes as errors too. By itself it writes to stderr.
silent = logging.Logger("centtrack.kafka")  # it belongs to no tree that an app sets up
silent.addHandler(logging.NullHandler())

_of_parents: list[Producer] = []  # freeing one would wait for threads that a child doesn't have


def make_producer(settings: Settings, trouble: Trouble, *, reports_all: bool = False) -> Producer:
    """A producer, which connects by itself.

    Args:
        settings: of the sink.
        trouble: that it tells of.
        reports_all: whether it reports on messages that were acknowledged, too.

    Raises:
        ConfigurationError: if files for TLS aren't what they should be.
    """
    config = {
        **settings.client,
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": settings.compression,
        "message.timeout.ms": MESSAGE_TIMEOUT_MS,
        "request.timeout.ms": 10_000,
        "queue.buffering.max.kbytes": _MAX_QUEUE_KB,
        "allow.auto.create.topics": False,
        "delivery.report.only.error": not reports_all,
        "error_cb": trouble.note,
    }
    try:
        return Producer(config, logger=silent)
    except KafkaException:  # its text may quote a setting
        raise ConfigurationError(
            f"{settings.name}: the client refuses its settings: see options ca, cert and key"
        ) from None


def find_topic(client: Producer | Consumer, settings: Settings, trouble: Trouble) -> set[int]:
    """Look whether the topic is there. It isn't made by this.

    Returns:
        Codes of what is in the way; none if the topic is there.
    """
    until, within_s = time.monotonic() + FOUND_WITHIN_S, _ANSWER_WITHIN_S
    while (code := _ask_for_topic(client, settings.topic, within_s)) != KafkaError.NO_ERROR:
        poll(client, trouble, _PAUSE_S)
        if trouble.codes or mending(settings, code) or time.monotonic() > until:
            return {code, *trouble.codes}
        within_s = min(2 * within_s, _LONGEST_WAIT_S)
    return set()


def poll(client: Producer | Consumer, trouble: Trouble, timeout_s: float) -> None:
    """Let a client tell what happened. Unlike this a producer's `flush()` calls back while it raises a fatal error."""
    try:
        client.poll(timeout_s)
    except KafkaException as error:
        trouble.note(error.args[0])


def give_up(producer: Producer, made_by: int) -> None:
    """Drop what a producer still has, which ends those that wait for it; the rest goes when nobody holds it any more.

    Args:
        producer: that isn't used any more.
        made_by: process that made it.
    """
    if made_by == os.getpid():
        producer.purge()
    else:
        _of_parents.append(producer)


def _ask_for_topic(client: Producer | Consumer, topic: str, within_s: float) -> int:
    try:
        error = client.list_topics(topic, timeout=within_s).topics[topic].error
    except KafkaException as failure:
        error = failure.args[0]
    return KafkaError.NO_ERROR if error is None else int(error.code())
