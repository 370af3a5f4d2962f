"""Apache Kafka: what a message holds, what is acknowledged, and what is said when something is wrong."""

from __future__ import annotations

import datetime as dt
import os
import signal
import threading

import msgspec
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME
from confluent_kafka.admin import AclOperation

from centtrack import Event
from centtrack.delivery.sending.outlet import Outlet
from centtrack.errors import ConfigurationError, Rejected, RetryLater
from centtrack.sinks import open_sink
from centtrack.sinks.base import Batch, UnreadableBatchError
from centtrack.sinks.kafka import PROBE_HEADER, KafkaSink
from centtrack.testing import SinkContract, make_event
from kafka_cluster import messages
from kafka_security import PLAIN_USER, add_user, allow
from servers import free_port
from waiting import eventually

SECRET = "a-secret%word"
QUOTED = "a-secret%25word"
HEADERS = [("schema_version", b"1"), ("content-type", b"application/json")]


@pytest.fixture
def topic(kafka, request):
    """A topic of the test's own."""
    name = f"{request.node.originalname}-{os.urandom(4).hex()}"
    kafka.make_topic(name, 2)
    return name


@pytest.fixture
def user(kafka):
    """Somebody who is let in, and may do nothing yet."""
    name = f"ann-{os.urandom(4).hex()}"
    add_user(kafka.admin, name, SECRET)
    return name


def url_of(kafka, topic):
    return f"kafka://{kafka.servers}/{topic}"


def sasl_url(kafka, topic, user, password=QUOTED, more=""):
    return f"kafka://{user}:{password}@{kafka.sasl_servers}/{topic}?ca={kafka.security.ca}{more}"


def ssl_url(kafka, topic):
    files = kafka.security
    return f"kafka://{kafka.ssl_servers}/{topic}?security=ssl&ca={files.ca}&cert={files.cert}&key={files.key}"


def stored(kafka, topic):
    return [msgspec.json.decode(message.value(), type=Event) for message in messages(kafka.servers, topic)]


def batch(count=3, sequence=1, **columns):
    return Batch([make_event(**columns) for _ in range(count)], stream="journal/sink", sequence=sequence)


def ids(events):
    return sorted(event.event_id for event in events)


class TestKafkaSink(SinkContract):
    recognises_repeats = False

    @pytest.fixture(autouse=True)
    def _target(self, kafka, topic):
        self.kafka, self.topic = kafka, topic

    def make_sink(self, folder):
        return open_sink(url_of(self.kafka, self.topic))

    def stored(self, folder):
        return stored(self.kafka, self.topic)


def test_a_message_has_key_headers_time_and_json(kafka, topic):
    event = make_event(path="/a", time=dt.datetime(2026, 3, 4, 5, tzinfo=dt.UTC))
    open_sink(url_of(kafka, topic)).write([event])
    (message,) = messages(kafka.servers, topic)
    assert message.key() == event.event_id.encode()
    assert message.headers() == HEADERS
    assert message.timestamp() == (TIMESTAMP_CREATE_TIME, int(event.time.timestamp() * 1_000))
    assert message.value() == msgspec.json.encode(event)


def test_what_is_no_event_is_left_to_the_delivery(kafka, topic):
    with pytest.raises(UnreadableBatchError):
        KafkaSink(url_of(kafka, topic)).write(Batch(lines=b"{}\n", stream="journal/sink", sequence=1))
    assert not list(messages(kafka.servers, topic))


