"""`centtrack status`."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from centtrack.cli.counts import tell_counts
from centtrack.cli.output import COULD_NOT_RUN, FINDING, console, errors, print_no_journal
from centtrack.delivery.journal.counters import Counts, read_counts
from centtrack.delivery.paths import known_journals
from centtrack.errors import ConfigurationError, JournalError


def status(
    journal: Annotated[
        Path | None, typer.Option(help="The journal's file. Default: all journals in the user's state folder.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing them, until Ctrl-C.")] = False,
    every: Annotated[
        float, typer.Option("--every", min=0.1, max=3_600, help="With --watch: seconds from one look to the next.")
    ] = 2.0,
) -> None:
    """Show what was offered, accepted, dropped, delivered, per worker and sink. Exit 1 if the counters don't close."""
    if watch:
        if json:
            raise ConfigurationError("--watch shows tables: leave --json out")
        _watch(journal, every)
        return
    paths = _find(journal)
    if not paths:
        print_no_journal()
        return
    found, problems = _read(paths)
    if json:
        console.print_json(data=[_as_data(counts) for counts in found])
    else:
        for counts in found:
            print_counts(counts)
    for problem in problems:
        errors.print(problem, style="red", markup=False, soft_wrap=True)
    if not found:
        raise typer.Exit(COULD_NOT_RUN)
    if not all(counts.closes for counts in found):
        raise typer.Exit(FINDING)


def print_counts(counts: Counts) -> None:
    """Print one journal's counters."""
    for part in tell_counts(counts):
        console.print(part, soft_wrap=isinstance(part, str))


def _find(journal: Path | None) -> Sequence[Path]:
    return [journal] if journal else known_journals()


def _read(paths: Iterable[Path]) -> tuple[list[Counts], list[str]]:
    """The counters of the journals, and what is wrong with those that can't be read."""
    found: list[Counts] = []
    problems: list[str] = []
    for path in paths:
        try:
            found.append(read_counts(path))
        except (JournalError, OSError) as error:
            problems.append(str(error))
    return found, problems


def _watch(journal: Path | None, every_s: float) -> None:
    """Show the counters again and again: in place on a terminal, else one after the other."""
    with contextlib.suppress(KeyboardInterrupt):
        if not console.is_terminal:
            while True:
                console.print(_screen(journal))
                time.sleep(every_s)
        with Live(_screen(journal), console=console, auto_refresh=False, vertical_overflow="crop") as live:
            while True:
                time.sleep(every_s)
                live.update(_screen(journal), refresh=True)


def _screen(journal: Path | None) -> Group:
    found, problems = _read(_find(journal))
    parts = [part for counts in found for part in tell_counts(counts, is_brief=True)]
    return Group(
        *parts,
        *(Text(problem, style="red") for problem in problems),
        *([] if found or problems else ["Nothing has run here yet."]),
    )


def _as_data(counts: Counts) -> dict[str, Any]:
    workers = [{**dataclasses.asdict(worker), "in_flight": worker.in_flight} for worker in counts.workers]
    sinks = [{**dataclasses.asdict(sink), "closes": sink.closes} for sink in counts.sinks]
    aside = [one._asdict() for one in counts.set_aside]
    return {
        "journal": str(counts.path), "bytes": counts.bytes, "used_bytes": counts.used_bytes,
        "max_bytes": counts.max_bytes, "held": counts.held, "held_until": counts.held_until, "workers": workers,
        "sinks": sinks, "removed": counts.removed, "set_aside": aside, "cookies": counts.cookies,
        "closes": counts.closes,
    }  # fmt: skip
