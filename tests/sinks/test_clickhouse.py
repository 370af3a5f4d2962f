"""ClickHouse: each batch once, errors in our own words, nothing secret shown."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import json
import logging
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
import trustme

from centtrack import Event
from centtrack.errors import ConfigurationError, MissingExtraError, Rejected, RetryLater
from centtrack.schema.clickhouse import create_table
from centtrack.sinks import Batch, http_calls
from centtrack.sinks import open_sink as make_sink
from centtrack.sinks.clickhouse import ClickHouseSink
from centtrack.testing import SinkContract, make_event
from clickhouse import own_clickhouse_server, run_statement, url_of
from waiting import eventually

SECRET = "hunter2"

_made = []


@pytest.fixture(autouse=True)
def _close_sinks():
    yield
    while _made:
        _made.pop().close()


def open_sink(url):
    _made.append(make_sink(url))
    return _made[-1]


def opened(url):
    sink = open_sink(url)
    sink.open()
    return sink


def batch(sequence, *events, stream="journal/sink", **options):
    return Batch(events or [make_event()], stream=stream, sequence=sequence, **options)


def count(url, rest=""):
    [row] = run_statement(url, f"select count() as n from event {rest} format JSONEachRow")
    return row["n"]


def stored(url):
    rows = run_statement(url, "select * from event format JSONEachRow")
    for row in rows:
        row["time"] = f"{row['time'].replace(' ', 'T')}Z"
        row["props"] = row["props"] and json.loads(row["props"])
        row["cookies"] = row["cookies"] or None  # a map can't be null there
    return rows


class TestClickHouseSink(SinkContract):
    @pytest.fixture(autouse=True)
    def _database(self, clickhouse_url):
        self.url = clickhouse_url

    def make_sink(self, folder):
        return open_sink(self.url)

    def stored(self, folder):
        return [msgspec.convert(row, Event) for row in stored(self.url)]


def test_its_rows_have_the_date(clickhouse_url):
    opened(clickhouse_url).write(batch(1, make_event(time=dt.datetime(2026, 11, 22, 23, 59, tzinfo=dt.UTC))))
    assert [row["date"] for row in stored(clickhouse_url)] == ["2026-11-22"]


def test_another_table_and_columns_of_others(clickhouse_url):
    sink = opened(url_of(clickhouse_url, table="visit"))
    run_statement(clickhouse_url, "alter table visit add column note String")
    sink.write(batch(1, make_event(path="/a")))
    rows = run_statement(clickhouse_url, "select path, note from visit format JSONEachRow")
    assert rows == [{"path": "/a", "note": ""}]


def test_columns_that_a_sink_does_not_get_are_empty(clickhouse_url):
    """As the policy's fields leave them out, and as a newer version has some more."""
    event = make_event()
    line = {"event_id": event.event_id, "time": "2026-11-22T15:30:00Z", "time_precision": "minute", "new": [1]}
    opened(clickhouse_url).write(Batch(lines=msgspec.json.encode(line) + b"\n", stream="a", sequence=1))
    [row] = stored(clickhouse_url)
    assert (row["event_id"], row["date"], row["path"], row["consent"]) == (event.event_id, "2026-11-22", None, {})


# Repetitions


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def test_a_batch_is_recognised_after_the_server_was_started_again(how):
    with own_clickhouse_server() as server:
        sink, sent = opened(server.url), batch(7, *[make_event() for _ in range(5)])
        sink.write(sent)
        server.stop(how)
        with pytest.raises(RetryLater, match=r"does not answer: nothing listens there"):
            sink.write(sent)
        server.start()
        sink.write(sent)
        assert count(server.url) == 5


def test_it_is_the_token_that_a_batch_is_recognised_by(clickhouse_url):
    """Not what is in it: that may be less, once the policy was tightened."""
    sink = opened(clickhouse_url)
    event = make_event(path="/a")
    sink.write(batch(7, event))
    sink.write(batch(7, make_event(event_id=event.event_id), repeated=True))
    sink.write(batch(8, event))
    assert count(clickhouse_url) == 2