@pytest.mark.parametrize("compression", ["zstd", "lz4", "snappy", "gzip", "none"])
def test_any_compression_can_be_read(kafka, topic, compression):
    sent = batch(50)
    KafkaSink(f"{url_of(kafka, topic)}?compression={compression}").write(sent)
    assert ids(stored(kafka, topic)) == ids(sent)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("kafka://host", "needs a topic"),
        ("kafka://host/", "needs a topic"),
        ("kafka://host/..", "needs a topic"),
        ("kafka://host/a/b", "needs a topic"),
        ("kafka://host/a%20b", "needs a topic"),
        (f"kafka://host/{'a' * 250}", "needs a topic"),
        ("kafka://host/events?compression=zip", "compression is one of"),
        ("kafka://host/events?acks=1", "no option"),
        ("kafka://host/events?mechanism=PLAIN", "takes no user"),
        ("kafka://host/events?ca=/etc/hosts", "takes none of ca"),
        ("kafka://host/events?security=sasl_ssl", "needs a user"),
        ("kafka://user@host/events?security=sasl_ssl", "needs a user"),
        ("kafka://user:secret-word@host/events?security=ssl", "takes no user"),
        ("kafka://user:secret-word@host/events?mechanism=GSSAPI", "mechanism is one of"),
        ("kafka://user:${NOWHERE_SET}@host/events", "NOWHERE_SET"),
    ],
)
def test_a_wrong_url_is_refused(url, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        KafkaSink(url)
    assert "secret-word" not in str(caught.value)


def test_its_name_holds_no_credentials():
    sink = KafkaSink("kafka://ann:secret-word@one,two:9093/events?compression=lz4")
    assert sink.name == "kafka://one:9092,two:9093/events"
    assert "secret" not in str(vars(sink))


def test_a_topic_is_never_made(kafka):
    """Although these brokers make any that is asked for."""
    with pytest.raises(ConfigurationError, match=r"kafka-topics\.sh .* --create --topic nowhere"):
        KafkaSink(url_of(kafka, "nowhere")).open()
    assert "nowhere" not in kafka.admin.list_topics(timeout=30).topics


def test_a_deleted_topic_is_not_made_again(kafka, topic, monkeypatch):
    monkeypatch.setattr("centtrack.sinks.kafka.client.MESSAGE_TIMEOUT_MS", 1_000)
    sink = KafkaSink(url_of(kafka, topic))
    eventually(lambda: what_later(sink, batch()) is None)  # a second may be too little for it
    kafka.admin.delete_topics([topic])[topic].result(30)
    eventually(lambda: topic not in kafka.admin.list_topics(timeout=30).topics)
    with pytest.raises((RetryLater, ConfigurationError)):
        eventually(lambda: sink.write(batch()))  # brokers get to know of it one after another
    with pytest.raises(ConfigurationError, match="there is no topic"):
        eventually(sink.open)
    assert topic not in kafka.admin.list_topics(timeout=30).topics


def test_an_event_that_is_too_large_is_rejected_alone_and_no_other_comes_twice(kafka):
    kafka.make_topic("small", 1, max_message_bytes="3000")
    good = [make_event() for _ in range(20)]
    events = [*good[:7], make_event(path=os.urandom(5_000).hex()), *good[7:]]
    outlet = Outlet(KafkaSink(url_of(kafka, "small")), lambda: None)
    outlet.open()
    ((reason, _),) = outlet.write(Batch(events, stream="journal/sink", sequence=5), len(events))
    outlet.end()
    assert reason == "rejected: topic small does not take it: MSG_SIZE_TOO_LARGE"
    assert ids(stored(kafka, "small")) == ids(good)


def test_larger_than_any_message_is_rejected(kafka, topic):
    with pytest.raises(Rejected, match="MSG_SIZE_TOO_LARGE"):
        KafkaSink(url_of(kafka, topic)).write([make_event(path="x" * 2_000_000)])


def test_messages_that_are_too_old_for_the_topic_pause_delivery(kafka):
    kafka.make_topic("recent", 1, message_timestamp_before_max_ms="86400000")
    now = [make_event(time=dt.datetime.now(dt.UTC)) for _ in range(10)]
    events = [*now[:7], make_event(time=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)), *now[7:]]
    outlet = Outlet(KafkaSink(url_of(kafka, "recent")), lambda: None)
    outlet.open()
    with pytest.raises(ConfigurationError, match=r"message\.timestamp\.before\.max\.ms"):
        outlet.write(Batch(events, stream="journal/sink", sequence=6), len(events))
    outlet.end()


