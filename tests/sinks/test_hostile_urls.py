"""URLs that somebody wrote in bad faith, or badly: refused at start, and no secret in any word about them."""

from __future__ import annotations

import logging
import traceback
from importlib.metadata import entry_points
from urllib.parse import quote

import pytest

from centtrack.errors import CenttrackError, ConfigurationError
from centtrack.logs import describe
from centtrack.sinks import open_sink
from centtrack.sinks.base import Batch
from centtrack.sinks.kafka import client
from centtrack.sinks.open import open_sinks
from centtrack.testing import make_event

SECRET = "hunter2-hunter2-hunter2-hunter2"  # long enough for a key of signatures
NOBODY = "127.0.0.1:1"  # no server listens there

# Scheme → a URL of it with a secret in each place that can hold one.
URLS = {
    "postgresql": f"postgresql://user:{SECRET}@{NOBODY}/database?connect_timeout=2",
    "clickhouse": f"clickhouse://user:{SECRET}@{NOBODY}/database",
    "kafka": f"kafka://user:{SECRET}@{NOBODY}/topic?security=sasl_plaintext",
    "redis": f"redis://user:{SECRET}@{NOBODY}/stream",
    "rediss": f"rediss://user:{SECRET}@{NOBODY}/stream",
    "otlp+http": f"otlp+http://user:{SECRET}@{NOBODY}",
    "otlp+https": f"otlp+https://user:{SECRET}@{NOBODY}",
    "https": f"https://user:{SECRET}@{NOBODY}/hook?token={SECRET}#secret={SECRET}&allow=127.0.0.0/8",
}


KINDS = {
    point.name: point.load() for point in entry_points(group="centtrack.sinks") if point.value.startswith("centtrack.")
}


def test_every_scheme_is_tried():
    assert {*KINDS} - {*URLS} == {"memory", "jsonl", "delta"}


def words_of(error):
    """All that a log could show of an error: its text, those of its causes, and the lines of code."""
    return "".join(traceback.format_exception(error)) + describe(error) + repr(error)


def refused(url, make=open_sink):
    """What is said of a URL that is refused; None if it is taken. Nothing else may be raised."""
    try:
        make(url)
    except ConfigurationError as error:
        return words_of(error)
    return None


# Secrets.


@pytest.mark.parametrize("scheme", URLS)
def test_a_sink_shows_no_secret(scheme):
    sink = open_sink(URLS[scheme])
    assert SECRET not in f"{sink.name}{sink!s}{sink!r}{open_sinks([sink])}"
    assert sink.name.startswith(f"{scheme}://{NOBODY}")


@pytest.mark.parametrize("scheme", URLS)
def test_no_secret_in_what_is_said_of_a_server_that_is_away(scheme, caplog, capfd, monkeypatch):
    monkeypatch.setattr(client, "FOUND_WITHIN_S", 0.2)  # else Kafka's client tries for ten seconds, each time
    monkeypatch.setattr(client, "_ANSWER_WITHIN_S", 0.2)
    caplog.set_level(logging.DEBUG)
    sink = open_sink(URLS[scheme])
    try:
        sink.open()
        sink.write(Batch([make_event()], stream="s"))
    except CenttrackError as error:
        said = words_of(error)
    findings = list(sink.check())
    sink.close()
    assert said
    assert [finding for finding in findings if finding.problem]
    printed = capfd.readouterr()
    assert SECRET not in f"{said}{findings}{caplog.text}{printed.out}{printed.err}"


def broken(url):
    """A URL with one mistake in each, and its secrets as they were."""
    scheme, _, rest = url.partition("://")
    before, _, after = rest.partition("@")
    return {
        "wrong scheme": f"x{url}",
        "one slash": url.replace("://", ":/", 1),
        "no slashes": url.replace("://", ":", 1),
        "no scheme": rest,
        "no host": f"{scheme}://{before}@:80/path",
        "wrong port": url.replace(NOBODY, "host:port"),
        "port too large": url.replace(NOBODY, "host:65536"),
        "bracket": url.replace(NOBODY, "[::1"),
        "wrong host": url.replace(NOBODY, "ho$t"),
        "slash in the password": f"{scheme}://user:a/{SECRET}@{after}",
        "hash in the password": f"{scheme}://user:a#{SECRET}@{after}",
        "unknown option": _with_option(url, f"passwrod={SECRET}"),
        "option twice": _with_option(_with_option(url, f"table={SECRET}"), f"table={SECRET}"),
        "value that is none": _with_option(url, f"create={SECRET}"),
        "unset variable": url.replace(f":{SECRET}@", f":{SECRET}${{NOT_SET_ANYWHERE}}@"),
        "newline": url.replace(NOBODY, f"{NOBODY}\n"),
        "blank": url.replace("user", "us er"),
        "null": f"{url}\x00",
    }