def test_a_table_without_a_window_doubles_them_until_they_are_merged(clickhouse_url):
    """So it is our statement's window that does it; and what falls out of the window is still one row in the end."""
    statement = create_table("event").replace("non_replicated_deduplication_window = 10000", "index_granularity = 8192")
    run_statement(clickhouse_url, statement)
    sink = opened(clickhouse_url)
    for _ in range(2):
        sink.write(batch(7, *[make_event(event_id=f"0000000{n}-0000-4000-8000-000000000000") for n in range(3)]))
    assert (count(clickhouse_url), count(clickhouse_url, "final")) == (6, 3)
    run_statement(clickhouse_url, "optimize table event final")
    assert count(clickhouse_url) == 3


@pytest.mark.parametrize(
    "events",
    [
        [make_event(time=dt.datetime(2000, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=31 * n)) for n in range(250)],
        [make_event(path="/" + "x" * 2_000) for _ in range(11_000)],
    ],
    ids=["of 250 months", "of 20 MB"],
)
def test_a_large_batch_is_stored_whole_and_once(clickhouse_url, events):
    sink = opened(clickhouse_url)
    for _ in range(2):
        sink.write(batch(1, *events))
    assert count(clickhouse_url) == len(events)


# Values


LINE = msgspec.json.encode(make_event(path="/visitor-4711", status=200))
BAD = {
    "a lone surrogate": LINE.replace(b"/visitor-4711", b"/visitor-4711\\ud83d"),
    "NaN": LINE.replace(b":200", b":NaN"),
    "a text": LINE.replace(b":200", b':"visitor-4711"'),
    "a fraction": LINE.replace(b":200", b":200.5"),
    "no time": LINE.replace(b"2026-11-22T", b"visitor-4711"),
    "a map of others": LINE.replace(b'"cookies":null', b'"cookies":{"visitor-4711":"x"}'),
    "no id": LINE.replace(b'"event_id":"', b'"event_id":"visitor-4711'),
    "half a line": LINE[:200],
    "no JSON": b"visitor-4711",
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD)
def test_a_value_that_does_not_fit_is_rejected_and_not_shown(clickhouse_url, line):
    """The rest of the batch isn't stored with it: the delivery halves the batch, and sends the halves."""
    sink = opened(clickhouse_url)
    good = msgspec.json.encode(make_event())
    with pytest.raises(Rejected, match=r"a value does not fit the table \(error \d+\)$") as caught:
        sink.write(Batch(lines=b"\n".join([good, line, good]) + b"\n", stream="a", sequence=1))
    assert "visitor" not in str(caught.value)
    assert count(clickhouse_url) == 0


@pytest.mark.parametrize(
    "text", ["a\0b", "x" * 1_000_000, "\u202e", "\U0001f42b"], ids=["NUL", "1 MB", "direction", "astral"]
)
def test_strange_text_is_stored(clickhouse_url, text):
    opened(clickhouse_url).write(batch(1, make_event(path=text)))
    assert [row["path"] for row in stored(clickhouse_url)] == [text]


@pytest.mark.parametrize(
    ("day", "is_held"),
    [
        ((1, 1, 1), False),
        ((1969, 12, 31), False),
        ((1970, 1, 1), True),
        ((2149, 6, 6), True),
        ((2149, 6, 7), False),
        ((2199, 1, 1), False),
        ((9999, 12, 31), False),
    ],
)
def test_a_day_that_the_table_cannot_hold_is_rejected(clickhouse_url, day, is_held):
    """The server would store it as another one: 2019 for 2199."""
    sink = opened(clickhouse_url)
    event = make_event(time=dt.datetime(*day, tzinfo=dt.UTC), name="t", props={"time": "0001-01-01"})
    with contextlib.nullcontext() if is_held else pytest.raises(Rejected, match="its day isn't between 1970-01-01"):
        sink.write(batch(1, make_event(props={"time": "0001-01-01"}), event))
    rows = run_statement(clickhouse_url, "select date from event where name = 't' format JSONEachRow")
    assert [row["date"] for row in rows] == ([str(event.time.date())] if is_held else [])


