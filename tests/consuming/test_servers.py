"""A feeder, a real topic, and sinks that are servers."""

from collections import Counter
from uuid import uuid4

import psycopg
import pytest

from centtrack.sinks import open_sink
from lakes import events_of
from s3 import make_bucket
from topics import Topic, feeding
from waiting import eventually


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("centtrack.consuming.session.LAKE_LINGER_S", 0.1)
    monkeypatch.setattr("centtrack.consuming.feeder.LAKE_LINGER_S", 0.1)


@pytest.fixture
def place(request, s3_url, postgresql_url):
    """URL of a sink, and what tells the ids that are there."""
    table = f"event_{uuid4().hex[:12]}"
    bucket = make_bucket(s3_url)

    def ids_in_postgresql():
        with psycopg.connect(postgresql_url) as connection:
            return [str(event_id) for (event_id,) in connection.execute(f"select event_id from {table}")]

    def ids_in_lake():
        return [event.event_id for event in events_of(f"s3://{bucket}/lake")]

    places = {
        "postgresql": (f"{postgresql_url}?table={table}", ids_in_postgresql),
        "object store": (f"delta:s3://{bucket}/lake", ids_in_lake),
    }
    return places[request.param]


@pytest.mark.parametrize(("place", "again"), [("postgresql", 60), ("object store", 0)], indirect=["place"])
def test_each_event_is_there_once_whatever_the_group_remembers(kafka, place, again):
    """A lake knows where it is; elsewhere all is written again, and the table's key keeps it out."""
    (url, ids), topic = place, Topic(kafka)
    expected = topic.fill(60)

    def feed(group, delivered):
        with feeding(f"{topic.url}?group={topic.name}-{group}", open_sink(url)) as feeder:
            eventually(lambda: feeder.state().sink.delivered == delivered)
        assert Counter(ids()) == dict.fromkeys(expected, 1)

    feed("first", 60)
    expected += topic.fill(20)
    feed("second", again + 20)
