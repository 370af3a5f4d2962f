"""A feeder, a real topic and a real lake."""

import re
import threading

import msgspec
import pytest

from centtrack.consuming import member, partition, session, trouble
from centtrack.consuming.feeder import Feeder
from centtrack.consuming.progress import judge_feed
from centtrack.delivery.sending import backoff
from centtrack.errors import ConfigurationError
from centtrack.policy import PrivacyPolicy
from centtrack.sinks.base import Batch
from centtrack.testing import make_event
from faults.judge import CountingSink
from topics import Topic, feeding
from waiting import eventually


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(session, "LAKE_LINGER_S", 0.1)
    monkeypatch.setattr("centtrack.consuming.feeder.LAKE_LINGER_S", 0.1)
    monkeypatch.setattr(backoff, "LONGEST_S", 0.1)
    monkeypatch.setattr(trouble, "PAUSE_S", 0.1)


@pytest.fixture
def topic(kafka):
    return Topic(kafka)


def wait_for(lake, ids):
    """Wait until all is there, and see that nothing is there twice."""
    eventually(lambda: lake.ids().keys() >= set(ids))
    assert lake.ids() == dict.fromkeys(ids, 1)


def test_it_brings_what_is_there_and_what_comes(topic, lake):
    ids = topic.fill(300)
    with feeding(topic.url, lake.sink()) as feeder:
        wait_for(lake, ids)
        ids += topic.fill(50)
        wait_for(lake, ids)
        eventually(lambda: feeder.state().consumed == 350)  # counted right after
        state = eventually(lambda: (state := feeder.state()).sink.pending == 0 and state)
    assert (state.consumed, state.sink.delivered, state.lag, judge_feed(state).status) == (350, 350, {0: 0}, "ok")
    eventually(lambda: topic.committed(feeder.source.group) == {0: 350})
    assert lake.sink().last_sequence(topic.stream()) == 349


def test_it_goes_on_where_the_lake_is_not_where_the_group_is(topic, lake):
    """The group's offset is committed after the lake's, and may be lost, or set back by anybody."""
    ids = topic.fill(20)
    with feeding(topic.url, lake.sink()):
        wait_for(lake, ids)
    ids += topic.fill(20)
    with feeding(topic.url + "?group=another", lake.sink()) as feeder:
        wait_for(lake, ids)
    assert feeder.state().sink.delivered == 20


def test_a_member_that_was_thought_dead_writes_late(topic, lake):
    """It has read the same messages, and is at it when this one begins: the rest of the batch is written, and once."""
    events = [make_event(path=f"/{number}", time_precision="second") for number in range(30)]
    topic.produce(*events)
    late = Batch(events[:10], stream=topic.stream(), sequence=9, first=0)
    sink = lake.sink()
    write, attempted = sink.write, []

    def overtaken(batch):
        attempted.append((batch.first, batch.sequence))
        if len(attempted) == 1:
            lake.sink().write(late)
        write(batch)

    sink.write = overtaken
    with feeding(topic.url, sink):
        wait_for(lake, [event.event_id for event in events])
    assert attempted == [(0, 29), (10, 29)]
    lake.sink().write(late)  # even later
    wait_for(lake, [event.event_id for event in events])


def test_what_can_not_be_delivered_goes_to_the_dead_letters(topic, lake):
    good = [make_event(path=f"/{number}", time_precision="second") for number in range(40)]
    pretty = msgspec.json.format(msgspec.json.encode(good[0]), indent=2)  # of a producer that isn't ours
    too_large = make_event(path="/large", status=2**63)
    topic.produce(pretty, *good[1:20], b"{", b"no\nevent", None, b'{"event_id": 7}')
    topic.produce(b"x", headers=[("centtrack-probe", b"1")])
    topic.produce(too_large, *good[20:])
    with feeding(topic.url, lake.sink()) as feeder:
        wait_for(lake, [event.event_id for event in good])
        eventually(lambda: feeder.state().sink.pending == 0)
        state = feeder.state()
    letters = [
        (message.value(), dict(message.headers())["centtrack-reason"].decode().partition(":")[0])
        for message in topic.letters()
    ]
    assert sorted(letters, key=str) == sorted(
        [
            (b"{", "unreadable"), (b"no\nevent", "unreadable"), (b"", "unreadable"), (b'{"event_id": 7}', "unreadable"),
            (msgspec.json.encode(too_large), "rejected"),
        ],
        key=str,
    )  # fmt: skip
    places = {dict(message.headers())["centtrack-place"].decode() for message in topic.letters()}
    assert places == {f"{topic.stream()}/{offset}" for offset in (20, 21, 22, 23, 25)}
    assert (state.sink.delivered, state.sink.dead_lettered, state.consumed) == (40, 5, 46)


