"""What a consumer may do on brokers that ask who is there, and what it says when it may not."""

import pytest
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

from centtrack.consuming.feeder import Feeder
from centtrack.consuming.progress import judge_feed
from centtrack.errors import ConfigurationError
from kafka_security import add_user, allow
from topics import Topic, feeding
from waiting import eventually

PASSWORD = "geheim-4711"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("centtrack.consuming.feeder.LAKE_LINGER_S", 0.1)
    monkeypatch.setattr("centtrack.consuming.feeder.PAUSE_S", 0.2)


@pytest.fixture
def topic(kafka):
    topic = Topic(kafka)
    add_user(kafka.admin, topic.name, PASSWORD)  # a user of the test's own
    return topic


def url_of(topic, password=PASSWORD):
    cluster = topic.cluster
    return f"kafka://{topic.name}:{password}@{cluster.sasl_servers}/{topic.name}?group={topic.name}&ca={cluster.security.ca}"


def refusal(topic, lake):
    """What is in the way of a feeder; nothing if it may begin."""
    try:
        Feeder(url_of(topic), lake.sink()).check()
    except ConfigurationError as error:
        return str(error)
    return ""


def test_a_wrong_password(topic, lake):
    with pytest.raises(ConfigurationError, match="don't accept this user") as raised:
        Feeder(url_of(topic, "wrong"), lake.sink()).check()
    assert "wrong" not in str(raised.value)


def test_rights_are_named_one_by_one_and_it_goes_on_when_they_are_there(topic, lake):
    admin = topic.cluster.admin
    ids = topic.fill(10)
    allow(admin, topic.name, topic.name, AclOperation.DESCRIBE)
    allow(admin, topic.name, topic.dead, AclOperation.DESCRIBE, AclOperation.WRITE)
    eventually(lambda: refusal(topic, lake) == "")  # the brokers hear of users and rights one by one
    with feeding(url_of(topic), lake.sink()) as feeder:
        said = f"this user may not join group {topic.name}: kafka-acls.sh"
        eventually(lambda: said in f"{feeder.state().problem} {feeder.state().sink.problem}")
        assert judge_feed(feeder.state()).status == "degraded"
        binding = AclBinding(
            ResourceType.GROUP, topic.name, ResourcePatternType.LITERAL, f"User:{topic.name}", "*", AclOperation.READ,
            AclPermissionType.ALLOW,
        )  # fmt: skip
        admin.create_acls([binding])[binding].result()
        eventually(lambda: "may not read topic" in str(feeder.state().problem))
        allow(admin, topic.name, topic.name, AclOperation.READ)
        eventually(lambda: lake.ids() == dict.fromkeys(ids, 1))
        eventually(lambda: judge_feed(feeder.state()).status == "ok")


def test_the_topic_itself_must_be_seen(topic, lake):
    eventually(lambda: f"may not read topic {topic.name}: kafka-acls.sh" in refusal(topic, lake))
