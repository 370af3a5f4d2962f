"""The sink for PostgreSQL, on a real server: each event once, its table, its rights, and what the server says."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import socket
import threading
from uuid import uuid4

import psycopg
import pytest
import trustme
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from centtrack import Event
from centtrack.errors import ConfigurationError, MissingExtraError, Rejected, RetryLater
from centtrack.schema import postgresql as ddl
from centtrack.sinks import Batch, open_sink
from centtrack.sinks.postgresql import check
from centtrack.sinks.postgresql import sink as sink_module
from centtrack.testing import SinkContract, make_event
from databases import own_postgresql_server
from processes import python, run_python
from waiting import eventually

TRUSTED = "host all centtrack 127.0.0.1/32 trust"
BY_PASSWORD = "host all all 127.0.0.1/32 scram-sha-256"
PASSWORD = "hunter2&geheim"
QUOTED_PASSWORD = "hunter2%26geheim"


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL that trusts its owner, and nobody else."""
    with own_postgresql_server() as started:
        started.set_up(TRUSTED, BY_PASSWORD)
        with psycopg.connect(started.url, autocommit=True) as connection:
            connection.execute(f"create role writer login password '{PASSWORD}'")
        yield started


def this_moment():
    """Asked for in each test: a long run begins before midnight, and ends after it."""
    return dt.datetime.now(dt.UTC)


