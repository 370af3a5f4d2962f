"""The counters of a journal, and whether they close: nothing is lost silently.

`offered = accepted + dropped{reason}`, and per sink
`accepted = delivered + withheld{reason} + dead_lettered + pending`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from centtrack.delivery.journal import Journal
from centtrack.delivery.processes import is_alive
from centtrack.errors import JournalError


@dataclass(slots=True)
class WorkerCounts:
    """What one worker process counted.

    Attributes:
        name: process id and a random part.
        state: `running`, `ended`, or `killed` if it ended without saying so; then `offered` is a lower bound.
        offered: requests and custom events that were to be recorded.
        accepted: events whose transaction has committed.
        dropped: reason → events that were not accepted.
        scrubbed: kind of personal data → how often it was removed from a URL, a referrer or a property.
        noted: what went wrong in capture, without costing an event → how often.
    """

    name: str
    state: str
    offered: int = 0
    accepted: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    scrubbed: dict[str, int] = field(default_factory=dict)
    noted: dict[str, int] = field(default_factory=dict)

    @property
    def in_flight(self) -> int:
        """Offered, but neither accepted nor dropped yet; 0 once the worker has ended cleanly."""
        return self.offered - self.accepted - sum(self.dropped.values())


@dataclass(slots=True)
class SinkCounts:
    """What one sink got.

    Attributes:
        name: the sink's name.
        accepted: events accepted since it was configured.
        delivered: events it took.
        dead_lettered: events it will never take.
        pending: events that wait for it, in the journal; those held for their bucket of time included.
        error: why it can't be delivered to at present.
        withheld: reason → events that it may not have: it is a third party's, and their visitors didn't consent.
    """

    name: str
    accepted: int
    delivered: int
    dead_lettered: int
    pending: int
    error: str | None
    withheld: dict[str, int] = field(default_factory=dict)

    @property
    def closes(self) -> bool:
        """Whether every accepted event is accounted for."""
        return self.accepted == self.delivered + sum(self.withheld.values()) + self.dead_lettered + self.pending


@dataclass(slots=True)
class Counts:
    """All counters of a journal, read in one transaction.

    Attributes:
        path: the journal.
        workers: one entry a worker process.
        sinks: one entry a sink.
        held: events that wait for the end of their bucket of time.
        due: how many of these may be released by now.
        held_until: when the next of them are released, seconds since 1970; None if none are held.
        bytes: size of the database.
        cookies: `names`, `passed`, `removed`, `expired` and `arrived` → sum over the inventory; empty without one.
    """

    path: Path
    workers: list[WorkerCounts]
    sinks: list[SinkCounts]
    held: int
    due: int
    held_until: int | None
    bytes: int
    cookies: dict[str, int] = field(default_factory=dict)

    @property
    def scrubbed(self) -> dict[str, int]:
        """Kind of personal data → how often it was removed, over all workers."""
        return _summed(worker.scrubbed for worker in self.workers)

    @property
    def noted(self) -> dict[str, int]:
        """What went wrong in capture → how often, over all workers."""
        return _summed(worker.noted for worker in self.workers)

    @property
    def closes(self) -> bool:
        """Whether all counters add up; of a running or killed worker only what it has committed can."""
        ended = [worker for worker in self.workers if worker.state == "ended"]
        return all(worker.in_flight == 0 for worker in ended) and all(sink.closes for sink in self.sinks)


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))


def read_counts(path: Path) -> Counts:
    """The counters of a journal, while it is in use or after.

    Raises:
        JournalError: if there is none, or it can't be read.
    """
    journal = Journal(path)
    try:
        journal.open_existing()
        with journal.database as database:  # one snapshot
            waiting: Any = database.execute(
                "select count(*), coalesce(sum(release_at <= ?), 0), min(release_at) from held", (time.time(),)
            ).get
            workers = _read_workers(journal)
            sinks = _read_sinks(journal, sum(worker.accepted for worker in workers), waiting[0])
            cookies = _read_cookies(journal)
            size = database.pragma("page_count") * database.pragma("page_size")
        return Counts(path, workers, sinks, waiting[0], waiting[1], waiting[2], size, cookies)
    except apsw.Error as error:
        raise JournalError(f"journal {path} can't be read: {type(error).__name__}: {error}") from None
    finally:
        journal.close()


def _read_workers(journal: Journal) -> list[WorkerCounts]:
    rows: Any = journal.database.execute("select name, pid, started, ended from worker order by rowid")
    workers = {
        name: WorkerCounts(name, "ended" if ended else "running" if is_alive(pid, started) else "killed")
        for name, pid, started, ended in rows
    }
    counters: Any = journal.database.execute("select worker, name, reason, count from counter")
    for name, counter, reason, count in counters:
        worker = workers.setdefault(name, WorkerCounts(name, "ended"))
        if counter == "offered":
            worker.offered = count
        elif counter == "accepted":
            worker.accepted = count
        else:
            {"dropped": worker.dropped, "scrubbed": worker.scrubbed, "noted": worker.noted}[counter][reason] = count
    return list(workers.values())


def _read_sinks(journal: Journal, accepted: int, held: int) -> list[SinkCounts]:
    rows: Any = journal.database.execute(
        """select name, accepted_before, delivered, error,
            (select count(*) from dead where dead.sink = sink.name),
            (select coalesce(sum(count), 0) from batch where sequence > cursor)
        from sink order by name"""
    )
    sinks = [
        SinkCounts(name, accepted - before, delivered, dead, pending + held, error)
        for name, before, delivered, error, dead, pending in rows
    ]
    found: Any = journal.database.execute("select sink, reason, count from withheld order by sink, reason")
    withheld = [tuple(row) for row in found]
    for sink in sinks:
        sink.withheld = {reason: count for name, reason, count in withheld if name == sink.name}
    return sinks


def _read_cookies(journal: Journal) -> dict[str, int]:
    row: Any = journal.database.execute(
        "select count(distinct name), sum(passed), sum(removed), sum(expired), sum(arrived) from cookie"
    ).get
    names = ("names", "passed", "removed", "expired", "arrived")
    return dict(zip(names, row, strict=True)) if row[0] else {}
