"""Counts, by sink and reason, of events that the sink won't get. Within the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import apsw

LostReason = Literal["damaged", "corrupt", "retention", "dropped", "dead_retention", "unseen"]


def note_lost(database: apsw.Connection, sink: str, lost: Mapping[str, int]) -> None:
    """Add to what is lost: reason → events."""
    database.executemany(
        "insert into lost values (?, ?, ?) on conflict do update set count = count + excluded.count",
        [(sink, reason, count) for reason, count in lost.items() if count],
    )


def note_withheld(database: apsw.Connection, sink: str, withheld: Mapping[str, int]) -> None:
    """Add to what is withheld: reason → events."""
    database.executemany(
        "insert into withheld values (?, ?, ?) on conflict do update set count = count + excluded.count",
        [(sink, reason, count) for reason, count in withheld.items() if count],
    )


def forget_counts(database: apsw.Connection, sink: str) -> None:
    """Forget what is lost and withheld: the sink begins anew, or is removed."""
    database.execute("delete from lost where sink = ?", (sink,))
    database.execute("delete from withheld where sink = ?", (sink,))