class Database:
    """A database, as its owner sees it."""

    def __init__(self, server, options=""):
        self.name = f"t_{uuid4().hex}"
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"create database {self.name} {options}")
        self.url = server.url.replace("/postgres", f"/{self.name}")
        self.as_writer = self.url.replace("//centtrack@", f"//writer:{QUOTED_PASSWORD}@")

    def clear(self):
        """As it was made; to make another one takes several times as long."""
        self.run(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        self.run(
            "drop schema public cascade; drop schema if exists web cascade; create schema public; "
            "alter schema public owner to pg_database_owner; grant usage on schema public to public; "
            f"revoke all on database {self.name} from writer; "
            f"grant connect, temporary on database {self.name} to public"
        )

    def run(self, statement, *values):
        """Rows, if there are any."""
        with psycopg.connect(self.url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def count(self, table="event"):
        return self.run(f"select count(*) from {table}")[0]["count"]

    def tables(self):
        rows = self.run(
            "select relname from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace"
        )
        return {row["relname"] for row in rows}


@pytest.fixture(scope="module")
def _database(server):
    return Database(server)


@pytest.fixture
def database(_database):
    """An empty one."""
    yield _database
    _database.clear()


@pytest.fixture
def make_sink():
    """Sinks that are closed after the test."""
    made = []

    def make(url):
        made.append(open_sink(url))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


@pytest.fixture
def opened(make_sink):
    def open_(url):
        sink = make_sink(url)
        sink.open()
        return sink

    return open_


class TestPostgresqlSink(SinkContract):
    @pytest.fixture(autouse=True)
    def _target(self, database, make_sink):
        self._database, self._make = database, make_sink

    def make_sink(self, folder):
        return self._make(self._database.url)

    def stored(self, folder):
        return [event_of(row) for row in self._database.run("select * from event")]


def event_of(row):
    date = row.pop("date")
    row["event_id"] = str(row["event_id"])
    row["time"] = row["time"].astimezone(dt.UTC)
    event = Event(**row)
    assert event.time.date() == date
    return event


# Repetitions


def test_what_is_partly_there_is_completed(database, opened):
    """As after a batch that was halved, or one whose end another host wrote; also where it isn't known as repeated."""
    sink = opened(database.url)
    events = [make_event() for _ in range(10)]
    sink.write(events[:4])
    sink.write(events[2:7])
    sink.write(Batch(events, stream="s", sequence=1, repeated=True))
    assert database.count() == 10


def test_an_event_twice_in_a_batch_is_stored_once(database, opened):
    event = make_event()
    opened(database.url).write([event, event])
    assert database.count() == 1


WRITER = """
import sys
from centtrack.sinks import Batch, open_sink
from centtrack.testing import make_event
from centtrack.errors import RetryLater

sink = open_sink(sys.argv[1])
sink.open()
print("open", flush=True)
sys.stdin.readline()
for number in range(30):
    events = [make_event(event_id=f"00000000-0000-4000-8000-{number:06}{place:06}") for place in range(100)]
    if sys.argv[2] == "backwards":
        events.reverse()
    batch = Batch(events, stream="s", sequence=number + 1)
    while True:
        try:
            sink.write(batch)
            break
        except RetryLater as error:  # two that wait for each other
            assert "40P01" in str(error), error
sink.close()
"""


@pytest.mark.parametrize("order", ["forwards", "backwards"])
def test_two_that_write_the_same_at_once_store_it_once(database, order):
    with python(WRITER, database.url, "forwards") as one, python(WRITER, database.url, order) as other:
        for process in (one, other):
            assert process.stdout.readline() == "open\n"
        for process in (one, other):
            process.stdin.write("\n")
            process.stdin.flush()
        for process in (one, other):
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
    assert database.count() == 3_000


def test_it_leaves_nothing_behind_in_the_session(database, opened):
    """Behind PgBouncer the next one may be another program's."""
    sink = opened(database.url)
    events = [make_event()]
    for _ in range(8):
        sink.write(Batch(events, repeated=True))
    connection = sink._connection
    assert connection.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)
    assert connection.execute("select count(*) from pg_class where relpersistence = 't'").fetchone() == (0,)
    assert connection.execute("show statement_timeout").fetchone() == ("0",)


# Partitions


def some_days():
    """Today, and some before."""
    return [this_moment() - dt.timedelta(days=ago) for ago in (0, 1, 70, 380)]


@pytest.mark.parametrize("partition", ["month", "day", "none"])
def test_events_of_any_day_come_into_their_partition(database, opened, partition):
    days = some_days()
    opened(f"{database.url}?partition={partition}").write([make_event(time=day) for day in days])
    pattern = {"month": "event_%Y_%m", "day": "event_%Y_%m_%d", "none": "event"}[partition]
    rows = database.run("select tableoid::regclass::text as partition, date from event")
    assert sorted(row["date"] for row in rows) == sorted(day.date() for day in days)
    assert all(row["partition"] == row["date"].strftime(pattern) for row in rows)


NEXT = {
    "month": (["event_2030_12", "event_2031_01"], ["event_2031_02"]),
    "day": (
        [f"event_2030_12_{day}" for day in (30, 31)] + [f"event_2031_01_0{day}" for day in range(1, 7)],
        ["event_2031_01_07"],
    ),
    "none": ([], []),
}


@pytest.mark.parametrize("partition", NEXT)
def test_the_next_partitions_are_there_before_they_are_needed(database, make_sink, monkeypatch, partition):
    """So that at the turn of a month no statement of ours waits behind a long query."""
    sink = make_sink(f"{database.url}?partition={partition}")
    day = dt.date(2030, 12, 30)
    monkeypatch.setattr(sink_module, "_today", lambda: day)
    sink.open()
    at_first, afterwards = NEXT[partition]
    assert database.tables() == {"event", *at_first}
    day = dt.date(2030, 12, 31) if partition == "day" else dt.date(2031, 1, 1)
    sink.write([make_event(time=dt.datetime(2030, 12, 30, tzinfo=dt.UTC))])
    assert database.tables() == {"event", *at_first, *afterwards}


FAR = [(1, 1, 1), (1970, 1, 1), (2199, 6, 1), (9999, 12, 31)]


@pytest.mark.parametrize("partition", ["month", "day"])
@pytest.mark.parametrize("create", ["yes", "no"])
def test_no_partition_is_made_for_a_day_far_away(database, opened, partition, create):
    """A clock that is wrong would make one for each day that it tells."""
    opened(f"{database.url}?partition={partition}").write([make_event(time=this_moment())])
    sink, before = opened(f"{database.url}?partition={partition}&create={create}"), database.tables()
    for day in FAR:
        event = make_event(time=dt.datetime(*day, tzinfo=dt.UTC))
        with pytest.raises(Rejected, match="no partition"):
            sink.write([make_event(time=this_moment()), event])
    assert database.tables() == before
    assert database.count() == 1


def test_a_partition_that_is_there_is_used_however_old(database, opened):
    opened(database.url)
    database.run("create table old partition of event for values from ('1970-01-01') to ('2000-01-01')")
    opened(database.url).write([make_event(time=dt.datetime(1999, 12, 31, tzinfo=dt.UTC))])
    assert database.count("old") == 1


def test_partitions_of_somebodys_own_may_be_larger(database, opened):
    database.run(ddl.create_table("event"))
    database.run("create table half partition of event for values from ('2000-01-01') to ('2100-01-01')")
    opened(f"{database.url}?partition=day").write([make_event(time=day) for day in some_days()])
    assert database.tables() == {"event", "half"}


def test_how_a_table_is_divided_that_is_there_counts_more_than_the_url(database, opened):
    opened(f"{database.url}?partition=none")
    opened(database.url).write([make_event(time=day) for day in some_days()])
    assert database.tables() == {"event"}
    database.run("drop table event")
    opened(database.url)
    with pytest.raises(ConfigurationError, match="option partition"):
        opened(f"{database.url}?partition=none").write([make_event(time=some_days()[-1])])


@pytest.mark.parametrize(("before", "now"), [("day", "month"), ("month", "day")])
def test_a_table_that_is_divided_in_another_way_gets_what_it_lacks(database, opened, before, now):
    """As by an option that was left out of the URL: partitions of the one kind overlap with those of the other."""
    days = [this_moment() + dt.timedelta(days=shift) for shift in (-40, -8, -1, 0, 1, 15, 30)]
    opened(f"{database.url}?partition={before}").write([make_event(time=day) for day in days[2:5]])
    sink = opened(f"{database.url}?partition={now}")
    sink.write([make_event(time=day) for day in days])
    sink.write([make_event(time=day) for day in reversed(days)])
    assert database.count() == 3 + 2 * len(days)


def test_a_partition_that_was_detached_is_left_alone(database, opened):
    day = some_days()[-1]
    opened(database.url).write([make_event(time=day)])
    detached = day.strftime("event_%Y_%m")
    database.run(f"alter table event detach partition {detached}")
    with pytest.raises(Rejected, match="another table has its name, as a partition that was detached"):
        opened(database.url).write([make_event(time=day)])
    assert (database.count(), database.count(detached)) == (0, 1)


def test_a_long_query_holds_up_new_partitions_only(database, opened):
    sink = opened(database.url)
    with psycopg.connect(database.url) as reader:
        reader.execute("select count(*) from event")
        sink.write([make_event(time=this_moment())])
        with pytest.raises(RetryLater, match="locked"):
            sink.write([make_event(time=some_days()[-1])])
        assert database.count() == 1  # and no other query waits for it for long
    sink.write([make_event(time=some_days()[-1])])
    assert database.count() == 2


def test_what_is_there_is_opened_in_spite_of_a_long_query(database, opened):
    opened(database.url)
    with psycopg.connect(database.url) as reader:
        reader.execute("select count(*) from event")
        opened(database.url).write([make_event(time=this_moment())])
    assert database.count() == 1


# The table


def test_several_that_make_the_table_at_once(database, make_sink):
    """All hosts of a site start at the same time."""
    failures = []

    def open_and_write():
        sink = make_sink(database.url)
        try:
            sink.open()
            sink.write([make_event(time=day) for day in some_days()])
        except Exception as error:  # noqa: BLE001 - none is expected
            failures.append(error)

    threads = [threading.Thread(target=open_and_write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert database.count() == 6 * len(some_days())


def test_a_table_of_an_older_version_gets_its_new_columns(database, opened):
    old, new = make_event(), make_event(city="Qostanay", props={"plan": "gold"})
    opened(database.url).write([old])
    database.run("alter table event drop column city, drop column props, drop column consent")
    opened(database.url).write([new])
    rows = {str(row["event_id"]): (row["city"], row["props"]) for row in database.run("select * from event")}
    assert rows == {old.event_id: (None, None), new.event_id: ("Qostanay", {"plan": "gold"})}


def test_columns_of_somebodys_own_are_left_alone(database, opened):
    opened(f"{database.url}?partition=none")
    database.run("alter table event add column note text, add column seen bigint generated always as identity")
    database.run("alter table event add column mark int not null default 7")
    opened(database.url).write([make_event()])
    assert [(row["note"], row["seen"], row["mark"]) for row in database.run("select * from event")] == [(None, 1, 7)]


OTHERS = {
    "create table event (id int)": "has no unique key",
    "create table event (event_id uuid primary key, date date)": "has no unique key",
    "create table event (event_id uuid, date date, path text); create unique index on event (event_id, date, (1))": (
        "has no unique key"
    ),
    "create table event (event_id text, date date, primary key (event_id, date))": 'another type in "event_id"',
    "create table event (event_id uuid, date date, path int, primary key (event_id, date))": 'another type in "path"',
    "create table event (event_id uuid, date date, size int not null, unique (event_id, date))": 'values in "size"',
    "create view event as select 1 as event_id": "is no table",
}  # fmt: skip


@pytest.mark.parametrize("statement", OTHERS)
def test_a_table_of_others_is_refused_and_left_alone(database, make_sink, statement):
    database.run(statement)
    before = database.run("select attname from pg_attribute where attrelid = 'event'::regclass")
    sink = make_sink(database.url)
    with pytest.raises(ConfigurationError, match=OTHERS[statement]) as caught:
        sink.open()
    assert "Name another in option table" in str(caught.value)
    assert database.run("select attname from pg_attribute where attrelid = 'event'::regclass") == before
    *_, last = sink.check()
    assert OTHERS[statement] in last.problem


@pytest.mark.parametrize("division", ["by hash (event_id)", "by list (date)"])
def test_a_table_that_is_not_divided_by_ranges_is_told(database, make_sink, division):
    database.run(ddl.create_table("event", partition="none").rstrip().replace("\n)", f"\n) partition {division}", 1))
    *_, last = make_sink(database.url).check()
    assert "divided otherwise than by ranges of its date (SQLSTATE 42P16)" in last.problem


def test_a_table_with_row_level_security_is_told(database, opened):
    database.run(f"{ddl.create_table('event', partition='none')} {WRITES}; alter table event enable row level security")
    with pytest.raises(ConfigurationError, match=r"row level security takes no COPY \(SQLSTATE 0A000\)$"):
        opened(database.as_writer).write([make_event()])


def test_another_table_and_schema(database, opened):
    database.run("create schema web")
    opened(f"{database.url}?schema=web&table=hits").write([make_event()])
    assert database.count("web.hits") == 1


def test_a_database_that_cannot_hold_all_letters_is_refused(server, make_sink):
    database = Database(server, "encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0")
    with pytest.raises(ConfigurationError, match=r"LATIN1.*UTF8"):
        make_sink(database.url).open()


# Values


BAD = {
    "NUL": {"path": "/\0visitor-4711"},
    "NUL in a property": {"props": {"plan": "visitor-4711\0"}},
    "a lone surrogate": {"path": "/visitor-4711\ud83d"},
    "a lone surrogate in a property": {"props": {"plan": "visitor-4711\ud83d"}},
    "a number beyond 64 bits": {"response_bytes": 2**63},
    "another type": {"status": "visitor-4711"},
    "an id that is none": {"event_id": "visitor-4711"},
}


@pytest.mark.parametrize("is_repeated", [False, True], ids=["new", "repeated"])
@pytest.mark.parametrize("bad", BAD)
def test_what_never_fits_is_rejected_without_being_quoted(database, opened, bad, is_repeated):
    sink = opened(database.url)
    with pytest.raises(Rejected) as caught:
        sink.write(Batch([make_event(), make_event(**BAD[bad])], repeated=is_repeated))
    assert "visitor" not in f"{caught.value}{caught.value.__cause__}"
    sink.write([make_event(path=r"/\0\u0000", props={"plan": r"\u0000\N"})])
    assert [(row["path"], row["props"]) for row in database.run("select * from event")] == [
        (r"/\0\u0000", {"plan": r"\u0000\N"})
    ]


def can_be_held(text):
    return "\0" not in text and text.encode(errors="replace") == text.encode(errors="ignore")


@pytest.fixture
def undivided(database, opened):
    return opened(f"{database.url}?partition=none")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec=None, categories=None), max_size=50))
