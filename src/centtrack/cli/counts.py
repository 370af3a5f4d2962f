"""The counters of a journal as tables and sentences, narrow enough for 80 columns."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Column, Table

from centtrack.cli.output import printable
from centtrack.delivery.journal.counters import Counts, SinkCounts, WorkerCounts
from centtrack.delivery.journal.quota import ROOM

_FIRST_DAY = dt.date(1970, 1, 1)
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def tell_counts(counts: Counts, *, is_brief: bool = False) -> Iterator[RenderableType]:
    """What there is to say of a journal, line by line and table by table.

    Args:
        counts: its counters.
        is_brief: whether workers that have ended share a row.
    """
    limit = f" of {_megabytes(counts.max_bytes)}" if counts.max_bytes else ""
    yield f"[bold]{_shown(counts.path)}[/bold]  {_megabytes(counts.used_bytes)}{limit} used"
    if counts.max_bytes and counts.used_bytes > counts.max_bytes - ROOM:
        yield "[red]It is at its limit: new events are dropped until the sinks have taken what waits.[/red]"
    yield _workers(_folded(counts.workers) if is_brief else counts.workers)
    if counts.sinks:
        yield _sinks(counts.sinks)
    for sink in counts.sinks:
        yield from _of_sink(sink)
    yield from _of_past(counts)
    yield from _of_capture(counts)
    if counts.held_until is not None:
        until = dt.datetime.fromtimestamp(counts.held_until, dt.UTC)
        yield f"{counts.held:,} events are held until {until:%Y-%m-%d %H:%M} UTC, the end of their bucket of time."
    if any(worker.state == "killed" for worker in counts.workers):
        yield "A worker ended without saying so: what it was offered last isn't counted, `offered` is a lower bound."
    verdict = "[green]The counters close.[/green]" if counts.closes else "[red]The counters don't close.[/red]"
    yield f"{verdict} offered = accepted + dropped; per sink accepted = delivered + withheld + dead + lost + pending\n"


def _folded(workers: list[WorkerCounts]) -> list[WorkerCounts]:
    """The workers that run, and one row for all that ended."""
    past = [worker for worker in workers if worker.state == "ended"]
    if len(past) < 2:
        return workers
    dropped: Counter[str] = Counter()
    for worker in past:
        dropped.update(worker.dropped)
    offered, accepted = sum(worker.offered for worker in past), sum(worker.accepted for worker in past)
    rest = [worker for worker in workers if worker.state != "ended"]
    return [WorkerCounts(f"{len(past)} workers", "ended", offered, accepted, dict(dropped)), *rest]


def _workers(workers: Iterable[WorkerCounts]) -> Table:
    numbers = [_number(title) for title in ("offered", "accepted", "in flight")]
    table = _table("worker", "state", *numbers, "dropped")
    for worker in workers:
        counts = (f"{count:,}" for count in (worker.offered, worker.accepted, worker.in_flight))
        table.add_row(worker.name, worker.state, *counts, _listed(worker.dropped) or "0")
    return table


def _sinks(sinks: Iterable[SinkCounts]) -> Table:
    titles = ("accepted", "delivered", "withheld", "dead", "lost", "pending", "oldest")
    table = _table(Column("sink", overflow="fold"), *map(_number, titles))
    for sink in sinks:
        counts = (
            sink.accepted, sink.delivered, sum(sink.withheld.values()), sink.dead_lettered, sum(sink.lost.values()),
            sink.pending,
        )  # fmt: skip
        table.add_row(_shown(sink.name), *(f"{count:,}" for count in counts), _age(sink.oldest_s))
    return table


def _of_sink(sink: SinkCounts) -> Iterator[str]:
    """What the table has no room for."""
    name = _shown(sink.name)
    if sink.withheld:
        yield f"Withheld from {name}: {_listed(sink.withheld)}"
    if sink.lost:
        yield f"[yellow]Lost for {name}: {_listed(sink.lost)}[/yellow]"
    if sink.dead_lettered:
        yield f"Dead letters of {name}: `centtrack dead list` shows them."
    if sink.error:
        yield f"[red]Trouble with {name}:[/red] {_shown(sink.error)}"
    if sink.retries:
        yield f"Attempts that failed for {name}: {sink.retries:,}"


def _of_past(counts: Counts) -> Iterator[str]:
    """Sinks that were removed, and files that were set aside."""
    for name, lost in counts.removed.items():
        yield f"[yellow]{_shown(name)} was removed, and {lost:,} events that waited for it with it.[/yellow]"
    for aside in counts.set_aside:
        day = _FIRST_DAY + dt.timedelta(days=aside.day)
        lost_with_it = "nobody knows how many events were" if aside.events is None else f"{aside.events:,} events were"
        yield (
            f"[yellow]A damaged journal was set aside on {day} as {_shown(aside.name)}; {lost_with_it} lost with it."
            "[/yellow]"
        )


def _of_capture(counts: Counts) -> Iterator[str]:
    for title, totals in (("Scrubbed", counts.scrubbed), ("Noted", counts.noted)):
        if totals:
            yield f"{title}: {_listed(totals)}"
    if counts.cookies:
        yield (
            "Cookies by name: {names:,}; {passed:,} passed, {removed:,} removed, {expired:,} expired, "
            "{arrived:,} arrived. `centtrack cookies` names them.".format(**counts.cookies)
        )


def _table(*columns: Column | str) -> Table:
    return Table(*columns, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def _number(title: str) -> Column:
    return Column(title, justify="right", no_wrap=True)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items())


def _age(seconds: float | None) -> str:
    """As in `12 min`; empty if it isn't known."""
    if seconds is None:
        return ""
    size, unit = next((one for one in _UNITS if seconds >= one[0]), _UNITS[-1])
    return f"{seconds / size:,.0f} {unit}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.{0 if size >= 1e8 else 1}f} MB"


def _shown(text: object) -> str:
    return escape(printable(str(text)))
