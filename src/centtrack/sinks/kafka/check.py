"""What `centtrack sink check` looks at in a Kafka cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    ResourceType,
    TopicMetadata,
)

from centtrack.errors import ConfigurationError
from centtrack.sinks.finding import Finding
from centtrack.sinks.kafka.client import find_topic, give_up, make_producer, poll, silent
from centtrack.sinks.kafka.errors import Trouble, mending, name_of
from centtrack.sinks.kafka.settings import PROBE_HEADER, Settings

_WITHIN_S = 10.0
_PAUSE_S = 0.1
_ABOUT_TOPIC = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
_DAY_MS = 86_400_000
_CLIENT_MAX_BYTES = 1_000_000


class _Rule(NamedTuple):
    """What a setting of a topic should be.

    Attributes:
        setting: its name.
        what: what follows from a good value, in words.
        is_good: whether a value is as it should be.
        problem: what is wrong with others.
        better: value to set.
    """

    setting: str
    what: str
    is_good: Callable[[str], bool]
    problem: str
    better: str


_RULES = (
    _Rule(
        "min.insync.replicas",
        "acknowledges what two brokers have",
        lambda value: int(value) >= 2,
        "an event is acknowledged when a single broker has it, and lost with that",
        "2",
    ),
    _Rule(
        "unclean.leader.election.enable",
        "lets no broker take over that lacks events",
        lambda value: value == "false",
        "a broker that lacks acknowledged events may take over, and they are lost",
        "false",
    ),
    _Rule(
        "cleanup.policy",
        "deletes old messages",
        lambda value: "delete" in value,
        "one goes only when another comes with the same key, and no other does",
        "delete",
    ),
    _Rule(
        "message.timestamp.type",
        "keeps the events' own time",
        lambda value: value == "CreateTime",
        "messages bear the time of their delivery instead of the event's",
        "CreateTime",
    ),
    _Rule(
        "message.timestamp.before.max.ms",
        "takes events that are a month old",
        lambda value: int(value) >= 30 * _DAY_MS,
        "events that waited long, or were imported, are refused",
        str(2**63 - 1),
    ),
    _Rule(
        "max.message.bytes",
        "takes messages of 1 MB together",
        lambda value: int(value) >= _CLIENT_MAX_BYTES,
        "messages are sent together, up to 1 MB, and are refused together if that is more than the topic takes",
        "1048588",
    ),
)


def look(settings: Settings) -> Iterator[Finding]:
    """Look at everything, one after another, until something is missing that the rest needs."""
    trouble = Trouble()
    try:
        producer = make_producer(settings, trouble, reports_all=True)
    except ConfigurationError as error:
        yield Finding("can make a client", str(error))
        return
    try:
        yield from _look(producer, settings, trouble)
    except KafkaException as error:
        yield _finding("answers all that is asked", settings, {error.args[0].code()}, trouble)
    finally:
        give_up(producer, os.getpid())


def _look(producer: Producer, settings: Settings, trouble: Trouble) -> Iterator[Finding]:
    codes = find_topic(producer, settings, trouble)
    in_the_way = codes - _ABOUT_TOPIC
    yield _finding("reaches the brokers, and is let in", settings, in_the_way, trouble)
    if in_the_way:
        return
    yield _finding(f"finds topic {settings.topic}, and may see it", settings, codes, trouble)
    if codes:
        return
    topic = producer.list_topics(settings.topic, timeout=_WITHIN_S).topics[settings.topic]
    yield _copies(topic)
    yield from _settings_of_topic(settings, topic)
    yield from _try_out(producer, settings, trouble)


def _finding(what: str, settings: Settings, codes: set[int], trouble: Trouble) -> Finding:
    """What was found, from codes of errors; a problem if there are any."""
    if not codes:
        return Finding(what)
    for code in sorted(codes):
        found = mending(settings, code)
        if found:
            return Finding(what, *found)
    return Finding(what, f"{trouble.not_reached(settings)} ({', '.join(map(name_of, sorted(codes)))})")


def _copies(topic: TopicMetadata) -> Finding:
    copies = min(len(partition.replicas) for partition in topic.partitions.values())
    what = f"it has {len(topic.partitions)} partitions, in {copies} {'copy' if copies == 1 else 'copies'}"
    if copies > 1:
        return Finding(what)
    return Finding(what, "each event is on a single broker, and lost with its disk: make the topic with more copies")


def _settings_of_topic(settings: Settings, topic: TopicMetadata) -> Iterator[Finding]:
    resource = ConfigResource(ResourceType.TOPIC, settings.topic)
    try:
        admin = AdminClient(settings.client, logger=silent)
        entries = admin.describe_configs([resource], request_timeout=_WITHIN_S)[resource].result(_WITHIN_S)
    except (KafkaException, TimeoutError):
        yield Finding("its settings can't be read by this user, so they weren't looked at")
        return
    values = {name: entry.value for name, entry in entries.items()}
    is_single = any(len(partition.replicas) == 1 for partition in topic.partitions.values())
    for rule in _RULES:
        if rule.setting in values and not (is_single and rule.setting == "min.insync.replicas"):
            yield _judged(settings, rule, values[rule.setting])
    yield _retention(values)


def _judged(settings: Settings, rule: _Rule, value: str) -> Finding:
    what = f"{rule.what} ({rule.setting}={value})"
    if rule.is_good(value):
        return Finding(what)
    alter = f"kafka-configs.sh --bootstrap-server {settings.servers} --alter --entity-type topics --entity-name"
    return Finding(what, rule.problem, f"{alter} {settings.topic} --add-config {rule.setting}={rule.better}")


def _retention(values: Mapping[str, str]) -> Finding:
    """How long messages are kept: something to know, which isn't wrong by itself."""
    milliseconds = int(values.get("retention.ms", "-1"))
    if milliseconds < 0 or "delete" not in values.get("cleanup.policy", ""):
        return Finding("it keeps messages for ever, as far as their time goes")
    return Finding(f"it keeps messages for {milliseconds / _DAY_MS:.3g} days after their time")


