"""`centtrack tail`."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from centtrack.cli.output import NOTHING_YET, LakeArgument, console, errors, read_sink
from centtrack.reports.tail import EventRow, follow_events, recent_events

_TIME_FORMS = {"day": "%Y-%m-%d", "hour": "%Y-%m-%d %H:00", "minute": "%Y-%m-%d %H:%M", "second": "%Y-%m-%d %H:%M:%S"}


def tail(
    lake: LakeArgument = None,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the last events.")] = 10,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with those that come; Ctrl-C ends it.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the last events of a lake, and those that come."""
    url = read_sink(lake)
    recent = recent_events(url, lines)
    if lines and not recent:
        errors.print(NOTHING_YET)
    for row in recent:
        _print(row, json=json)
    if follow:
        with contextlib.suppress(KeyboardInterrupt):
            for row in follow_events(url):
                _print(row, json=json)


def _print(row: EventRow, *, json: bool) -> None:
    if json:
        sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")
        sys.stdout.buffer.flush()
        return
    time = row["time"] if isinstance(row["time"], str) else row["time"].strftime(_TIME_FORMS[row["time_precision"]])
    what = row["path"] or row["route"] or f"({row['kind']})"
    who = row["bot_name"] or row["bot_reason"] if row["bot"] else row["browser"]
    where = row["city"] or row["region"] or row["country_code"]
    name = row["name"] if row["name"] != "request" else None
    parts = (name, where, who, "bot" if row["bot"] else row["device_class"])
    rest = " · ".join(escape(str(part)) for part in parts if part)
    console.print(
        f"[dim]{time}[/dim]  {row['status'] or '—'} {row['method'] or 'WS':<5} {escape(what)}  [dim]{rest}[/dim]",
        soft_wrap=True,
    )
