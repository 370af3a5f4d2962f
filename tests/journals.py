"""What a recorder does to a journal."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.records import Encoded

OFFERED, ACCEPTED, EXCLUDED = ("offered", ""), ("accepted", ""), ("dropped", "excluded")


def accept(
    journal: Journal, *events: bytes, worker: str = "w", counts: Mapping[tuple[str, str], int] | None = None
) -> None:
    """Commit encoded events as one row, counted as offered and accepted unless told otherwise."""
    counted = {OFFERED: len(events), ACCEPTED: len(events)} if counts is None else counts
    journal.append(Encoded(len(events), b"\n".join(events), []), worker=worker, counts=counted)


def hold(journal: Journal, release_at: int, events: Mapping[str, bytes], *, worker: str = "w") -> None:
    """Commit events, by their ids, that wait for the end of their bucket of time."""
    held = [(release_at, event_id, event) for event_id, event in events.items()]
    counted = {OFFERED: len(held), ACCEPTED: len(held)}
    journal.append(Encoded(len(held), b"", held), worker=worker, counts=counted)


def append_batches(path: Path, worker: str, batches: int) -> None:
    """What a worker process does, from its begin to its end."""
    journal = Journal(path)
    journal.open()
    journal.begin_worker(worker, os.getpid())
    for number in range(batches):
        accept(journal, f"{worker}/{number}".encode(), worker=worker)
    journal.end_worker(worker)
    journal.close()
