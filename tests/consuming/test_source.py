"""What the URL of `--from` says."""

import pytest

from centtrack.consuming.source import read_source
from centtrack.errors import ConfigurationError

SINK = "delta:/srv/lake"


def test_parts():
    source = read_source("kafka://one:9093,two/events?group=lakes&security=plaintext", SINK)
    assert (source.topic, source.group, source.name) == ("events", "lakes", "kafka://one:9093,two:9092/events")
    assert source.settings.servers == "one:9093,two:9092"
    assert (source.dead.topic, source.dead.name) == ("events.dead", "kafka://one:9093,two:9092/events.dead")


def test_the_group_goes_by_the_sink():
    """Members that feed the same sink share the topic; another sink gets all of it."""
    groups = [read_source("kafka://host/events", name).group for name in (SINK, SINK, "delta:/srv/other")]
    assert groups[0] == groups[1] != groups[2]
    assert groups[0].startswith("centtrack-delta-srv-lake-")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("kafka://host/events?group=", "option group"),
        ("kafka://host/events?group=a%20b", "option group"),
        ("kafka://host/events?group=a&group=b", "option group is given twice"),
        ("kafka://host/events?grup=a", r"no option 'grup'.* group\. Did you mean \"group\""),
        ("kafka://host/", "needs a topic"),
        ("kafka:events", "kafka://HOST"),
        ("redis://host/events", "kafka://HOST"),
    ],
)
def test_wrong(url, words):
    with pytest.raises(ConfigurationError, match=words):
        read_source(url, SINK)


def test_no_credentials_are_shown(monkeypatch):
    monkeypatch.setenv("KAFKA_PASSWORD", "geheim-4711")
    source = read_source("kafka://app:${KAFKA_PASSWORD}@host/events?group=lakes", SINK)
    assert source.settings.client["sasl.password"] == "geheim-4711"
    assert "geheim" not in source.name + source.dead.name + source.group