@example(text="\\u0000")
@example(text="\\\\\0")
@example(text="\\.\n\\N\t\r\b")
def test_any_text_comes_out_as_it_went_in_or_is_rejected(database, undivided, text):
    event = make_event(path=text, consent={text: "granted"}, props={"plan": text})
    if not can_be_held(text):
        with pytest.raises(Rejected):
            undivided.write([event])
        return
    undivided.write([event])
    [row] = database.run("select * from event where event_id = %s", event.event_id)
    assert event_of(row) == event


def test_constraints_of_somebodys_own_lose_nothing_in_silence(database, opened):
    opened(f"{database.url}?partition=none")
    database.run("alter table event add check (status < 500), add unique (path)")
    sink = opened(f"{database.url}?partition=none")
    sink.write([make_event(path="/a")])
    for columns in ({"status": 500}, {"path": "/a"}):
        with pytest.raises(Rejected, match="SQLSTATE 23"):
            sink.write([make_event(**columns)])
    assert database.count() == 1


def test_a_column_that_somebody_demands_is_for_somebody_to_mend(database, opened):
    """Else all events would go to the dead letters."""
    sink = opened(database.url)
    database.run("alter table event alter column site set not null")
    with pytest.raises(ConfigurationError, match="demands a value"):
        sink.write([make_event()])


