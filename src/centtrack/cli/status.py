"""`centtrack status`."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from centtrack.cli.output import FINDING, console
from centtrack.delivery.counters import Counts, read_counts
from centtrack.delivery.paths import known_journals
from centtrack.folders import state_folder


def status(
    journal: Annotated[
        Path | None, typer.Option(help="The journal's file. Default: all journals in the user's state folder.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show what was offered, accepted, dropped, delivered, per worker and sink. Exit 1 if the counters don't close."""
    paths = [journal] if journal else known_journals()
    if not paths:
        console.print(f"No journal in {state_folder()}: nothing has run here yet.")
        return
    all_counts = [read_counts(path) for path in paths]
    if json:
        console.print_json(data=[_as_data(counts) for counts in all_counts])
    else:
        for counts in all_counts:
            print_counts(counts)
    if not all(counts.closes for counts in all_counts):
        raise typer.Exit(FINDING)


def print_counts(counts: Counts) -> None:
    """Print one journal's counters."""
    console.print(f"[bold]{escape(str(counts.path))}[/bold]  {counts.bytes / 1e6:.1f} MB", soft_wrap=True)
    console.print(_workers(counts))
    console.print(_sinks(counts))
    for title, totals in (("Scrubbed", counts.scrubbed), ("Noted", counts.noted)):
        if totals:
            console.print(f"{title}: " + ", ".join(f"{count:,} {kind}" for kind, count in totals.items()))
    if counts.cookies:
        console.print(
            "Cookies by name: {names:,}; {passed:,} passed, {removed:,} removed, {expired:,} expired, "
            "{arrived:,} arrived. `centtrack cookies` names them.".format(**counts.cookies)
        )
    if counts.held_until is not None:
        until = dt.datetime.fromtimestamp(counts.held_until, dt.UTC)
        console.print(
            f"{counts.held:,} events are held until {until:%Y-%m-%d %H:%M} UTC, the end of their bucket of time."
        )
    if any(worker.state == "killed" for worker in counts.workers):
        console.print(
            "A worker ended without saying so: what it was offered last isn't counted, `offered` is a lower bound."
        )
    verdict = "[green]The counters close.[/green]" if counts.closes else "[red]The counters don't close.[/red]"
    console.print(
        f"{verdict} offered = accepted + dropped; per sink accepted = delivered + withheld + dead + pending\n"
    )


def _workers(counts: Counts) -> Table:
    table = Table("worker", "state", "offered", "accepted", "dropped", "in flight")
    for worker in counts.workers:
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in worker.dropped.items()) or "0"
        in_flight = f"{worker.in_flight:,}"
        table.add_row(worker.name, worker.state, f"{worker.offered:,}", f"{worker.accepted:,}", dropped, in_flight)
    return table


def _sinks(counts: Counts) -> Table:
    table = Table(
        Column("sink", overflow="fold"), "accepted", "delivered", "withheld", "dead letters", "pending", "trouble"
    )
    for sink in counts.sinks:
        accepted, delivered, dead, pending = (
            f"{number:,}" for number in (sink.accepted, sink.delivered, sink.dead_lettered, sink.pending)
        )
        withheld = ", ".join(f"{count:,} {reason}" for reason, count in sink.withheld.items()) or "0"
        table.add_row(escape(sink.name), accepted, delivered, withheld, dead, pending, escape(sink.error or ""))
    return table


def _as_data(counts: Counts) -> dict[str, Any]:
    workers = [{**dataclasses.asdict(worker), "in_flight": worker.in_flight} for worker in counts.workers]
    sinks = [{**dataclasses.asdict(sink), "closes": sink.closes} for sink in counts.sinks]
    return {
        "journal": str(counts.path), "bytes": counts.bytes, "held": counts.held, "held_until": counts.held_until,
        "workers": workers, "sinks": sinks, "cookies": counts.cookies, "closes": counts.closes,
    }  # fmt: skip
