"""Where events are read: a topic, its dead-letter topic, and the group that shares the topic's partitions."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException

from centtrack.errors import ConfigurationError
from centtrack.sinks.kafka.client import find_topic, silent
from centtrack.sinks.kafka.errors import Trouble, raise_for
from centtrack.sinks.kafka.settings import Settings, read_settings

_GROUP = re.compile(r"[A-Za-z0-9._-]{1,200}")
_DEAD = ".dead"
_POLL_WITHIN_MS = 300_000  # a member that asks for nothing for so long is taken for dead by the others
_ACLS = "kafka-acls.sh --bootstrap-server {servers} --add --allow-principal {principal} --operation Read "
_REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "this user may not read topic {topic}: " + _ACLS + "--topic {topic}",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "this user may not join group {group}: " + _ACLS + "--group {group}",
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: "group {group} has members that aren't of centtrack: give it another name "
    "with ?group=NAME",
}


class Source(NamedTuple):
    """What the URL of `--from` says.

    Attributes:
        settings: of clients of the cluster, and the topic.
        group: the consumer group; the partitions are shared among its members.
    """

    settings: Settings
    group: str

    @property
    def name(self) -> str:
        """The URL without credentials."""
        return self.settings.name

    @property
    def topic(self) -> str:
        """Where events are read."""
        return self.settings.topic

    @property
    def dead(self) -> Settings:
        """The topic for what can't be delivered, as a sink of its own."""
        topic = self.topic + _DEAD
        return replace(self.settings, topic=topic, name=self.name.removesuffix(self.topic) + topic)


def read_source(url: str, sink_name: str) -> Source:
    """What a URL says: that of the sink `kafka:`, and `group` beside its options.

    Args:
        url: as in `kafka://user:password@host:9092/topic?group=NAME`.
        sink_name: of the sink that is fed. Unless the URL says otherwise, the group's name is made of it: members that
            feed the same sink share the topic, and those of another sink get all of it too.

    Raises:
        ConfigurationError: if it says nothing that can be used.
    """
    settings = read_settings(url, "group")
    group = settings.more.get("group", _default_group(sink_name))
    if not _GROUP.fullmatch(group):
        raise ConfigurationError("kafka: option group has letters, digits, dots, dashes and underscores, at most 200")
    return Source(settings, group)


def _default_group(sink_name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9]+", "-", sink_name).strip("-")[:60]
    return f"centtrack-{plain}-{hashlib.sha256(sink_name.encode()).hexdigest()[:8]}"


def make_consumer(source: Source, trouble: Trouble) -> Consumer:
    """A consumer, which connects by itself.

    Args:
        source: where from.
        trouble: that it tells of.

    Raises:
        ConfigurationError: if files for TLS aren't what they should be.
    """
    config = {
        **source.settings.client,
        "group.id": source.group,
        # Members keep what they have while others come and go.
        "partition.assignment.strategy": "cooperative-sticky",
        "max.poll.interval.ms": _POLL_WITHIN_MS,
        "session.timeout.ms": 15_000,  # then others get what a member had that was killed
        "heartbeat.interval.ms": 1_000,  # how soon a member hears that others came or went
        "enable.auto.offset.store": False,  # only what the sink has is committed
        "auto.offset.reset": "error",  # where it goes on is found out here, and what is lost by that is counted
        "queued.max.messages.kbytes": 32_768,
        "fetch.message.max.bytes": 1_048_576,
        "error_cb": trouble.note,
    }
    try:
        return Consumer(config, logger=silent)
    except KafkaException as error:  # its text names files, and the like of "bad password"
        raise ConfigurationError(
            f"{source.name}: the client refuses its settings: see options ca, cert and key"
        ) from error


def check_topics(consumer: Consumer, source: Source, trouble: Trouble) -> str:
    """Look whether both topics are there. They aren't made by this.

    Returns:
        The cluster's id.

    Raises:
        ConfigurationError: if one isn't there, or nothing is told to this user; says what mends it.
        RetryLater: if no broker answers.
    """
    for code in (codes := find_topic(consumer, source.settings, trouble)):
        raise_if_refused(source, code)
    raise_for(source.settings, codes, trouble.not_reached(source.settings))
    codes = find_topic(consumer, source.dead, trouble)
    raise_for(source.dead, codes, trouble.not_reached(source.dead))
    return str(consumer.list_topics(source.topic, timeout=10).cluster_id)


def raise_if_refused(source: Source, code: int) -> None:
    """Raise what an error of a member of the group means, if somebody has to mend it.

    Raises:
        ConfigurationError: if so.
    """
    if code in _REFUSED:
        settings = source.settings
        words = _REFUSED[code].format(
            topic=source.topic, group=source.group, servers=settings.servers, principal=settings.principal
        )
        raise ConfigurationError(f"{source.name}: {words}")
