"""The counters of a journal, and whether they close: nothing is lost silently.

`offered = accepted + dropped{reason}`, and per sink
`accepted = delivered + withheld{reason} + dead_lettered + pending + lost{reason}`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from centtrack.delivery import clock
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.journal.processes import is_alive
from centtrack.delivery.journal.workers import EARLIER
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
        withheld: reason → events that it may not have, or that aren't in its share.
        lost: reason → events that it can't get any more: `damaged` or `corrupt` on the disk, older than the policy's
            `retention`, or dead letters that were `dropped`, or too old (`dead_retention`).
        retries: attempts that failed and had to be repeated.
        oldest_s: age of the oldest event that it could get now, in seconds, by its own time; None if not known.
    """

    name: str
    accepted: int
    delivered: int
    dead_lettered: int
    pending: int
    error: str | None
    withheld: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    oldest_s: float | None = None

    @property
    def closes(self) -> bool:
        """Whether every accepted event is accounted for."""
        kept_back = sum(self.withheld.values()) + sum(self.lost.values())
        return self.accepted == self.delivered + kept_back + self.dead_lettered + self.pending


class SetAside(NamedTuple):
    """A damaged journal that was set aside.

    Attributes:
        name: its file, beside the journal.
        day: when that was, in days since 1970, UTC.
        events: how many waited in it, and are lost, for the sink with the most; None if that isn't known.
    """

    name: str
    day: int
    events: int | None


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
        used_bytes: what of its size is used.
        max_bytes: what it may use at most, as the last worker had it; None if none has said so.
        set_aside: damaged journals before it, whose files are still there.
        removed: name of a sink that no process delivered to any more → events that waited for it then.
    """

    path: Path
    workers: list[WorkerCounts]
    sinks: list[SinkCounts]
    held: int
    due: int
    held_until: int | None
    bytes: int
    cookies: dict[str, int] = field(default_factory=dict)
    used_bytes: int = 0
    max_bytes: int | None = None
    set_aside: list[SetAside] = field(default_factory=list)
    removed: dict[str, int] = field(default_factory=dict)

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
        with journal.database:  # one snapshot
            counts = _read(journal)
        return counts  # noqa: RET504 - for mypy, a connection might swallow errors
    except (apsw.Error, OSError, LookupError, TypeError, ValueError) as error:  # from the third on: a damaged value
        raise JournalError(f"journal {path} can't be read: {type(error).__name__}: {error}") from None
    finally:
        journal.close()


def _read(journal: Journal) -> Counts:
    database = journal.database
    held, due, held_until = _rows(
        journal, "select count(*), coalesce(sum(release_at <= ?), 0), min(release_at) from held", clock.now()
    )[0]
    workers = _read_workers(journal)
    return Counts(
        journal.path,
        workers,
        _read_sinks(journal, sum(worker.accepted for worker in workers), held),
        held,
        due,
        held_until,
        bytes=database.pragma("page_count") * database.pragma("page_size"),
        cookies=_read_cookies(journal),
        used_bytes=journal.used_bytes,
        max_bytes=database.execute("select value from meta where key = 'max_bytes'").get,
        set_aside=[SetAside(*row) for row in _rows(journal, "select name, day, events from aside order by name")],
        removed=dict(
            _rows(
                journal, "select sink, count from lost where reason = 'unseen' and sink not in (select name from sink)"
            )
        ),
    )


def _rows(journal: Journal, query: str, *values: object) -> list[Any]:
    return list(journal.database.execute(query, values))


def _read_workers(journal: Journal) -> list[WorkerCounts]:
    workers = {
        name: WorkerCounts(name, "ended" if ended else "running" if is_alive(pid, started) else "killed")
        for name, pid, started, ended in _rows(journal, "select name, pid, started, ended from worker order by rowid")
    }
    for name, counter, reason, count in _rows(journal, "select worker, name, reason, count from counter"):
        worker = workers.setdefault(name, WorkerCounts(name, "ended" if name == EARLIER else "killed"))
        if counter == "offered":
            worker.offered = count
        elif counter == "accepted":
            worker.accepted = count
        elif counter in ("dropped", "scrubbed", "noted"):  # else a flipped bit made another name of it
            by_reason: dict[str, int] = getattr(worker, counter)
            by_reason[reason] = count
    return list(workers.values())


def _read_sinks(journal: Journal, accepted: int, held: int) -> list[SinkCounts]:
    rows = _rows(
        journal,
        """select name, accepted_before, delivered, error, retries,
            (select count(*) from dead where dead.sink = sink.name),
            (select coalesce(sum(count), 0) from batch
                where sequence > cursor and (batch.sink is null or batch.sink = sink.name))
        from sink order by name""",
    )
    sinks = [
        SinkCounts(name, accepted - before, delivered, dead, pending + held, error, retries=retries)
        for name, before, delivered, error, retries, dead, pending in rows
    ]
    withheld = _rows(journal, "select sink, reason, count from withheld order by sink, reason")
    lost = _rows(journal, "select sink, reason, count from lost order by sink, reason")
    for sink in sinks:
        sink.withheld = {reason: count for name, reason, count in withheld if name == sink.name}
        sink.lost = {reason: count for name, reason, count in lost if name == sink.name}
        sink.oldest_s = journal.oldest_age_s(sink.name, clock.now())
    return sinks


def _read_cookies(journal: Journal) -> dict[str, int]:
    row: Any = journal.database.execute(
        "select count(distinct name), sum(passed), sum(removed), sum(expired), sum(arrived) from cookie"
    ).get
    names = ("names", "passed", "removed", "expired", "arrived")
    return dict(zip(names, row, strict=True)) if row[0] else {}