def test_a_trigger_that_refuses_is_for_somebody_to_mend(database, opened):
    sink = opened(database.url)
    database.run(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception '%', new.path; end $$; "
        "create trigger refuse before insert on event for each row execute function refuse()"
    )
    with pytest.raises(ConfigurationError, match=r"a trigger of the table refuses the batch \(SQLSTATE P0001\)$"):
        sink.write([make_event(path="/visitor-4711")])


# Rights

WRITES = "grant usage on schema public to writer; grant insert, select (event_id, date) on event to writer"


def lacking(database, what):
    """A database in which the writer lacks something, and the options of its URL."""
    if what == "schema":
        return "?schema=web"
    if what == "create table":
        return ""
    if what == "create table, not wanted":
        database.run("grant create on schema public to writer")
        return "?create=no"
    day = this_moment().date()
    partitions = "; ".join(ddl.partitions_due("event", "public", "month", day))
    database.run(f"{ddl.create_table('event')} {partitions}; {WRITES}")
    statements = {
        "column": "alter table event drop column city",
        "column, not wanted": "alter table event drop column city; alter table event owner to writer",
        "partition": f"drop table event_{day:%Y_%m}",
        "partition, not wanted": f"drop table event_{day:%Y_%m}; alter table event owner to writer",
        "insert": "revoke insert on event from writer",
        "select": "revoke select (event_id, date) on event from writer",
        "temporary": f"revoke temporary on database {database.name} from public",
        "usage": "revoke usage on schema public from public, writer",
    }
    database.run(statements[what])
    return "?create=no" if what.endswith("not wanted") else ""


