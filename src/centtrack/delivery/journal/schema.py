"""The journal's tables."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import apsw

from centtrack.delivery.journal.batches import checksum_of, today

VERSION = 3
APPLICATION_ID = 0x63656E74  # "cent"

_VERSION_1 = """
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

_VERSION_2 = """
create table withheld (
    sink text not null, reason text not null, count integer not null, primary key (sink, reason)
) without rowid;
create table cookie (
    name text not null, domain text not null, path text not null, passed integer not null, removed integer not null,
    expired integer not null, arrived integer not null, longest_days integer, first_day integer not null,
    last_day integer not null, primary key (name, domain, path)
) without rowid;
"""
_VERSION_3 = """
alter table batch add column checksum integer not null default 0;
alter table batch add column sink text;
alter table batch add column day integer not null default 0;
alter table held add column checksum integer not null default 0;
alter table dead add column checksum integer not null default 0;
alter table dead add column day integer not null default 0;
alter table sink add column retries integer not null default 0;
alter table sink add column unseen_s real not null default 0;
create table lost (
    sink text not null, reason text not null, count integer not null, primary key (sink, reason)
) without rowid;
create table aside (name text primary key, day integer not null, events integer) without rowid;
"""
_STEPS = (_VERSION_1, _VERSION_2, _VERSION_3)


def create(database: apsw.Connection, fill: Callable[[apsw.Connection], None] = lambda _: None) -> None:
    """Make the tables of an empty database, with an id of its own.

    Args:
        database: the empty one.
        fill: called in the same transaction.
    """
    database.pragma("auto_vacuum", 2)  # incremental
    database.pragma("journal_mode", "wal")
    with database:
        for step in _STEPS:
            database.execute(step)
        database.execute("insert into meta values ('id', ?)", (uuid.uuid4().hex,))
        database.pragma("user_version", VERSION)
        database.pragma("application_id", APPLICATION_ID)
        fill(database)


def read_id(database: apsw.Connection) -> str:
    """The journal's id; empty if it can't be read."""
    try:
        return str(database.execute("select value from meta where key = 'id'").get or "")
    except apsw.SQLError:
        return ""


def upgrade(database: apsw.Connection, version: int) -> None:
    """Bring the tables of an earlier version to this one, in one transaction. What they hold stays."""
    with database:
        for step in _STEPS[version:]:
            database.execute(step)
        if version < 3:
            _complete_rows(database)
        database.pragma("user_version", VERSION)


def _complete_rows(database: apsw.Connection) -> None:
    """Give rows of version 2 what came with version 3; they count as written today."""
    database.create_scalar_function("checksum_of", _checksum_of, 2, deterministic=True)
    database.execute("update batch set checksum = checksum_of(events, count), day = ?", (today(),))
    database.execute("update held set checksum = checksum_of(event, 1)")
    database.execute("update dead set checksum = checksum_of(event, 1), day = ?", (today(),))


def _checksum_of(*values: Any) -> int:
    return checksum_of(*values)