def _with_option(url, option):
    """The option where the scheme has its options: behind the # of a webhook, which keeps the ? for itself."""
    if "#" in url:
        return f"{url}&{option}"
    return f"{url}{'&' if '?' in url else '?'}{option}"


@pytest.mark.parametrize("mistake", broken(URLS["redis"]))
@pytest.mark.parametrize("scheme", URLS)
def test_no_secret_in_what_is_said_of_a_mistake(scheme, mistake, caplog):
    caplog.set_level(logging.DEBUG)
    said = refused(broken(URLS[scheme])[mistake])
    assert said is not None
    assert SECRET not in said + caplog.text


# Names that become part of a statement, a path or a protocol.

INJECTIONS = [
    "event; drop table event",
    "event;--",
    'event"; drop table event; --',
    "event' or '1'='1",
    "event`",
    "event/**/",
    "event--",
    "ev ent",
    "ev\nent",
    "ev\tent",
    "event\x00",
    "event\\",
    "$(reboot)",
    "${HOME}x/..",
    "../event",
    "public.event",
    "Event",
    "событие",
    "evеnt",  # noqa: RUF001 - a Cyrillic letter in a Latin word, on purpose
    "1event",
    "-event",
    "e" * 64,
    "",
    "%73%3b",
    "{event}",
]


@pytest.mark.parametrize("name", INJECTIONS)
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://host/database?table={}",
        "postgresql://host/database?schema={}",
        "clickhouse://host/{}",
        "clickhouse://host/database?table={}",
    ],
)
def test_no_name_becomes_a_statement(url, name):
    if not name and url == "clickhouse://host/{}":
        return  # without one it is the server's default
    assert refused(url.format(quote(name, safe=""))) is not None


TOPICS = [
    "", "a/b", "..", ".", "a b", "a\nb", "a\x00b", "тема", "a" * 250, "a;b", "a'b", "a\"b", "{a}", "a%b", "a\r\nx: y",
]  # fmt: skip


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_of_kafka_has_the_letters_that_kafka_allows(topic):
    assert refused(f"kafka://host/{quote(topic, safe='')}") is not None


STREAMS = ["", "a b", "a\nb", "a\x00b", "a\r\nDEL a", "\x1b[31m"]


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_stream_of_redis_has_nothing_that_a_terminal_obeys(scheme, stream):
    assert refused(f"{scheme}://host/{quote(stream, safe='')}") is not None


# Whatever is written, by all schemes.

PLACES = ["{0}://{1}@host/path", "{0}://user:{1}@host/path", "{0}://{1}/path", "{0}://host/{1}", "{0}://host/a?b={1}",
          "{0}://host/a?{1}=b", "{0}://host/a#{1}", "{0}:{1}"]  # fmt: skip
CONTROLS = ["a\nb", "a\r\nb", "a\x00b", "a\x1b[31mb", "a\tb", "a\x7fb"]
UNSEEN = ["a\u202eb", "a\u200bb", "a\x85b", "a\u2028b"]


STRANGE = [
    "://", "//", ":", "?", "#", "@", "%", "[", "]", "[]", "\\", "{}", "%zz", "::::", "@@@", "&&&", "=",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("scheme", URLS)
def test_nothing_that_a_terminal_or_a_log_obeys_is_shown(scheme, place):
    """Either it is refused, in printable words, or the sink's name, which logs and commands show, is printable.

    By the constructor itself: `open_sink()` would turn any error into one of the configuration.
    """
    for text in [*CONTROLS, *UNSEEN, *map(quote, CONTROLS), *map(quote, UNSEEN)]:
        try:
            shown = KINDS[scheme](place.format(scheme, text)).name
        except ConfigurationError as error:
            shown = str(error)
        assert shown.isprintable(), ascii((text, shown))


@pytest.mark.parametrize("scheme", KINDS)
def test_a_very_long_url_costs_nothing_and_is_not_shown(scheme):
    for place in PLACES:
        said = refused(place.format(scheme, "a" * 1_000_000), KINDS[scheme])  # within the time-out that every test has
        assert len(said or "") < 10_000, place


@pytest.mark.parametrize("scheme", URLS)
def test_any_url_is_read_or_refused(scheme):
    for place in PLACES:
        for text in STRANGE:
            refused(place.format(scheme, text), KINDS[scheme])
        refused(place.format(scheme, "\ud800"))  # as the environment has bytes that are no UTF-8