LACKS = [
    "create table", "create table, not wanted", "column", "column, not wanted", "partition", "partition, not wanted",
    "insert", "select", "temporary", "usage",
]  # fmt: skip


def error_of(sink):
    try:
        sink.open()
        sink.write(Batch([make_event(time=this_moment())], repeated=True))
    except ConfigurationError as error:
        return error
    return None


@pytest.mark.parametrize("what", LACKS)
def test_what_is_missing_comes_with_the_statement_that_mends_it(database, make_sink, what):
    sink = make_sink(database.as_writer + lacking(database, what))

    *_, last = sink.check()
    assert last.problem
    while error := error_of(sink):  # one thing after another
        assert "Somebody who may has to run" in str(error)
        assert PASSWORD not in str(error)
        assert len(str(error)) < 600
        database.run(error.statement)
    assert database.count() == 1
    assert all(finding.problem is None for finding in sink.check())


@pytest.mark.parametrize("options", ["", "partition=day", "create=no", "create=no&partition=none"])
def test_what_check_tells_to_run_is_enough(database, make_sink, options):
    sink = make_sink(f"{database.as_writer}?{options}")
    *_, last = sink.check()
    assert "there is no table" in last.problem
    database.run(last.fix)
    before = database.tables()
    assert [finding for finding in sink.check() if finding.problem] == []
    assert database.tables() == before  # all that it tried was rolled back
    sink.write([make_event(time=this_moment())])
    assert database.count() == 1