def test_an_event_that_a_host_sent_twice_is_there_once(topic, lake):
    """Also if the member that read the first one has gone meanwhile. Keys that are no ids tell nothing."""
    events = [make_event(path=f"/{number}", time_precision="second") for number in range(30)]
    topic.produce(*events[:20], *events[10:20])
    with feeding(topic.url, lake.sink()):
        wait_for(lake, [event.event_id for event in events[:20]])
    topic.produce(*events[5:])
    others = [make_event(path="/other", time_precision="second") for _ in range(3)]
    topic.produce(*others, key="shop")
    with feeding(topic.url, lake.sink()) as feeder:
        wait_for(lake, [event.event_id for event in events + others])
    assert (feeder.state().consumed, feeder.state().repeated, feeder.state().sink.delivered) == (28, 15, 13)


def test_a_topic_that_was_made_anew_is_refused(topic, lake):
    ids = topic.fill(20)
    with feeding(topic.url, lake.sink()):
        wait_for(lake, ids)
    topic.delete()
    eventually(lambda: topic.name not in topic.cluster.admin.list_topics(timeout=10).topics)
    topic.make()
    topic.fill(5)
    with feeding(topic.url, lake.sink()) as feeder:
        eventually(lambda: feeder.state().sink.condition == "paused")
        state = feeder.state()
    assert "partition 0 of " in state.sink.problem
    assert "ends at offset 5, but " in state.sink.problem
    assert "is at 20" in state.sink.problem
    assert judge_feed(state).status == "degraded"
    assert lake.ids() == dict.fromkeys(ids, 1)


def test_what_the_topic_deleted_unread_is_counted_and_said(topic, lake, caplog):
    ids = topic.fill(20)
    with feeding(topic.url, lake.sink()):
        wait_for(lake, ids)
    topic.fill(30)
    topic.forget_before(50)
    ids += topic.fill(10)
    with feeding(topic.url, lake.sink()) as feeder:
        wait_for(lake, ids)
    assert (feeder.state().sink.lost, feeder.state().sink.delivered) == (30, 10)
    assert "30 messages of partition 0 were deleted by the topic's retention before they were read" in caplog.text


def test_what_it_deletes_while_the_sink_is_behind_is_counted_too(topic, lake, monkeypatch):
    monkeypatch.setattr(partition, "MAX_EVENTS", 200)
    monkeypatch.setattr(member, "MAX_EVENTS", 200)
    ids = topic.fill(5_000)
    sink, goes_on = lake.sink(), threading.Event()
    write = sink.write
    sink.write = lambda batch: goes_on.wait(60) and write(batch)
    with feeding(topic.url, sink) as feeder:
        eventually(lambda: feeder.state().lag)
        topic.forget_before(4_990)
        goes_on.set()
        eventually(lambda: feeder.state().sink.pending == 0 < feeder.state().sink.lost)
        sink_state = feeder.state().sink
    assert sink_state.lost > 0
    assert sink_state.lost + sink_state.delivered == 5_000
    assert lake.ids().keys() <= set(ids)
    assert lake.ids().total() == sink_state.delivered