@pytest.mark.parametrize(
    ("columns", "is_held"),
    [
        ({"response_bytes": 2**63 - 1}, True),
        ({"response_bytes": 2**63}, False),
        ({"response_bytes": 10**23}, False),
        ({"status": -(2**63) - 1}, False),
        ({"cookies": {"necessary": 2**64}}, False),
        ({"props": {"n": 10**23}}, True),
    ],
)
def test_a_number_that_the_table_cannot_hold_is_rejected(clickhouse_url, columns, is_held):
    """The server would store what is left of it in 64 bits. A line of a log may have such a number."""
    sink, event = opened(clickhouse_url), make_event(**columns)
    with contextlib.nullcontext() if is_held else pytest.raises(Rejected, match="a number is beyond 64 bits"):
        sink.write(batch(1, make_event(), event))
    rows = {row["event_id"]: row for row in stored(clickhouse_url)}
    assert len(rows) == (2 if is_held else 0)
    for name, value in columns.items() if is_held else ():
        assert rows[event.event_id][name] == value


# What is missing


def test_a_table_that_it_may_not_make_is_asked_for(clickhouse_url):
    url = url_of(clickhouse_url, create="no")
    with pytest.raises(
        ConfigurationError, match=r"there is no table `\w+`.`event`, or .*: `centtrack sink check` shows"
    ):
        opened(url)
    *good, finding = open_sink(url).check()
    assert [one.problem for one in good] == [None]
    run_statement(clickhouse_url, finding.fix)
    assert [one.problem for one in open_sink(url).check()] == [None] * 4
    opened(url).write(batch(1))
    assert count(clickhouse_url) == 1


def test_a_database_that_is_not_there_is_asked_for(clickhouse_url):
    url = url_of(clickhouse_url, database="nowhere_to_go")
    with pytest.raises(ConfigurationError, match=r"no database `nowhere_to_go`: create database `nowhere_to_go`$"):
        opened(url)
    [finding] = open_sink(url).check()
    assert (finding.problem, finding.fix) == ("there is no database `nowhere_to_go`", "create database `nowhere_to_go`")


def test_columns_of_a_newer_version_are_added(clickhouse_url):
    opened(clickhouse_url)
    careful = url_of(clickhouse_url, create="no")
    for column, says in (("props", "alter table `.*` add column .*"), ("site", "`centtrack sink check` shows .*")):
        run_statement(clickhouse_url, f"alter table event drop column {column}")
        with pytest.raises(ConfigurationError, match=f"has not all columns: {says}$"):
            opened(careful)
    statement = [one.fix for one in open_sink(careful).check()][-1]
    assert statement.count("add column") == 2
    opened(clickhouse_url).write(batch(1, make_event(site="shop", props={"n": 1})))
    opened(careful)
    assert [(row["site"], row["props"]) for row in stored(clickhouse_url)] == [("shop", {"n": 1})]


OTHERS = {
    "(id Int32, note String)": "has no column `event_id`, `time`, `date`",
    "(event_id String, time DateTime64(6, 'UTC'), date Date)": "has another type in `event_id`",
    "(event_id UUID, time DateTime64(6, 'UTC'), date Date, path Int32)": "has another type in `path`",
}


@pytest.mark.parametrize("columns", OTHERS)
def test_a_table_of_others_is_refused_and_left_alone(clickhouse_url, columns):
    run_statement(clickhouse_url, f"create table event {columns} engine = MergeTree order by tuple()")
    look = "select name, type from system.columns where database = currentDatabase() format JSONEachRow"
    before = run_statement(clickhouse_url, look)
    with pytest.raises(ConfigurationError, match=OTHERS[columns]) as caught:
        opened(clickhouse_url)
    assert str(caught.value).endswith("it isn't a table of events. Name another in option table")
    *_, last = open_sink(clickhouse_url).check()
    assert last.problem == str(caught.value)
    assert run_statement(clickhouse_url, look) == before


def test_a_table_of_events_may_store_them_in_another_way(clickhouse_url):
    statement = create_table("event").replace("`site` LowCardinality(Nullable(String))", "`site` String codec(ZSTD(3))")
    run_statement(clickhouse_url, statement)
    opened(clickhouse_url).write(batch(1, make_event(site=None)))
    assert [row["site"] for row in stored(clickhouse_url)] == [""]