def test_rights_are_named_and_after_a_fatal_error_there_is_a_new_producer(kafka, user):
    """A producer that may write nowhere fails for good: it can't get the number that makes it idempotent."""
    kafka.make_topic("guarded", 1)
    sink, sent = KafkaSink(sasl_url(kafka, "guarded", user)), batch()
    with pytest.raises(
        ConfigurationError, match=rf"kafka-acls\.sh .* --allow-principal User:{user} .* --topic guarded"
    ):
        sink.write(sent)
    allow(kafka.admin, user, "guarded", AclOperation.DESCRIBE)
    eventually(lambda: what_open_raises(sink) is None)
    with pytest.raises(ConfigurationError, match=r"may write to no topic.* --topic guarded") as caught:
        eventually(lambda: sink.write(sent))
    assert SECRET not in str(caught.value)
    last = list(sink.check())[-1]
    assert last.problem in {"this user may write to no topic", "this user may not write to topic guarded"}
    assert last.fix.startswith("kafka-acls.sh")
    allow(kafka.admin, user, "guarded", AclOperation.WRITE)
    eventually(lambda: what_write_raises(sink, sent) is None)  # the same object, never opened by us
    assert ids(stored(kafka, "guarded")) == ids(sent)
    findings = list(sink.check())
    assert not [finding for finding in findings if finding.problem]
    assert findings[-1].what == "may not read what is written, and need not"


def what_open_raises(sink):
    try:
        sink.open()
    except ConfigurationError as error:
        return error


def what_write_raises(sink, events):
    try:
        sink.write(events)
    except ConfigurationError as error:
        return error


@pytest.mark.parametrize(
    "of", [
        sasl_url,
        lambda kafka, topic, _: sasl_url(kafka, topic, *PLAIN_USER, "&mechanism=PLAIN"),
        lambda kafka, topic, _: ssl_url(kafka, topic),
    ], ids=["SCRAM", "PLAIN", "certificate"],
)  # fmt: skip
def test_users_and_certificates(kafka, user, topic, of):
    for name in (user, PLAIN_USER[0], "app"):
        allow(kafka.admin, name, topic, AclOperation.DESCRIBE, AclOperation.WRITE)
    sink, sent = KafkaSink(of(kafka, topic, user)), batch()
    eventually(lambda: what_write_raises(sink, sent) is None)
    assert ids(stored(kafka, topic)) == ids(sent)


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (lambda kafka, user: sasl_url(kafka, "events", user, password="wrong-word"), "user with this password"),
        (
            lambda kafka, user: sasl_url(kafka, "events", user, more="&mechanism=SCRAM-SHA-256"),
            "user with this password",
        ),
        (lambda kafka, user: sasl_url(kafka, "events", user).partition("?")[0], "see options security, ca"),
        (
            lambda kafka, user: sasl_url(kafka, "events", user).replace("127.0.0.1", "localhost"),
            "see options security, ca",
        ),
        (lambda kafka, _: ssl_url(kafka, "events").replace("cert.pem", "ca.pem"), "refuses its settings"),
    ],
    ids=["password", "mechanism", "authority", "host", "certificate"],
)
def test_who_is_not_let_in_is_told(kafka, user, of, said, capfd):
    url = of(kafka, user)
    with pytest.raises(ConfigurationError, match=said) as caught:
        KafkaSink(url).open()
    findings = list(KafkaSink(url).check())
    assert said in findings[-1].problem
    told = f"{caught.value} {findings} {capfd.readouterr()}"
    assert "-word" not in told
    assert SECRET not in told