@pytest.mark.parametrize("options", ["", "&create=no"])
def test_a_schema_that_is_not_there_comes_with_what_makes_it(database, make_sink, options):
    sink = make_sink(f"{database.as_writer}?schema=web{options}")
    with pytest.raises(ConfigurationError, match='create schema "web";'):
        sink.open()
    *_, last = sink.check()
    assert last.problem.startswith("there is no")
    database.run(last.fix)
    sink.write([make_event(time=this_moment())])
    assert database.count("web.event") == 1


@pytest.mark.parametrize("division", ["month", "day"])
@pytest.mark.parametrize("create", ["yes", "no"])
def test_partitions_of_the_time_that_comes_are_looked_for(database, make_sink, division, create):
    """Else all is well until the month ends, and then nothing is delivered."""
    due = ddl.partitions_due("event", "public", division, this_moment().date())
    make = f"{ddl.create_table('event', partition=division)} {'; '.join(due[:-1])}; {WRITES}"
    database.run(make)
    for url, problems in ((database.as_writer, 1), (database.url, int(create == "no"))):
        sink = make_sink(f"{url}?partition={division}&create={create}")
        found = [finding for finding in sink.check() if finding.problem]
        assert len(found) == problems
        for finding in found:
            assert "has its partitions for the time that comes" in finding.what
            assert finding.fix == f"{due[-1]};"
    assert len(database.tables()) == len(due)  # what was tried is rolled back
    database.run(due[-1])
    assert not [finding for finding in sink.check() if finding.problem]


def test_writing_needs_no_right_to_read(database, opened):
    database.run(f"{ddl.create_table('event', partition='none')} {WRITES}")
    opened(f"{database.as_writer}?create=no").write(Batch([make_event()], repeated=True))
    with psycopg.connect(database.as_writer) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select path from event")


# Trouble


