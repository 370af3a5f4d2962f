"""The sinks' entries in the journal: how far each has come. Within the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apsw

from centtrack.delivery.journal.batches import checksum_of, delete_passed, today
from centtrack.delivery.journal.losses import forget_counts, note_lost, note_withheld


def register(database: apsw.Connection, sink: str) -> None:
    """Give a sink a cursor, if it has none. It starts now: what an earlier one of its name missed is over."""
    database.execute(
        """insert or ignore into sink (name, cursor, accepted_before) values (?1,
        coalesce((select seq from sqlite_sequence where name = 'batch'), 0),
        (select coalesce(sum(count), 0) from counter where name = 'accepted') - (select count(*) from held)
        - (select count(*) from dead where sink = ?1))""",
        (sink,),
    )
    if database.changes():
        forget_counts(database, sink)


def begin_attempt(database: apsw.Connection, sink: str, last: int) -> None:
    """Store the bounds of a batch."""
    database.execute("update sink set attempt = ? where name = ?", (last, sink))


def move(
    database: apsw.Connection,
    sink: str,
    last: int,
    *,
    delivered: int,
    dead: Sequence[tuple[str, bytes]],
    withheld: Mapping[str, int],
    lost: Mapping[str, int],
) -> None:
    """Move a cursor, and count what became of the events. See `Journal.advance`.

    A dead letter's age counts from when its event was recorded: of a batch of several days, from the first.
    """
    day: Any = database.execute(
        """select coalesce(min(day), ?3) from batch
        where sequence > (select cursor from sink where name = ?1) and sequence <= ?2
            and (sink is null or sink = ?1)""",
        (sink, last, today()),
    ).get
    database.execute(
        "update sink set cursor = ?1, delivered = delivered + ?2, error = null where name = ?3 and cursor < ?1",
        (last, delivered, sink),
    )
    if not database.changes():
        return  # retention, or another deliverer, was faster
    note_withheld(database, sink, withheld)
    note_lost(database, sink, lost)
    database.executemany(
        "insert into dead (sink, reason, event, checksum, day) values (?, ?, ?, ?, ?)",
        [(sink, reason, event, checksum_of(event, 1), day) for reason, event in dead],
    )
    delete_passed(database)


def note_error(database: apsw.Connection, sink: str, error: str | None) -> None:
    """Note why a sink can't be delivered to; if there is a reason, an attempt failed."""
    database.execute("update sink set error = ?1, retries = retries + (?1 is not null) where name = ?2", (error, sink))
