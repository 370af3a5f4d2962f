"""A real Kafka cluster for the tests: three brokers on the loopback, any of which can be killed and started again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import pytest
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, PartitionMetadata

from kafka_security import Security
from servers import free_port
from waiting import eventually

BROKERS = (1, 2, 3)
PARTITIONS = 6
_FETCHED = Path(__file__).parent.parent / ".ci/cache/kafka/jars"
_CLUSTER_ID = "Y2VudHRyYWNrLXRlc3Rpbg"
_START_WITHIN_S = 100  # three virtual machines on a busy one
_JAVA = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
# Small, and quick to notice that a broker is gone: 9 seconds by default, as long as a test should take.
_PROPERTIES = """
process.roles=broker,controller
node.id={number}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{secured}
controller.listener.names=CONTROLLER
controller.quorum.voters={voters}
log.dirs={folder}/data
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controlled.shutdown.enable=false
auto.create.topics.enable=false
min.insync.replicas=2
offsets.topic.num.partitions=1
offsets.topic.replication.factor=3
group.initial.rebalance.delay.ms=0
num.network.threads=1
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
"""


@contextlib.contextmanager
def kafka_cluster(*, secured: bool = False) -> Iterator[KafkaCluster]:
    """A cluster of the test's own, whose brokers it may kill.

    Args:
        secured: whether it listens with TLS, users and rights, too.
    """
    jars = Path(os.environ.get("CENTTRACK_TEST_KAFKA") or _FETCHED)
    if not any(jars.glob("kafka_*.jar")):
        pytest.skip("needs the jars of scripts/fetch_kafka.sh, or CENTTRACK_TEST_KAFKA, which names their folder")
    java = shutil.which("java") or pytest.skip("needs Java 17 or newer")
    folder = Path(tempfile.mkdtemp(prefix="centtrack-kafka-"))
    try:
        security = Security(folder) if secured else None
        with KafkaCluster([java, *_JAVA, "-cp", f"{jars}/*"], folder, security) as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class KafkaCluster:
    """Three brokers, each also a controller, so that two of them make a quorum.

    Args:
        java: the command, with its class path.
        folder: of its own.
        security: for listeners beside the plain one.

    Attributes:
        servers: what clients call `bootstrap.servers`.
        ssl_servers: the same, where a certificate is wanted.
        sasl_servers: the same, where user and password are wanted, over TLS.
        security: as given.
        admin: may do all.
    """

    def __init__(self, java: list[str], folder: Path, security: Security | None = None) -> None:
        self._java, self._folder = java, folder
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        ports = {number: (free_port(), free_port()) for number in BROKERS}
        ssl, sasl = ({number: free_port() for number in BROKERS} for _ in range(2))
        voters = ",".join(f"{number}@127.0.0.1:{controller}" for number, (_, controller) in ports.items())
        for number, (port, controller) in ports.items():
            (folder / str(number)).mkdir()
            listeners = f",SSL://127.0.0.1:{ssl[number]},SASL_SSL://127.0.0.1:{sasl[number]}" if security else ""
            properties = _PROPERTIES.format(
                number=number, port=port, controller=controller, voters=voters, folder=folder / str(number),
                secured=listeners,
            )  # fmt: skip
            self._settings(number).write_text(properties + (security.properties if security else ""))
        self.servers = _joined(port for port, _ in ports.values())
        self.ssl_servers, self.sasl_servers = _joined(ssl.values()), _joined(sasl.values())
        self.security = security
        self.admin = AdminClient({"bootstrap.servers": self.servers, "allow.auto.create.topics": False, "log_level": 0})

    def make_topic(self, name: str, partitions: int = PARTITIONS, **config: str) -> None:
        """Make a topic that all brokers have, and of which two must have an event before it is acknowledged.

        Args:
            name: of the topic.
            partitions: how many parts it has.
            **config: more of its settings, with underscores for dots.
        """
        given = {key.replace("_", "."): value for key, value in config.items()}
        topic = NewTopic(name, partitions, len(BROKERS), config={"min.insync.replicas": "2", **given})
        eventually(lambda: self._has_made(topic), _START_WITHIN_S)
        self.wait_until_whole(name)

    def wait_until_whole(self, topic: str) -> None:
        """Wait until every broker has all of a topic."""
        eventually(lambda: self._copies(topic) == {len(BROKERS)}, _START_WITHIN_S)

    def leader(self, topic: str, partition: int) -> int:
        """The broker that clients send a part of a topic to; -1 if there is none now."""
        known = self._partitions(topic)
        return known[partition].leader if partition in known else -1

    def start(self, *brokers: int) -> None:
        """Start brokers. They are there some seconds later."""
        for number in brokers:
            self._processes[number] = self._run(number, "kafka.Kafka", str(self._settings(number)))

    def kill(self, *brokers: int) -> None:
        """SIGKILL to brokers."""
        for number in brokers:
            self._processes[number].kill()
        for number in brokers:
            self._processes.pop(number).wait(30)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all brokers: with SIGSTOP they hang, until SIGCONT."""
        for process in self._processes.values():
            process.send_signal(number)

    def log(self) -> str:
        """What the brokers complained of."""
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("*/log")))

    def _settings(self, number: int) -> Path:
        return self._folder / str(number) / "server.properties"

    def _run(self, number: int, *arguments: str) -> subprocess.Popen[bytes]:
        folder = self._folder / str(number)
        with (folder / "log").open("ab") as log:
            return subprocess.Popen([*self._java, *arguments], cwd=folder, stdout=log, stderr=log)

    def _format(self) -> None:
        """Make the folders of all brokers, at once."""
        for number in BROKERS:
            options = ("format", "--cluster-id", _CLUSTER_ID, "--config", str(self._settings(number)))
            self._processes[number] = self._run(number, "kafka.tools.StorageTool", *options)
        for number in BROKERS:
            assert self._processes.pop(number).wait(_START_WITHIN_S) == 0, self.log()

    def _has_made(self, topic: NewTopic) -> bool:
        gone = [number for number, process in self._processes.items() if process.poll() is not None]
        assert not gone, self.log()
        with contextlib.suppress(KafkaException):
            self.admin.create_topics([topic], operation_timeout=10, request_timeout=10)[topic.topic].result()
        return bool(self._partitions(topic.topic))  # also if it was made although the answer came too late

    def _copies(self, topic: str) -> set[int]:
        """How many brokers have the parts of a topic."""
        return {len(partition.isrs) for partition in self._partitions(topic).values()}

    def _partitions(self, topic: str) -> dict[int, PartitionMetadata]:
        """What the brokers know of a topic; nothing while none answers."""
        with contextlib.suppress(KafkaException):
            return self.admin.list_topics(topic, timeout=10).topics[topic].partitions
        return {}

    def __enter__(self) -> Self:
        try:
            self._format()
            self.start(*BROKERS)
        except BaseException:
            self.kill(*self._processes)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill(*self._processes)


def messages(servers: str, topic: str) -> Iterator[Message]:
    """All messages that a topic has now, one partition after another."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "judge", "log_level": 0})
    try:
        for partition in partitions_of(consumer, topic):
            first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=60)
            consumer.assign([TopicPartition(topic, partition, first)])
            while first < end:
                for message in consumer.consume(min(1_000, end - first), timeout=10):
                    assert message.error() is None, message.error()
                    first = message.offset() + 1
                    yield message
    finally:
        consumer.close()


def partitions_of(consumer: Consumer, topic: str) -> list[int]:
    """The parts of a topic. A broker that was just started knows none at first."""
    return eventually(lambda: list(consumer.list_topics(topic, timeout=60).topics[topic].partitions))


def _joined(ports: Iterable[int]) -> str:
    return ",".join(f"127.0.0.1:{port}" for port in ports)