def test_members_share_the_partitions(kafka, lake):
    """One comes, one goes, and all is there once."""
    topic = Topic(kafka, partitions=2)
    ids = topic.fill(50, 0) + topic.fill(50, 1)
    with feeding(topic.url, lake.sink()) as stays:
        wait_for(lake, ids)
        with feeding(topic.url, lake.sink()) as goes:
            eventually(lambda: len(goes.state().lag) == 1 == len(stays.state().lag))
            ids += topic.fill(50, 0) + topic.fill(50, 1)
            wait_for(lake, ids)
        eventually(lambda: len(stays.state().lag) == 2)
        ids += topic.fill(50, 0) + topic.fill(50, 1)
        wait_for(lake, ids)
        with feeding(topic.url, lake.sink()) as second, feeding(topic.url, lake.sink()) as third:
            members = (stays, second, third)
            eventually(lambda: sorted(len(member.state().lag) for member in members) == [0, 1, 1])
            eventually(lambda: "standby" in {member.state().sink.condition for member in members})


def test_a_sink_that_hangs_holds_up_no_other_member(kafka, lake, monkeypatch):
    monkeypatch.setattr(session, "_REVOKE_WITHIN_S", 0.1)
    topic = Topic(kafka, partitions=2)
    ids = topic.fill(20, 0) + topic.fill(20, 1)
    sink, goes_on = lake.sink(), threading.Event()
    write = sink.write
    sink.write = lambda batch: goes_on.wait(60) and write(batch)
    with feeding(topic.url, sink) as hangs:
        eventually(lambda: len(hangs.state().lag) == 2)
        with feeding(topic.url, lake.sink()):
            eventually(lambda: len(lake.ids()) == 20)  # what it took over
            goes_on.set()  # and what was under way comes late, or not
            wait_for(lake, ids)


def test_the_policy_holds(topic, tmp_path):
    policy = PrivacyPolicy.parse("""
[limits.default]
time = "second"
page = "path"
[[sinks]]
name = "counting"
party = "third"
purposes = ["analytics"]
retention = 30
""")
    given = {"consent": {"analytics": "given"}, "consent_source": "cookie", "policy_hash": policy.hash}
    sink = CountingSink()
    topic.produce(
        make_event(path="/given", **given, time_precision="second"),
        make_event(path="/other-policy", **{**given, "policy_hash": "x"}, time_precision="second"),
        make_event(path="/unasked", policy_hash=policy.hash, time_precision="second"),
    )
    with feeding(topic.url, sink, policy) as feeder:
        eventually(lambda: feeder.state().consumed == 3)
    assert list(sink.paths) == ["/given"]
    assert feeder.state().withheld == {"policy": 1, "consent": 1}


def test_another_sink_goes_by_the_group(topic):
    """At least once; once, if it ends as it was asked to."""
    sink = CountingSink()
    ids = topic.fill(30)
    with feeding(topic.url, sink):
        eventually(lambda: sink.ids.total() == 30)
    ids += topic.fill(30)
    with feeding(topic.url, sink):
        eventually(lambda: sink.ids.total() == 60)
    assert sink.ids == dict.fromkeys(ids, 1)


def test_a_sink_that_fails_is_tried_again(topic, lake):
    sink, errors = lake.sink(), [ConfigurationError("no table"), OSError(5, "broken"), ConfigurationError("no table")]
    write, conditions = sink.write, []

    def fail(batch):
        conditions.append(feeder.state().sink.condition)
        if errors:
            raise errors.pop(0)
        write(batch)

    sink.write = fail
    ids = topic.fill(10)
    with feeding(topic.url, sink) as feeder:
        wait_for(lake, ids)
        eventually(lambda: feeder.state().sink.condition == "delivering")
    assert conditions[1:] == ["paused", "retrying", "paused"]
    assert feeder.state().sink.retries == 3


def refusal(url, lake):
    """What is in the way of a feeder; nothing if it may begin."""
    try:
        Feeder(url, lake.sink()).check()
    except ConfigurationError as error:
        return str(error)
    return ""


def test_topics_must_be_there(kafka, lake):
    topic = Topic(kafka)
    kafka.admin.delete_topics([topic.dead])[topic.dead].result()
    eventually(lambda: topic.dead not in kafka.admin.list_topics(timeout=10).topics)
    said = eventually(lambda: refusal(topic.url, lake))  # the brokers hear of it one by one
    assert re.search(rf"kafka-topics.sh .* --create --topic {topic.dead}", said)
    with pytest.raises(ConfigurationError, match="there is no topic nowhere"):
        Feeder(f"kafka://{kafka.servers}/nowhere", lake.sink()).check()