def test_a_table_that_does_not_work_the_date_out_is_told(clickhouse_url):
    """All rows would be of the first of January 1970."""
    run_statement(clickhouse_url, create_table("event").replace(" default toDate(time)", ""))
    with pytest.raises(ConfigurationError, match=r"does not work `date` out"):
        opened(clickhouse_url)
    *_, finding = open_sink(clickhouse_url).check()
    run_statement(clickhouse_url, finding.fix)
    opened(clickhouse_url).write(batch(1, make_event(time=dt.datetime(2026, 11, 22, tzinfo=dt.UTC))))
    assert [row["date"] for row in stored(clickhouse_url)] == ["2026-11-22"]


def test_a_table_that_is_dropped_meanwhile_is_made_anew(clickhouse_url):
    """When it is opened, as the delivery does after a failure."""
    sink = opened(clickhouse_url)
    run_statement(clickhouse_url, "drop table event")
    with pytest.raises(ConfigurationError, match="the table is gone"):
        sink.write(batch(1))
    sink.close()
    sink.open()
    sink.write(batch(1))
    assert count(clickhouse_url) == 1


def test_the_check_says_what_a_table_of_others_lacks(clickhouse_url):
    statement = create_table("event").replace("non_replicated_deduplication_window = 10000", "index_granularity = 8192")
    run_statement(clickhouse_url, statement)
    url = url_of(clickhouse_url, retention="90")
    problems = [one for one in open_sink(url).check() if one.problem]
    assert [one.problem for one in problems] == [
        "the table remembers no inserts",
        "the table isn't made to delete them after 90 days",
    ]
    for one in problems:
        run_statement(clickhouse_url, one.fix)
    assert [one.problem for one in open_sink(url).check()] == [None] * 5
    sink = opened(url)
    for _ in range(2):
        sink.write(batch(7))
    assert count(clickhouse_url) == 1


def test_the_check_says_that_an_engine_remembers_nothing(clickhouse_url):
    statement = create_table("event").partition("engine =")[0] + "engine = Log"
    run_statement(clickhouse_url, statement)
    [problem] = [one.problem for one in open_sink(clickhouse_url).check() if one.problem]
    assert problem == "the table's engine, Log, remembers no inserts: events come twice after a failure"


def test_a_table_that_it_makes_deletes_old_rows(clickhouse_url):
    sink = opened(url_of(clickhouse_url, retention="90"))
    today = dt.datetime.now(dt.UTC)
    sink.write(batch(1, *(make_event(time=today - dt.timedelta(days=days)) for days in (1, 89, 92, 400))))
    run_statement(clickhouse_url, "optimize table event final")
    assert count(clickhouse_url) == 2


# A server that is away


@pytest.fixture
def server():
    with own_clickhouse_server() as started:
        yield started


def test_a_wrong_password_is_for_somebody_to_mend(clickhouse_url, caplog):
    caplog.set_level(logging.DEBUG)
    parts = urlsplit(clickhouse_url)
    url = parts._replace(netloc=f"{parts.username}:{SECRET}@{parts.netloc.rpartition('@')[2]}").geturl()
    sink = open_sink(url)
    with pytest.raises(ConfigurationError, match=r"user or password is wrong \(error 516\)$") as caught:
        sink.open()
    [finding] = open_sink(url).check()
    assert finding.problem == str(caught.value)
    for shown in (str(caught.value), sink.name, repr(sink), caplog.text):
        assert SECRET not in shown
        assert "ö" not in shown


def test_a_server_that_hangs_is_given_up_and_goes_on_with_the_same_batch(server, monkeypatch):
    opened(server.url)
    monkeypatch.setattr(ClickHouseSink, "timeout_s", 10.5)  # half a second for a statement
    sink, sent = open_sink(server.url), batch(1)
    server.freeze()
    with pytest.raises(RetryLater, match=r"does not answer: \w*Timeout$"):
        sink.write(sent)
    server.thaw()
    eventually(lambda: is_written(sink, sent))
    assert count(server.url) == 1


def is_written(sink, events):
    try:
        sink.write(events)
    except RetryLater:
        return False
    return True


