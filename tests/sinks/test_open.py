"""From what users write to sinks, or to a message that helps."""

from __future__ import annotations

import sys
import traceback

import pytest

from centtrack.errors import ConfigurationError, MissingExtraError
from centtrack.sinks import CallableSink, open_sink
from centtrack.sinks.base import name_of
from centtrack.sinks.delta import DeltaSink
from centtrack.sinks.jsonl import JsonLinesSink
from centtrack.sinks.open import open_sinks
from centtrack.testing import MemorySink, make_event


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory:", MemorySink),
        ("jsonl:./events.jsonl", JsonLinesSink),
        ("jsonl:-", JsonLinesSink),
        ("delta:./lake", DeltaSink),
        ("delta:s3://bucket/lake", DeltaSink),
    ],
)
def test_urls(url, kind):
    assert type(open_sink(url)) is kind


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("dleta:./lake", 'Did you mean "delta:"?'),
        ("jsnol:-", 'Did you mean "jsonl:"?'),
        ("memroy:", 'Did you mean "memory:"?'),
        ("DELTA:./lake", 'Did you mean "delta:"?'),
        ("./lake", '"./lake" names no sink; there are clickhouse:, delta:, https:'),
        ("", "names no sink"),
        ("jsonl:", "needs a path"),
        ("delta:", "needs a folder"),
        ("memory:x", "nothing goes after memory:"),
    ],
)
def test_a_wrong_url_is_told_with_what_is_right(url, says):
    with pytest.raises(ConfigurationError) as caught:
        open_sink(url)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgersql://user:hunter2@host/db",
        "postgersql://user:hunter2@x@host/db",
        "postgersql:user:hunter2@host/db",
        "postgersql://host/db?password=hunter2",
        "memory://user:hunter2@host",
        "hunter2@host:9092",
        "postgresql//hunter2@host:5432/db",
        f"{'x' * 40}hunter2@host:9092/",
    ],
)
def test_credentials_are_never_shown(url):
    with pytest.raises(ConfigurationError) as caught:
        open_sink(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["red\nis://host", "\x1b[31mredis://host", "redis\x00://", "\u202eredis:"])
def test_what_a_terminal_or_a_log_obeys_is_not_shown(url):
    with pytest.raises(ConfigurationError) as caught:
        open_sink(url)
    assert str(caught.value).isprintable()


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr("centtrack.sinks.delta.sink.deltalake", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'centtrack\[delta\]'") as caught:
        open_sink("delta:./lake")
    assert caught.value.extra == "delta"


# What `sink=` may be


class Mine:
    def write(self, events):
        pass


def collect(events):
    return events


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("memory:", ["memory:"]),
        (Mine(), ["Mine"]),
        (collect, [f"{collect.__module__}.collect"]),
        (["memory:", Mine(), collect], ["memory:", "Mine", f"{collect.__module__}.collect"]),
        (("memory:", "jsonl:-"), ["memory:", "jsonl:-"]),
        ((url for url in ["memory:"]), ["memory:"]),
    ],
    ids=["url", "object", "function", "list", "tuple", "generator"],
)
def test_one_or_several(given, names):
    assert [name_of(sink) for sink in open_sinks(given)] == names


def test_the_default_is_in_the_environment(monkeypatch):
    monkeypatch.setenv("CENTTRACK_SINK", "jsonl:-")
    assert [name_of(sink) for sink in open_sinks(None)] == ["jsonl:-"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, 'no sink: say where events go, as in sink="delta:./telemetry", or set $CENTTRACK_SINK'),
        ([], "no sink"),
        (5, "int is no sink"),
        ([object()], "object is no sink"),
        ([None], "NoneType is no sink"),
        (Mine, "Mine is a class"),
        (["memory:", MemorySink()], "two sinks are named memory:"),
        (["jsonl:./a", "jsonl:a"], "two sinks are named jsonl:"),
        ([Mine(), Mine()], "two sinks are named Mine"),
    ],
    ids=str,
)
def test_what_is_no_sink(given, says):
    with pytest.raises(ConfigurationError) as caught:
        open_sinks(given)
    assert says in str(caught.value)


def test_a_function_gets_a_list():
    got = []
    [sink] = open_sinks(got.append)
    assert type(sink) is CallableSink
    event = make_event()
    sink.write((event,))
    assert got == [[event]]


# Sinks of others

THEIRS = """
class TheirSink:
    def __init__(self, url):
        if "wrong" in url:
            raise ValueError(f"{url} needs a topic")
        self.name = url
    def write(self, events):
        pass
"""


@pytest.fixture
def their_package(tmp_path, monkeypatch):
    """An installed package that registers a sink, and two that don't work."""
    (tmp_path / "their_sinks.py").write_text(THEIRS)
    info = tmp_path / "their_sinks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-sinks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[centtrack.sinks]\npulsar = their_sinks:TheirSink\nbroken = their_missing_module:Sink\n"
        "renamed = their_sinks:NotThere\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("their_sinks", None)


@pytest.mark.usefixtures("their_package")
def test_an_installed_package_brings_its_scheme():
    assert open_sink("pulsar://host/topic").name == "pulsar://host/topic"
    with pytest.raises(ConfigurationError, match=r"pulsar:.*Did you mean \"pulsar:\"\?"):
        open_sink("pulsr://host/topic")


@pytest.mark.usefixtures("their_package")
@pytest.mark.parametrize("url", ["pulsar://wrong", "broken://host", "renamed://host"])
def test_a_package_that_fails_is_a_configuration_error(url):
    """The middleware's constructor keeps these, and only these: anything else would break every request."""
    with pytest.raises(ConfigurationError, match=url.partition(":")[0]):
        open_sink(url)


@pytest.mark.usefixtures("their_package")
def test_what_a_package_says_of_a_url_is_not_shown():
    """Nor by the traceback of an app that doesn't start."""
    url = "pulsar://user:hunter2@wrong"
    with pytest.raises(ConfigurationError, match=r"can't be made: ValueError at their_sinks\.py:5") as caught:
        open_sink(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
