"""Counts, by sink and reason, of events that the sink won't get. Within the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import apsw

LostReason = Literal["damaged", "corrupt", "retention", "dropped", "dead_retention", "unseen"]


def note_lost(database: apsw.Connection, sink: str, lost: Mapping[str, int]) -> None:
    """Add to what is lost: reason → events."""
    _add(database, "lost", sink, lost)


def note_withheld(database: apsw.Connection, sink: str, withheld: Mapping[str, int]) -> None:
    """Add to what is withheld: reason → events."""
    _add(database, "withheld", sink, withheld)


def _add(database: apsw.Connection, table: Literal["lost", "withheld"], sink: str, counts: Mapping[str, int]) -> None:
    database.executemany(
        f"insert into {table} values (?, ?, ?) on conflict do update set count = count + excluded.count",  # noqa: S608
        [(sink, reason, count) for reason, count in counts.items() if count],
    )