def test_closing_ends_a_write_that_hangs(server):
    sink = opened(server.url)
    server.freeze()
    ended = threading.Event()

    def write():
        with contextlib.suppress(RetryLater):
            sink.write(batch(1))
        ended.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not ended.wait(0.05):
        sink.close()
    thread.join(30)
    server.thaw()
    sink.open()
    sink.write(batch(1))
    assert count(server.url) == 1


def test_tls(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    with own_clickhouse_server(tls=(tmp_path / "server.pem", tmp_path / "ca.pem")) as server:
        sink = opened(server.url)
        sink.write(batch(1))
        assert count(server.url) == 1
        with pytest.raises(ConfigurationError, match="isn't trusted"):
            opened(server.url.partition("&ca=")[0])
        with pytest.raises(RetryLater, match="does not answer"):
            opened(server.url.partition("?")[0])


# What no engine on one machine says, from a server that says what it is told


OURS = {"X-ClickHouse-Server-Display-Name": "one"}


class Told(ThreadingHTTPServer):
    """Answers everything with one answer, and keeps what it was asked."""

    def __init__(self, status, code=None, body=b"", **headers):
        super().__init__(("127.0.0.1", 0), _Answer)
        headers |= {"X-ClickHouse-Exception-Code": str(code)} if code else {}
        self.answer = (status, headers, body)
        self.asked = []
        self.url = f"clickhouse://{SECRET}:p%C3%B6{SECRET}@127.0.0.1:{self.server_port}/shop"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,)).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append((self.path, self.headers, body))
        status, headers, text = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("status", "code", "error", "says"),
    [
        (403, 497, ConfigurationError, "the user may not insert into the table"),
        (500, 164, ConfigurationError, "the user may only read"),
        (500, 452, ConfigurationError, "the user may not change settings"),
        (404, 115, ConfigurationError, "the server is too old"),
        (401, 194, ConfigurationError, "user or password is wrong"),
        (404, 60, ConfigurationError, "the table is gone"),
        (400, 16, ConfigurationError, "the table has not all columns"),
        (400, 53, ConfigurationError, "a column has another type"),
        (500, 252, RetryLater, "can't insert into the table now"),  # too many parts
        (500, 241, RetryLater, "can't insert into the table now"),  # memory
        (500, 202, RetryLater, "can't insert into the table now"),  # too many queries
        (500, 242, RetryLater, "can't insert into the table now"),  # a replica that lost its keeper
        (500, 319, RetryLater, "can't insert into the table now"),  # it doesn't know whether it did
        (500, 999, RetryLater, "can't insert into the table now"),
        (500, 469, Rejected, "a value does not fit the table"),  # a constraint of somebody's own
        (400, 41, Rejected, "a value does not fit the table"),
        (200, 241, RetryLater, "can't insert into the table now"),  # the status went out before the error
    ],
)
def test_what_the_codes_of_the_server_mean(status, code, error, says):
    with Told(status, code, b"Code: ... while reading /visitor-4711") as told:
        with pytest.raises(error, match=says) as caught:
            open_sink(told.url).write(batch(1))
        assert f"(error {code})" in str(caught.value)
        assert "visitor" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (503, b"", RetryLater, "answers 503"),  # of what stands before it
        (429, b"", RetryLater, "answers 429"),
        (404, b"", ConfigurationError, "answers 404"),
        (200, b"Code: 241. DB::Exception", RetryLater, "failed after it had answered 200"),
    ],
)
def test_what_else_may_be_answered(status, body, error, says):
    with Told(status, body=body, **{"Retry-After": "7", **OURS}) as told:
        with pytest.raises(error, match=says) as caught:
            open_sink(told.url).write(batch(1))
        assert getattr(caught.value, "after_s", None) == (7.0 if status in {429, 503} else None)


def test_a_right_that_is_missing_is_asked_for():
    with Told(403, 497) as told:
        [finding] = open_sink(f"{told.url}?create=no").check()
        with pytest.raises(ConfigurationError, match=r"`centtrack sink check` shows the statement that permits it$"):
            opened(told.url)
    assert finding.problem.endswith("the user may not read the version (error 497)")
    assert finding.fix == "grant insert on `shop`.`event` to USER"