def _try_out(producer: Producer, settings: Settings, trouble: Trouble) -> Iterator[Finding]:
    """Write a probe and read it back."""
    written: list[Message] = []
    codes: set[int] = set()

    def note(error: KafkaError | None, message: Message) -> None:
        if error is None:
            written.append(message)
        else:
            codes.add(error.code())

    try:
        producer.produce(settings.topic, b"", PROBE_HEADER, headers=[(PROBE_HEADER, b"1")], on_delivery=note)
    except KafkaException as error:
        codes.add(error.args[0].code())
    poll(producer, trouble, 0)  # after a fatal error there is nothing to wait for, but to be told why
    until = time.monotonic() + _WITHIN_S
    while len(producer) and time.monotonic() < until and not trouble.codes:
        poll(producer, trouble, _PAUSE_S)
    if not written:
        yield _finding("may write", settings, codes | trouble.codes or {KafkaError._TIMED_OUT}, trouble)
        return
    yield Finding("may write: a probe was written")
    yield _read_back(settings, written[0])


def _read_back(settings: Settings, written: Message) -> Finding:
    config = {**settings.client, "group.id": "centtrack-check", "enable.auto.commit": False}
    consumer = Consumer(config, logger=silent)
    try:
        consumer.assign([TopicPartition(settings.topic, written.partition() or 0, written.offset() or 0)])
        until = time.monotonic() + _WITHIN_S
        while time.monotonic() < until:
            message = consumer.poll(_PAUSE_S)
            if message is None:
                continue
            error = message.error()
            if error is None:
                return Finding("the probe was read back")
            if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                return Finding("may not read what is written, and need not")
    finally:
        consumer.close()
    return Finding("reads the probe back", f"it could not be read within {_WITHIN_S:.0f} s")