def test_a_connection_that_died_meanwhile_is_replaced(database, opened):
    sink = opened(database.url)
    sink.write([make_event()])
    database.run("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
    sink.write([make_event()])
    assert database.count() == 2


def test_a_server_that_is_away_comes_back(server, database, opened):
    sink = opened(database.url)
    server.stop("fast")
    try:
        with pytest.raises(RetryLater, match="connection refused"):
            sink.write([make_event()])
    finally:
        server.start()
    sink.open()
    sink.write([make_event()])
    assert database.count() == 1


def test_a_server_that_takes_no_writes_is_tried_again(database, opened):
    sink = opened(database.url)
    sink.close()
    database.run(f"alter database {database.name} set default_transaction_read_only = on")
    two_hosts = database.url.replace("@", "@127.0.0.1:1,", 1)
    try:
        with pytest.raises(RetryLater, match=r"takes no writes.*25006"):
            sink.write([make_event()])
        with pytest.raises(RetryLater):
            open_sink(two_hosts).open()
    finally:
        database.run(f"begin read write; alter database {database.name} reset default_transaction_read_only; commit")
    opened(two_hosts).write([make_event()])
    assert database.count() == 1


@contextlib.contextmanager
def silent_server():
    """Takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_server_that_never_answers_is_given_up():
    with silent_server() as port, pytest.raises(RetryLater, match="no answer in time"):
        open_sink(f"postgresql://user@127.0.0.1:{port}/database?connect_timeout=2").open()


@contextlib.contextmanager
def writing(sink, events):
    """Write in a thread of its own; the errors that it ends with."""
    errors = []

    def write():
        try:
            sink.write(events)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    yield errors
    thread.join(30)
    assert not thread.is_alive()


def test_closing_cancels_what_hangs(database, opened):
    """Closed by another thread, as the delivery does; the server is rid of the statement, too."""
    sink = opened(database.url)
    with psycopg.connect(database.url) as other:
        other.execute("lock table event")
        waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
        with writing(sink, [make_event()]) as errors:
            eventually(lambda: database.run(waiting))
            sink.close()
        assert [type(error) for error in errors] == [RetryLater]
        eventually(lambda: not database.run(waiting))
    sink.open()
    sink.write([make_event()])
    assert database.count() == 1


def test_closing_ends_what_waits_for_a_server_that_went_silent(server, database, opened):
    """The machine or the network between stands still: nothing can be cancelled there."""
    database.run("grant create on schema public to writer")
    with FreezingProxy(server.port) as proxy:
        sink = opened(database.as_writer.replace(f":{server.port}/", f":{proxy.port}/"))
        proxy.is_frozen.set()
        with writing(sink, [make_event()]) as errors:
            eventually(proxy.has_kept.is_set)
            sink.close()
        assert [type(error) for error in errors] == [RetryLater]
    opened(database.as_writer).write([make_event()])


def test_the_check_of_a_server_that_went_silent_ends(server, database, make_sink, monkeypatch):
    monkeypatch.setattr(check, "_WITHIN_S", 0.5)
    with FreezingProxy(server.port) as proxy:
        findings = make_sink(database.url.replace(f":{server.port}/", f":{proxy.port}/")).check()
        assert next(findings).problem is None
        proxy.is_frozen.set()
        *_, last = findings
    assert last.problem.endswith("the server closed the connection")


class FreezingProxy:
    """Stands before a server, and passes nothing on once it is frozen."""

    def __init__(self, target):
        self.is_frozen, self.has_kept = threading.Event(), threading.Event()
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [client, server]
                for ends in ((client, server), (server, client)):
                    self._threads.append(threading.Thread(target=self._forward, args=ends))
                    self._threads[-1].start()

    def _forward(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if self.is_frozen.is_set():
                    self.has_kept.set()
                else:
                    target.sendall(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for one in self._sockets:
            one.close()


def test_a_slow_server_gets_more_time_at_the_next_attempt(database, opened):
    sink = opened(database.url)
    sink.timeout_s = 5.1  # the server gives up 5 s earlier
    with psycopg.connect(database.url) as other:
        other.execute("lock table event")
        with pytest.raises(RetryLater, match="took too long"):
            sink.write([make_event()])
        assert sink.timeout_s == 10.2
    sink.write([make_event()])
    assert sink.timeout_s == 30.0


FORKING = """
import os, sys
from centtrack.sinks import open_sink
from centtrack.testing import make_event

sink = open_sink(sys.argv[1])
sink.open()
session = sink._connection.info.backend_pid
child = os.fork()
if child == 0:
    sink.write([make_event()])
    sink.close()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
sink.write([make_event()])
assert sink._connection.info.backend_pid == session
sink.close()
"""


def test_a_forked_child_leaves_its_parents_connection_alone(database):
    run_python(FORKING, database.url)
    assert database.count() == 2


# Connecting, and what is said of it


@pytest.fixture
def tls(server, tmp_path):
    """The file of an authority, and the server with a certificate of it for localhost."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    files = {
        "ssl_cert_file": server.keep("server.crt", chain),
        "ssl_key_file": server.keep("server.key", certificate.private_key_pem.bytes()),
    }
    server.set_up(TRUSTED, BY_PASSWORD, ssl="on", **files)
    eventually(lambda: is_encrypted(server.url))
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    yield path
    server.set_up(TRUSTED, BY_PASSWORD)
    eventually(lambda: not is_encrypted(server.url))


def is_encrypted(url):
    with psycopg.connect(url) as connection:
        return connection.pgconn.ssl_in_use


def at_localhost(url, options=""):
    return url.replace("@127.0.0.1:", "@localhost:") + options


def test_the_servers_certificate_is_verified(database, opened, tls):
    sink = opened(at_localhost(database.url, f"?sslmode=verify-full&sslrootcert={tls}"))
    sink.write([make_event()])
    assert sink._connection.pgconn.ssl_in_use
    assert "the connection is encrypted" in [finding.what for finding in sink.check()]


def test_a_certificate_that_is_not_right_is_for_somebody_to_mend(database, make_sink, tls, tmp_path):
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    by_address = f"{database.url}?sslmode=verify-full&sslrootcert={tls}"
    of_another = at_localhost(database.url, f"?sslmode=verify-full&sslrootcert={tmp_path}/other.pem")
    not_there = at_localhost(database.url, f"?sslmode=verify-full&sslrootcert={tmp_path}/none.pem")
    for url, said in ((by_address, "another host"), (of_another, "isn't trusted"), (not_there, "isn't there")):
        with pytest.raises(ConfigurationError, match=said):
            make_sink(url).open()


