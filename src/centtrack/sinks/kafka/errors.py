"""What errors of a Kafka cluster mean for a batch, in our own words: the brokers' may quote what is secret."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

from confluent_kafka import KafkaError

from centtrack.errors import ConfigurationError, Rejected, RetryLater
from centtrack.sinks.kafka.settings import Settings

_ACLS = "kafka-acls.sh --bootstrap-server {servers} --add --allow-principal {principal} --operation Write --operation "
_MENDED = {
    KafkaError._AUTHENTICATION: "the brokers don't accept this user with this password and mechanism",
    KafkaError.SASL_AUTHENTICATION_FAILED: "the brokers don't accept this user with this password and mechanism",
    KafkaError.UNSUPPORTED_SASL_MECHANISM: "the brokers don't know this mechanism: see option mechanism",
    KafkaError.ILLEGAL_SASL_STATE: "the brokers want another kind of connection: see option security",
    KafkaError._SSL: "no TLS: the brokers' certificate isn't trusted or names another host, or they want one "
    "from here, or have no TLS at that port: see options security, ca, cert and key",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "this user may not write to topic {topic}",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "this user may write to no topic",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "there is no topic {topic}",
    KafkaError.INVALID_TIMESTAMP: "topic {topic} takes no messages of that time: raise its "
    "message.timestamp.before.max.ms, or set the clocks",
    KafkaError.POLICY_VIOLATION: "a policy of the brokers refuses the messages",
    KafkaError.UNSUPPORTED_COMPRESSION_TYPE: "the brokers don't know this compression: see option compression",
}
_MENDED[KafkaError._UNKNOWN_TOPIC] = _MENDED[KafkaError.UNKNOWN_TOPIC_OR_PART]
_COMMANDS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _ACLS + "Describe --topic {topic}",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: _ACLS + "Describe --topic {topic}",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "kafka-topics.sh --bootstrap-server {servers} --create --topic {topic} "
    "--partitions 6 --replication-factor 3 --config min.insync.replicas=2",
}
_COMMANDS[KafkaError._UNKNOWN_TOPIC] = _COMMANDS[KafkaError.UNKNOWN_TOPIC_OR_PART]
_REFUSED = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_RECORD,
    KafkaError._INVALID_DIFFERENT_RECORD,  # nothing is wrong with it, but with another one of its batch
    KafkaError.INVALID_MSG_SIZE,
    KafkaError.RECORD_LIST_TOO_LARGE,
}

_NO_ANSWER = "no broker answers"
_OTHER_SECURITY = "; if they run, they may want another kind of connection: see option security"
_SERVER = re.compile(r"([^/\s]+)/(?:bootstrap|\d+): ")  # as the client's errors begin, maybe behind ssl://


class Trouble:
    """What a client told of its connections, beside what became of single messages.

    Attributes:
        codes: of the errors that somebody has to mend, or that the client doesn't recover from.
    """

    def __init__(self) -> None:
        self.codes: set[int] = set()
        self._is_fatal = False
        self._causes: dict[str, str] = {}

    def note(self, error: KafkaError) -> None:
        """Keep an error in mind, if it says more than that a broker is away."""
        self._is_fatal |= error.fatal()
        if error.code() in _MENDED or error.fatal():
            self.codes.add(error.code())
        if server := _SERVER.search(error.str()):
            self._causes[server[1]] = _cause_of(error)

    def not_reached(self, settings: Settings) -> str:
        """That no broker answers; and why, if it is the same with each that the URL names."""
        causes = {self._causes.get(server, "") for server in settings.servers.split(",")}
        cause = causes.pop() if len(causes) == 1 else ""
        return f"{_NO_ANSWER}: {cause}" if cause else _NO_ANSWER + _OTHER_SECURITY

    def forget(self) -> None:
        """Forget what is past, as a broker that was just starting: what is fatal isn't."""
        self._causes.clear()
        if not self._is_fatal:
            self.codes.clear()


def _cause_of(error: KafkaError) -> str:
    """Why there is no connection, in our words; "" if another reason lies behind an error."""
    told = error.str()
    if error.code() == KafkaError._RESOLVE or "Failed to resolve" in told:
        return "no such host is known"
    return "nothing listens there" if "Connection refused" in told else ""


def name_of(code: int) -> str:
    """A code's name, as in MSG_SIZE_TOO_LARGE."""
    return str(KafkaError(code).name())


def mending(settings: Settings, code: int) -> tuple[str, str | None] | None:
    """What is wrong and the command that mends it; None if it isn't for somebody to mend."""
    if code not in _MENDED:
        return None
    names = {"topic": settings.topic, "servers": settings.servers, "principal": settings.principal}
    command = _COMMANDS.get(code)
    return _MENDED[code].format(**names), command and command.format(**names)


def is_refusal(codes: AbstractSet[int]) -> bool:
    """Whether all that failed are messages that the topic will never take."""
    return codes <= _REFUSED


def raise_for(settings: Settings, codes: AbstractSet[int], failed: str) -> None:
    """Raise what some errors mean together. Does nothing if there are none.

    Args:
        settings: of the sink.
        codes: of the errors.
        failed: what didn't work, in words.

    Raises:
        ConfigurationError: if somebody has to mend something.
        RetryLater: if it may work later.
        Rejected: if all that failed are messages that the topic will never take.
    """
    if not codes:
        return
    for code in sorted(codes):
        found = mending(settings, code)
        if found:
            words, command = found
            raise ConfigurationError(f"{settings.name}: {words}" + (f": {command}" if command else ""))
    listed = ", ".join(name_of(code) for code in sorted(codes))
    if is_refusal(codes):
        raise Rejected(f"topic {settings.topic} does not take it: {listed}")
    raise RetryLater(f"{settings.name}: {failed} ({listed})")
