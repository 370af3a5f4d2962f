"""Rows of events, and how they get into a table."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from psycopg import Cursor

from centtrack.errors import Rejected
from centtrack.event import Event
from centtrack.schema import postgresql as ddl
from centtrack.schema.fields import FIELDS

_COLUMNS = ", ".join(ddl.quote(field.name) for field in FIELDS)
_DEFINITIONS = ", ".join(f"{ddl.quote(field.name)} {ddl.column_type(field)}" for field in FIELDS)
_MAPS = [place for place, field in enumerate(FIELDS) if field.kind in {"text_map", "integer_map", "json"}]
_NUL = "\\u0000"  # as JSON has it
_encode = msgspec.json.Encoder().encode


def copy(cursor: Cursor, table: str, events: Sequence[Event]) -> None:
    """Copy events into a table. All of it fails if one of them is there already.

    Args:
        cursor: in a transaction.
        table: its name, quoted.
        events: what to copy.

    Raises:
        Rejected: if a value can't be sent.
        psycopg.Error: if the server refuses it.
    """
    with cursor.copy(f"copy {table} ({_COLUMNS}) from stdin".encode()) as copying:
        try:
            for event in events:
                copying.write_row(_row(event))
        except (OverflowError, TypeError, ValueError) as error:  # as a lone surrogate
            raise Rejected(f"a value does not fit its column: {type(error).__name__}") from None


def insert_new(cursor: Cursor, table: str, events: Sequence[Event]) -> None:
    """Insert those events that aren't in a table yet. Takes about twice as long as `copy`.

    Args:
        cursor: in a transaction, which ends after this.
        table: its name, quoted.
        events: what to insert.

    Raises:
        Rejected: if a value can't be sent.
        psycopg.Error: if the server refuses it.
    """
    # Made and dropped each time: a session may be another program's in the next transaction.
    cursor.execute(f"create temporary table centtrack_batch ({_DEFINITIONS}) on commit drop".encode())
    copy(cursor, "pg_temp.centtrack_batch", events)
    cursor.execute(
        f"insert into {table} ({_COLUMNS}) select {_COLUMNS} from pg_temp.centtrack_batch "  # noqa: S608 - quoted
        'on conflict ("event_id", "date") do nothing'.encode()
    )


def _row(event: Event) -> list[object]:
    row = [*msgspec.structs.astuple(event), event.time.date()]
    for place in _MAPS:
        if row[place] is not None:
            row[place] = _as_json(row[place])
    return row


def _as_json(value: object) -> str:
    text = _encode(value).decode()
    if _NUL in text and _NUL in text.replace("\\\\", ""):  # the server would write the whole text into its log
        raise ValueError
    return text