@pytest.mark.parametrize(("status", "body"), [(200, b""), (200, b"<h1>It works!</h1>"), (400, b"HTTP to HTTPS")])
def test_another_web_server_takes_no_events_and_rejects_none(status, body):
    with Told(status, body=body) as told:
        with pytest.raises(ConfigurationError, match="what answers there is no ClickHouse"):
            open_sink(told.url).write(batch(1))
        [finding] = open_sink(told.url).check()
    assert "no ClickHouse" in finding.problem


def test_an_old_server_is_told():
    with Told(200, body=b"21.8.14.5\n", **OURS) as told:
        finding = next(iter(open_sink(told.url).check()))
    assert finding.problem == "its version is 21.8.14.5, and this needs 23.3 or newer"


def test_what_it_sends(caplog):
    caplog.set_level(logging.DEBUG)
    sent = batch(7, make_event(path="/visitor-4711"))
    with Told(200, **OURS) as told:
        sink = open_sink(told.url)
        sink.write(sent)
        sink.write(batch(7, stream="other"))
        sink.close()
    (path, headers, body), (other, _, _) = told.asked
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == sent.lines
    parameters, others = parse_qs(urlsplit(path).query), parse_qs(urlsplit(other).query)
    assert parameters["query"][0].startswith("insert into `shop`.`event` (`event_id`, ")
    # Whatever the user's profile says.
    for setting in ("async_insert", "input_format_allow_errors_num", "input_format_allow_errors_ratio"):
        assert parameters[setting] == ["0"]
    assert parameters["insert_deduplication_token"] != others["insert_deduplication_token"]
    for shown in (path, caplog.text, sink.name, repr(sink)):
        assert SECRET not in shown
        assert "visitor-4711" not in shown


# URLs


def test_it_needs_a_client(monkeypatch):
    monkeypatch.setattr(http_calls, "httpx", None)
    with pytest.raises(MissingExtraError, match=r"'centtrack\[clickhouse\]'"):
        open_sink("clickhouse://db")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("clickhouse://db", "clickhouse://db:8123/default"),
        ("clickhouse://me:secret@db/shop", "clickhouse://db:8123/shop"),
        ("clickhouse://db/shop?tls=yes", "clickhouse://db:8443/shop"),
        ("clickhouse://db:9000/shop?tls=yes", "clickhouse://db:9000/shop"),
        ("clickhouse://db/shop?table=event&create=no&retention=30", "clickhouse://db:8123/shop"),
        ("clickhouse://db/shop?table=visit", "clickhouse://db:8123/shop?table=visit"),
        ("clickhouse://[::1]/shop", "clickhouse://[::1]:8123/shop"),
    ],
)
def test_its_name(url, name):
    assert open_sink(url).name == name


HOSTILE = [
    "event;drop table event",
    "event`",
    'event"',
    "event'",
    "a b",
    "a.b",
    "Event",
    "1a",
    "",
    "a" * 64,
    "événement",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_could_be_more_than_names_are_refused(name):
    with pytest.raises(ConfigurationError):
        open_sink(url_of("clickhouse://db/shop", table=name.replace(" ", "%20").replace(";", "%3B")))
    if name:
        with pytest.raises(ConfigurationError):
            open_sink(f"clickhouse://db/{name.replace(' ', '%20')}")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("clickhouse://one,two/shop", "takes one host"),
        ("clickhouse://db/shop?ca=/etc/ca.pem", "option ca needs tls=yes"),
        ("clickhouse://db/shop?tls=yes&ca=/nowhere/ca.pem", "names no file"),
        ("clickhouse://db/shop?retention=0", "a number of days"),
        ("clickhouse://db/shop?retention=1y", "a number of days"),
        ("clickhouse://db/shop?retention=36501", "from 1 to 36500"),
        ("clickhouse://db/shop?tables=visit", "there are table, create, retention"),
        ("clickhouse://me:hunter2@db/shop?create=perhaps", "option create is one of yes, no"),
    ],
)
def test_a_url_that_is_wrong_is_refused(url, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        open_sink(url)
    assert SECRET not in str(caught.value)
