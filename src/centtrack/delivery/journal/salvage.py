"""What can be read of a damaged journal: its counters, so that those of the new one close, and its dead letters."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from centtrack.delivery.journal.batches import is_intact, today
from centtrack.delivery.journal.losses import note_lost
from centtrack.delivery.journal.workers import EARLIER, EARLIER_KILLED, fold

_MAX_LETTERS = 10_000  # they are in memory for a moment; what is more is lost

# table → its columns that go on as they are, and their types. Each is read on its own.
_TABLES: dict[str, tuple[str, tuple[type, ...]]] = {
    "worker": ("name, pid, started, ended", (str, int, str, int)),
    "counter": ("worker, name, reason, count", (str, str, str, int)),
    "sink": ("name, accepted_before, delivered, retries", (str, int, int, int)),
    "withheld": ("sink, reason, count", (str, str, int)),
    "lost": ("sink, reason, count", (str, str, int)),
    "dead": ("sink, reason, event, day, checksum", (str, str, bytes, int, int)),
    "import": ("source, head_size, lines, events, rejected", (str, int, int, int, int)),
    "cookie": (
        "name, domain, path, passed, removed, expired, arrived, longest_days, first_day, last_day",
        (str, str, str, int, int, int, int, object, int, int),
    ),
    "aside": ("name, day, events", (str, int, object)),
}

# What became of a sink's events, beside those that it took.
_DONE = """select (select coalesce(sum(count), 0) from withheld where sink = ?1)
    + (select coalesce(sum(count), 0) from lost where sink = ?1) + (select count(*) from dead where sink = ?1)"""

Row = tuple[Any, ...]


class Salvage(NamedTuple):
    """What was read.

    Attributes:
        rows: table → its rows that could be read.
        whole: tables that could be read to their end.
    """

    rows: dict[str, list[Row]]
    whole: frozenset[str]


def read_salvage(path: Path) -> Salvage:
    """Read what can be read of a damaged journal, and leave it as it is."""
    rows: dict[str, list[Row]] = {table: [] for table in _TABLES}
    whole = set()
    with contextlib.suppress(apsw.Error):
        database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            database.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            for table in _TABLES:
                if _read(database, table, rows[table]):
                    whole.add(table)
        finally:
            database.close()
            path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    rows["dead"] = [row for row in rows["dead"] if is_intact(row[2], 1, row[4])]
    return Salvage(rows, frozenset(whole))


def _read(database: apsw.Connection, table: str, into: list[Row]) -> bool:
    """Read a table; False if some of it couldn't be."""
    columns, types = _TABLES[table]
    read = 0
    with contextlib.suppress(apsw.Error, UnicodeDecodeError):
        for row in database.execute(f"select {columns} from {table} limit {_MAX_LETTERS}"):  # noqa: S608 - constants of this module
            read += 1
            if all(isinstance(value, kind) for value, kind in zip(row, types, strict=True)):
                into.append(row)
        return read == len(into)
    return False


def write_salvage(database: apsw.Connection, salvage: Salvage, aside: str) -> None:
    """Go on with the counters of a damaged journal in a new one. What waited in it is lost, and counted as that.

    Args:
        database: the new one, empty, in a transaction.
        salvage: what was read of the old one.
        aside: name of its file.
    """
    for table in ("withheld", "lost", "dead", "import", "cookie", "aside"):
        _write(database, table, salvage.rows[table])
    is_known = {"counter", "sink"} <= salvage.whole
    _write_workers(database, salvage, is_known="counter" in salvage.whole)
    losses = [_write_sink(database, *row) for row in salvage.rows["sink"]]
    events = max(losses, default=0) if is_known else None
    database.execute("insert or replace into aside values (?, ?, ?)", (aside, today(), events))


def _write(database: apsw.Connection, table: str, rows: list[Row]) -> None:
    columns, types = _TABLES[table]
    marks = ", ".join("?" for _ in types)
    # A damaged one may have a row twice.
    database.executemany(f"insert or ignore into {table} ({columns}) values ({marks})", rows)  # noqa: S608 - the same


def _write_workers(database: apsw.Connection, salvage: Salvage, *, is_known: bool) -> None:
    _write(database, "worker", salvage.rows["worker"])
    _write(database, "counter", salvage.rows["counter"])
    if not is_known:  # then what a worker was offered is a lower bound, however it ended
        database.execute("update worker set ended = 0")
        fold(database, EARLIER, EARLIER_KILLED)


def _write_sink(database: apsw.Connection, name: str, before: int, delivered: int, retries: int) -> int:
    """Write a sink, for which nothing waits yet; how many events it lost."""
    accepted = _sum(database, "select coalesce(sum(count), 0) from counter where name = 'accepted'")
    done = delivered + _sum(database, _DONE, name)
    rest = accepted - before - done
    # More is done than was accepted if some counters couldn't be read.
    database.execute(
        "insert or ignore into sink (name, cursor, accepted_before, delivered, retries) values (?, 0, ?, ?, ?)",
        (name, before + min(rest, 0), delivered, retries),
    )
    note_lost(database, name, {"corrupt": max(rest, 0)})
    return max(rest, 0)


def _sum(database: apsw.Connection, query: str, *values: str) -> int:
    return int(database.execute(query, values).get)