REFUSED = {
    "//writer:wrong-geheim@": "user or password is wrong",
    "//nobody:wrong-geheim@": "user or password is wrong",
    "//writer@": "asks for a password",
    f"//sleeper:{QUOTED_PASSWORD}@": "may not log in",
}


@pytest.mark.parametrize("user", REFUSED)
def test_no_credential_is_ever_shown(database, make_sink, user, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.delenv("PGPASSWORD", raising=False)
    database.run(
        f"do $$ begin create role sleeper password '{PASSWORD}'; exception when duplicate_object then null; end $$"
    )
    sink = make_sink(database.url.replace("//centtrack@", user))
    with pytest.raises(ConfigurationError, match=REFUSED[user]) as caught:
        sink.open()
    [finding] = sink.check()
    for text in (str(caught.value), repr(caught.value), caplog.text, sink.name, repr(sink), str(finding)):
        assert "geheim" not in text
        assert "hunter2" not in text


def test_credentials_come_from_the_environment(database, opened, monkeypatch):
    database.run(f"{ddl.create_table('event', partition='none')} {WRITES}")
    monkeypatch.setenv("EVENTS_PASSWORD", PASSWORD)
    opened(database.as_writer.replace(QUOTED_PASSWORD, "${EVENTS_PASSWORD}")).write([make_event()])
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    opened(database.as_writer.replace(f":{QUOTED_PASSWORD}", "")).write([make_event()])
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", database.url.rpartition(":")[2].partition("/")[0])
    monkeypatch.setenv("PGUSER", "writer")
    opened(f"postgresql:///{database.name}").write([make_event()])
    assert database.count() == 3


def test_other_refusals_are_told_in_plain_words(server, database, make_sink):
    no_database = database.url.replace(database.name, "nowhere")
    for url, said in (
        (no_database, r"no such database\..* create database \"nowhere\" encoding 'UTF8' template template0;$"),
        (f"{database.url}?sslmode=require", "has no TLS"),
        (database.url.replace("127.0.0.1", "no-such-host.invalid"), "name isn't known"),
        (database.url.replace(f":{server.port}", ":1"), "connection refused"),
    ):
        with pytest.raises((ConfigurationError, RetryLater), match=said):
            make_sink(url).open()


# URLs


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://user:hunter2@host/shop", "postgresql://host:5432/shop"),
        ("postgresql://one,two:5433/shop?table=hits", "postgresql://one:5432,two:5433/shop?table=hits"),
        ("postgresql://host/shop?table=event&schema=public", "postgresql://host:5432/shop"),
        ("postgresql:///shop?schema=web&partition=day", "postgresql:///shop?schema=web"),
    ],
)
def test_its_name_says_which_table_it_is(url, name):
    assert open_sink(url).name == name


HOSTILE = ["event;drop table event", 'event"', "event'--", "EVENT", "public.event", "", "é", "x" * 64, "1", "event%0a"]


@pytest.mark.parametrize("option", ["table", "schema"])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_refused(option, text):
    with pytest.raises(ConfigurationError, match=f"name of a {option}|control"):
        open_sink(f"postgresql://host/shop?{option}={text}")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://host", "no database"),
        ("postgresql://host/a/b", "no database"),
        ("postgresql://host/shop?partition=year", "partition is one of month, day, none"),
        ("postgresql://host/shop?create=1", "create is one of yes, no"),
        ("postgresql://host/shop?sslmode=on", "sslmode is one of"),
        ("postgresql://host/shop?connect_timeout=1", "from 2 to 20"),
        ("postgresql://host/shop?options=-c%20x", "no option 'options'"),
        ("postgresql://host/shop?password=geheim", "no option 'password'"),
        (f"postgresql://host/shop?table={'x' * 60}", "too long"),
    ],
)
def test_a_wrong_url_is_refused(url, said):
    with pytest.raises(ConfigurationError, match=said):
        open_sink(url)


def test_it_says_which_extra_it_needs(monkeypatch):
    monkeypatch.setattr(sink_module, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"centtrack\[postgresql\]"):
        open_sink("postgresql://host/shop")
