"""Rows of events in the journal: how they go in, and what comes out of them. Within the caller's transaction."""

from __future__ import annotations

import datetime as dt
import re
import zlib
from typing import Any, NamedTuple

import apsw

from centtrack.delivery import clock
from centtrack.delivery.records import Encoded, StoredBatch

MAX_BYTES = 16_000_000
"""Of a batch: what a process that delivers has to hold at once. A row may be larger."""

_DAY_S = 86_400
_RELEASED_ROWS = 1_000
_ADD = "insert into batch (count, events, checksum, sink, day) values (?, ?, ?, ?, ?)"
# Quotes within JSON's texts are escaped, so nothing but the event's time can match first.
_TIME = re.compile(rb'"time":"([^"]+)"')


class Span(NamedTuple):
    """Rows after a sink's cursor.

    Attributes:
        last: sequence of the last one.
        has_events: whether any of them is for this sink.
    """

    last: int
    has_events: bool


def today() -> int:
    """The day, UTC, in days since 1970."""
    return int(clock.now() // _DAY_S)


def checksum_of(events: bytes, count: int) -> int:
    """CRC-32 of a row: a bit that flipped on the disk must not be delivered as data.

    Args:
        events: of the row, encoded.
        count: how many they are.
    """
    return zlib.crc32(events, count)


def is_intact(events: object, count: object, checksum: object) -> bool:
    """Whether a row is what was written. A flipped bit may also make another type of a value."""
    return isinstance(events, bytes) and isinstance(count, int) and checksum_of(events, count) == checksum


def add_rows(database: apsw.Connection, events: Encoded) -> None:
    """Store events: a row, and those that are held."""
    if events.lines:
        count = events.total - len(events.held)
        database.execute(_ADD, (count, events.lines, checksum_of(events.lines, count), None, today()))
    if events.held:
        database.executemany(
            "insert into held values (?, ?, ?, ?)",
            [(release_at, event_id, event, checksum_of(event, 1)) for release_at, event_id, event in events.held],
        )


def add_retried(database: apsw.Connection, sink: str, letter: int) -> None:
    """Store the event of a dead letter once more, for one sink alone. It doesn't get younger by that."""
    database.execute(
        """insert into batch (count, events, checksum, sink, day)
        select 1, event, checksum, ?, day from dead where id = ?""",
        (sink, letter),
    )


def move_released(database: apsw.Connection, at: float) -> int:
    """Move held events whose time has come to a row, in the order of their random ids; how many were moved."""
    found: Any = database.execute(
        "select release_at, event_id, event, checksum from held where release_at <= ? order by event_id limit ?",
        (at, _RELEASED_ROWS),
    )
    rows = found.fetchall()
    database.executemany("delete from held where release_at = ? and event_id = ?", [row[:2] for row in rows])
    good = [event for _, _, event, checksum in rows if is_intact(event, 1, checksum)]
    if good:
        lines = b"\n".join(good)
        database.execute(_ADD, (len(good), lines, checksum_of(lines, len(good)), None, today()))
    # With the checksum that doesn't fit: so each sink counts it as damaged.
    database.executemany(
        _ADD,
        [(1, event, checksum, None, today()) for _, _, event, checksum in rows if not is_intact(event, 1, checksum)],
    )
    return len(rows)


def find_span(database: apsw.Connection, sink: str, cursor: int, max_events: int) -> Span:
    """The rows after a cursor up to which there are that many events for a sink, or one row more."""
    found: Any = database.execute(
        """select sequence, count, length(events), sink is null or sink = ? from batch
        where sequence > ? order by sequence limit ?""",
        (sink, cursor, max_events),
    )
    last, total, size = cursor, 0, 0
    for sequence, count, length, is_for_it in found.fetchall():
        if total >= max_events or (total and size + length > MAX_BYTES):
            break
        last = sequence
        if is_for_it:
            total, size = total + count, size + length
    return Span(last, total > 0)


def read_span(database: apsw.Connection, sink: str, cursor: int, last: int, *, repeated: bool) -> StoredBatch:
    """The events of these rows that are for a sink."""
    found: Any = database.execute(
        """select count, events, checksum from batch
        where sequence > ? and sequence <= ? and (sink is null or sink = ?) order by sequence""",
        (cursor, last, sink),
    )
    # All are fetched here: no read transaction may be open while the sink writes, it would keep the WAL growing.
    rows = found.fetchall()
    good = [(count, events) for count, events, checksum in rows if is_intact(events, count, checksum)]
    total = sum(count for count, _ in good)
    stored = sum(count for count, _, _ in rows)
    return StoredBatch(last, repeated, total, b"".join(events + b"\n" for _, events in good), stored - total)


def count_pending(database: apsw.Connection, sink: str) -> int:
    """Events that wait for a sink: in rows after its cursor, and held."""
    return int(
        database.execute(
            """select (select coalesce(sum(count), 0) from batch
                where sequence > (select cursor from sink where name = ?1) and (sink is null or sink = ?1))
            + (select count(*) from held)""",
            (sink,),
        ).get
    )


def delete_passed(database: apsw.Connection) -> None:
    """Delete the rows that all sinks have passed."""
    database.execute("delete from batch where sequence <= (select min(cursor) from sink)")


def read_oldest_time(database: apsw.Connection, sink: str) -> float | None:
    """Time of the first event that a sink has yet to get, in seconds since 1970; None if there is none to read.

    When it was committed isn't stored: that would tell what the policy took away.
    """
    start: Any = database.execute(
        """select substr(events, 1, 1024) from batch
        where sequence > (select cursor from sink where name = ?1) and (sink is null or sink = ?1)
        order by sequence limit 1""",
        (sink,),
    ).get
    found = _TIME.search(start) if isinstance(start, bytes) else None
    if found is None:
        return None
    try:
        return dt.datetime.fromisoformat(found[1].decode()).timestamp()
    except ValueError:
        return None  # a damaged row
