"""Journals of earlier versions: brought up to date where they are, with all that they hold."""

from __future__ import annotations

import multiprocessing

import apsw
import pytest

from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.journal.dead_letters import retry_dead
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.journal.schema import APPLICATION_ID, VERSION
from centtrack.errors import JournalError
from journals import append_batches

VERSION_1 = """
create table meta (key text primary key, value) without rowid;
create table worker (
    name text primary key, pid integer not null, started text not null, ended integer not null default 0
);
create table counter (
    worker text not null, name text not null, reason text not null, count integer not null,
    primary key (worker, name, reason)
) without rowid;
create table batch (sequence integer primary key autoincrement, count integer not null, events blob not null);
create table held (
    release_at integer not null, event_id text not null, event blob not null, primary key (release_at, event_id)
) without rowid;
create table sink (
    name text primary key, cursor integer not null, attempt integer not null default 0,
    accepted_before integer not null, delivered integer not null default 0, error text
) without rowid;
create table dead (id integer primary key, sink text not null, reason text not null, event blob not null);
create table import (
    source text primary key, head_size integer not null, lines integer not null, events integer not null,
    rejected integer not null
) without rowid;
"""


VERSION_2 = (
    VERSION_1
    + """
create table withheld (
    sink text not null, reason text not null, count integer not null, primary key (sink, reason)
) without rowid;
create table cookie (
    name text not null, domain text not null, path text not null, passed integer not null, removed integer not null,
    expired integer not null, arrived integer not null, longest_days integer, first_day integer not null,
    last_day integer not null, primary key (name, domain, path)
) without rowid;
"""
)


@pytest.fixture(params=[1, 2])
def old_journal(tmp_path, request):
    """A journal as an earlier version left it: an event that was delivered, one that waits, a held and a dead one."""
    path = tmp_path / "journal.db"
    database = apsw.Connection(str(path))
    database.pragma("auto_vacuum", 2)
    database.pragma("journal_mode", "wal")
    database.execute(VERSION_1 if request.param == 1 else VERSION_2)
    database.execute("""
        insert into meta values ('id', 'the-old-id');
        insert into worker values ('w', 1, '', 1);
        insert into counter values ('w', 'offered', '', 5), ('w', 'accepted', '', 4), ('w', 'dropped', 'excluded', 1);
        insert into batch (sequence, count, events) values (7, 1, cast('waits' as blob));
        insert into held values (0, 'id', cast('held' as blob));
        insert into sink values ('s', 6, 0, 0, 1, null);
        insert into dead values (5, 's', 'rejected: bad', cast('dead' as blob));
    """)
    database.pragma("user_version", request.param)
    database.pragma("application_id", APPLICATION_ID)
    database.close()
    return path


def test_an_earlier_version_is_brought_up_to_date(old_journal):
    journal = Journal(old_journal)
    journal.open()
    assert (journal.id, journal.database.pragma("user_version")) == ("the-old-id", VERSION)
    stored = journal.next_batch("s", 10)
    assert (stored.last, stored.lines, stored.damaged) == (7, b"waits\n", 0)
    journal.advance("s", stored.last, 0, withheld={"consent": 1})
    assert journal.release(1) == 1
    assert retry_dead(old_journal, None) == 1
    stored = journal.next_batch("s", 10)
    assert (stored.lines, stored.damaged) == (b"held\ndead\n", 0)
    with journal.transaction() as database:
        database.execute("select * from cookie")
    journal.close()
    counts = read_counts(old_journal)
    [sink] = counts.sinks
    assert (sink.accepted, sink.delivered, sink.withheld, sink.pending) == (4, 1, {"consent": 1}, 2)
    assert counts.closes


def test_what_waits_counts_as_written_on_the_day_of_the_upgrade(old_journal):
    """Nobody noted its day, and it must not expire at once."""
    journal = Journal(old_journal)
    journal.open()
    journal.housekeep("s", 1)
    journal.close()
    [sink] = read_counts(old_journal).sinks
    assert (sink.lost, sink.pending, sink.dead_lettered) == ({}, 2, 1)


def test_reading_its_counters_is_enough(old_journal):
    assert read_counts(old_journal).closes
    assert read_counts(old_journal).cookies == {}


def test_an_upgrade_that_fails_leaves_it_as_it_was(old_journal):
    database = apsw.Connection(str(old_journal))
    database.execute("create table lost (in_the_way)")
    database.close()
    with pytest.raises(JournalError, match="can't be read"):
        read_counts(old_journal)
    database = apsw.Connection(str(old_journal))
    tables = {row[0] for row in database.execute("select name from sqlite_schema where type = 'table'")}
    assert database.pragma("user_version") < VERSION
    assert "aside" not in tables
    database.close()


def test_several_processes_may_upgrade_it_at_once(old_journal):
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        pool.starmap(append_batches, [(old_journal, f"w{number}", 20) for number in range(3)])
        pool.close()
        pool.join()
    counts = read_counts(old_journal)
    assert sum(worker.accepted for worker in counts.workers) == 4 + 60
    assert counts.closes


def test_a_new_one_has_the_same_tables(old_journal, tmp_path):
    new = Journal(tmp_path / "new.db")
    upgraded = Journal(old_journal)
    found = []
    for journal in (new, upgraded):
        journal.open()
        found.append(sorted(journal.database.execute("select name, sql from sqlite_schema").fetchall()))
        journal.close()
    assert found[0] == found[1]
