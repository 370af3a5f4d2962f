"""`centtrack report`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from centtrack.cli.output import NOTHING_YET, LakeArgument, PolicyOption, bar, console, errors, read_policy, read_sink
from centtrack.reports.lake import open_lake
from centtrack.reports.report import Report, Section, make_report

_LABEL_WIDTH = 44


def report(
    lake: LakeArgument = None,
    policy: PolicyOption = None,
    k: Annotated[
        int | None, typer.Option(min=1, help="The smallest group that is shown. Default: disclosure.k of the policy.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Sum a lake up: page views over time, pages, referrers, places, browsers, bots."""
    smallest = k or read_policy(policy).document.disclosure.k
    made = make_report(open_lake(read_sink(lake)), k=smallest)
    if not made.events:
        errors.print(NOTHING_YET)
    if json:
        console.print_json(data=dataclasses.asdict(made), default=str)
    else:
        print_report(made, smallest)


def print_report(made: Report, k: int) -> None:
    """Print a report as tables with bars."""
    period = f", {made.begin:%Y-%m-%d %H:%M} to {made.end:%Y-%m-%d %H:%M} UTC" if made.begin and made.end else ""
    console.print(f"[bold]{made.events:,} events[/bold]{period}")
    console.print(
        f"{made.views:,} page views (documents that aren't bots) · {made.bots:,} events of bots · "
        f"groups smaller than {k} aren't shown"
    )
    if made.visits is not None:
        console.print(f"{made.visits:,} visits of {made.visitors:,} visitors (a visit ends after 30 minutes)")
    for note in made.notes:
        console.print(note, style="yellow")
    for section in made.sections:
        console.print()
        console.print(_table(section))


def _table(section: Section) -> Table:
    table = Table(
        title=section.title, title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False
    )
    table.add_column(width=_LABEL_WIDTH, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", min_width=7)
    table.add_column(min_width=24, style="cyan")
    table.add_column(justify="right", style="dim")
    most = max((row.total for row in section.rows), default=1)
    total = sum(row.total for row in section.rows) + section.others
    for row in section.rows:
        table.add_row(Text(row.label), f"{row.total:,}", bar(row.total / most), f"{row.total / total:.0%}")
    if section.others:
        about = f"others, {section.small} of them too small to show" if section.small else "others"
        table.add_row(Text(about, style="dim"), f"{section.others:,}", "", f"{section.others / total:.0%}")
    return table