@pytest.mark.parametrize(
    "of",
    [
        lambda kafka: url_of(kafka, "events") + "?security=ssl",
        lambda kafka: f"kafka://{kafka.ssl_servers}/events",
    ],
    ids=["TLS where there is none", "no TLS where there is"],
)
def test_no_answer_is_waited_for(kafka, of, monkeypatch, capfd):
    monkeypatch.setattr("centtrack.sinks.kafka.client.FOUND_WITHIN_S", 0.3)
    with pytest.raises(RetryLater, match=r"no broker answers.* see option security \(_\w+\)"):
        KafkaSink(of(kafka)).open()
    (finding,) = KafkaSink(of(kafka)).check()
    assert "no broker answers" in finding.problem
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        ("127.0.0.1:{}", "nothing listens there"),
        ("127.0.0.1:{0},127.0.0.2:{0}", "nothing listens there"),
        ("no-such-host.invalid:{}", "no such host is known"),
        ("[::1]:{}", "nothing listens there"),
        ("no-such-host.invalid:{0},127.0.0.1:{0}", "see option security"),  # each for a reason of its own
    ],
)
def test_why_there_is_no_connection(servers, said, monkeypatch):
    monkeypatch.setattr("centtrack.sinks.kafka.client.FOUND_WITHIN_S", 2.0)
    url = f"kafka://{servers.format(free_port())}/events"
    with pytest.raises(RetryLater, match=rf"no broker answers[:;] .*{said} \(_\w+\)$"):
        KafkaSink(url).open()
    (finding,) = KafkaSink(url).check()
    assert said in finding.problem


def test_a_forked_child_has_a_producer_of_its_own(kafka, topic):
    sink = KafkaSink(url_of(kafka, topic))
    sink.write(batch(1, 1))
    child = os.fork()
    if not child:
        try:
            sink.write(batch(1, 2))
            sink.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    sink.write(batch(1, 3))
    assert len(stored(kafka, topic)) == 3


def test_close_ends_a_call_that_hangs_and_the_batch_comes_again(kafka, topic):
    """All brokers hang in the middle of it."""
    sink, sent, raised = KafkaSink(url_of(kafka, topic)), batch(500), []
    sink.write(batch(1, 0))
    producer = sink._producer

    def write():
        with pytest.raises(RetryLater, match="500 events weren't acknowledged") as caught:
            sink.write(sent)
        raised.append(caught.value)

    kafka.signal(signal.SIGSTOP)
    try:
        thread = threading.Thread(target=write)
        thread.start()
        eventually(lambda: len(producer) == 500)
        sink.close()
        thread.join(30)
    finally:
        kafka.signal(signal.SIGCONT)
    assert raised
    eventually(lambda: what_later(sink, sent) is None, 60)
    assert set(ids(sent)) < set(ids(stored(kafka, topic)))


def what_later(sink, events):
    try:
        sink.write(events)
    except RetryLater as error:
        return error


def test_check_writes_a_probe_that_consumers_can_tell(kafka, topic):
    findings = list(KafkaSink(url_of(kafka, topic)).check())
    assert not [finding for finding in findings if finding.problem]
    assert findings[-1].what == "the probe was read back"
    (probe,) = messages(kafka.servers, topic)
    assert probe.headers() == [(PROBE_HEADER, b"1")]
    assert probe.value() == b""


def test_check_says_what_is_wrong_with_a_topic(kafka):
    kafka.make_topic(
        "careless", 1, min_insync_replicas="1", unclean_leader_election_enable="true", cleanup_policy="compact",
        message_timestamp_type="LogAppendTime", message_timestamp_before_max_ms="1000", max_message_bytes="1000",
    )  # fmt: skip
    findings = [finding for finding in KafkaSink(url_of(kafka, "careless")).check() if finding.problem]
    assert "deletes old messages (cleanup.policy=compact)" in [finding.what for finding in findings]
    fixes = [finding.fix for finding in findings]
    assert [fix.partition("--add-config ")[2] for fix in fixes] == [
        "min.insync.replicas=2",
        "unclean.leader.election.enable=false",
        "cleanup.policy=delete",
        "message.timestamp.type=CreateTime",
        "message.timestamp.before.max.ms=9223372036854775807",
        "max.message.bytes=1048588",
    ]


def test_check_says_which_command_makes_the_topic(kafka):
    findings = list(KafkaSink(url_of(kafka, "nowhere")).check())
    assert [finding.problem for finding in findings] == [None, "there is no topic nowhere"]
    assert findings[1].fix.startswith("kafka-topics.sh")
