"""`centtrack dead …`: events that a sink will never take."""

from __future__ import annotations

import json as jsons
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Column, Table

from centtrack.cli.output import FINDING, JournalOption, console, errors, find_journal, print_no_journal, printable
from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.journal.dead_letters import (
    DeadLetter,
    DeadLetterInfo,
    drop_dead,
    list_dead,
    read_dead,
    retry_dead,
)
from centtrack.errors import ConfigurationError

app = typer.Typer(help="Dead letters: events that a sink will never take.", no_args_is_help=True)

_SinkOption = Annotated[
    str | None, typer.Option("--sink", help="Only those of this sink, by its name as `status` shows it.")
]
_IdsArgument = Annotated[list[int] | None, typer.Argument(help="Their ids, as `dead list` shows them.")]
_AllOption = Annotated[bool, typer.Option("--all", help="All of them, or all of the sink's.")]
_JsonOption = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command("list")
def list_letters(sink: _SinkOption = None, journal: JournalOption = None, json: _JsonOption = False) -> None:
    """List the dead letters, without their events."""
    path = find_journal(journal)
    if path:
        _check_sink(path, sink)
    letters = list_dead(path, sink) if path else []
    if json:
        console.print_json(data=[letter._asdict() for letter in letters], default=str)
    elif path is None:
        print_no_journal()
    else:
        _print_list(letters, path)


def _print_list(letters: list[DeadLetterInfo], path: Path) -> None:
    if not letters:
        console.print(f"No dead letters in {path}.", markup=False, soft_wrap=True)
        return
    columns = (Column("id", justify="right"), "day", Column("bytes", justify="right"))
    table = Table(*columns, Column("sink", overflow="fold"), Column("reason", overflow="fold"), box=SIMPLE_HEAD)
    for letter in letters:
        texts = (escape(printable(text)) for text in (letter.sink, letter.reason))
        table.add_row(str(letter.id), str(letter.day), f"{letter.size:,}", *texts)
    console.print(table)
    console.print(
        "`centtrack dead show` shows an event, `dead retry` puts it back for its sink, `dead drop` deletes it."
    )


@app.command("show")
def show(
    letter: Annotated[int, typer.Argument(help="Its id, as `dead list` shows it.")],
    journal: JournalOption = None,
    json: _JsonOption = False,
) -> None:
    """Show one dead letter with its event: what the policy let be recorded of a visitor."""
    found = read_dead(_existing(journal), letter)
    if json:
        console.print_json(data={**found._asdict(), "event": _decoded(found)}, default=str, ensure_ascii=True)
        return
    console.print(f"{found.id}, of {found.day}, for {printable(found.sink)}", markup=False, soft_wrap=True)
    console.print(printable(found.reason), style="yellow", markup=False, soft_wrap=True)
    decoded = _decoded(found)
    lines = [decoded] if isinstance(decoded, str) else jsons.dumps(decoded, ensure_ascii=False, indent=2).splitlines()
    for line in lines:
        console.print(printable(line), markup=False, soft_wrap=True)


def _decoded(letter: DeadLetter) -> object:
    """The event; its text if it isn't JSON."""
    try:
        return jsons.loads(letter.event)
    except ValueError:
        return letter.event.decode(errors="backslashreplace")


@app.command("retry")
def retry(
    ids: _IdsArgument = None, every: _AllOption = False, sink: _SinkOption = None, journal: JournalOption = None
) -> None:
    """Put events back for the sink that refused them, once what was wrong is mended. Exit 1 if not all are found."""
    chosen = _chosen(ids, every)
    path = _existing(journal)
    _check_sink(path, sink)
    count = retry_dead(path, chosen, sink)
    _report(f"{_letters(count)} put back. The app, or `centtrack deliver`, brings them to the sink.", count, chosen)


@app.command("drop")
def drop(
    ids: _IdsArgument = None,
    every: _AllOption = False,
    sink: _SinkOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, delete them: nothing brings them back.")] = False,
    journal: JournalOption = None,
) -> None:
    """Delete dead letters; they are counted as lost. Exit 1 if not all are found."""
    chosen = _chosen(ids, every)
    path = _existing(journal)
    _check_sink(path, sink)
    if not yes:
        count = sum(chosen is None or letter.id in chosen for letter in list_dead(path, sink))
        raise ConfigurationError(f"{_letters(count)} would be deleted, and nothing brings them back: say --yes, too")
    count = drop_dead(path, chosen, sink)
    _report(f"{_letters(count)} deleted, and counted as lost.", count, chosen)


def _check_sink(path: Path, sink: str | None) -> None:
    """One that was removed may still have letters."""
    known = {one.name for one in read_counts(path).sinks} | {letter.sink for letter in list_dead(path)}
    if sink is not None and sink not in known:
        raise ConfigurationError(f'--sink "{sink}": the sinks of {path} are {", ".join(sorted(known)) or "none"}')


def _chosen(ids: list[int] | None, every: bool) -> Collection[int] | None:
    """Which are meant; None: all."""
    if bool(ids) == every:
        raise ConfigurationError("which ones? Give their ids, as `centtrack dead list` shows them, or --all")
    return set(ids) if ids else None


def _existing(journal: Path | None) -> Path:
    path = find_journal(journal)
    if path is None:
        raise ConfigurationError("there is no journal in the user's state folder; name one with --journal")
    return path


def _report(done: str, count: int, chosen: Collection[int] | None) -> None:
    console.print(done, soft_wrap=True)
    if chosen is not None and count < len(chosen):
        errors.print(f"{len(chosen) - count} of the {len(chosen)} ids are no dead letters that this can be done to.")
        raise typer.Exit(FINDING)


def _letters(count: int) -> str:
    return f"{count:,} dead letter{'s' * (count != 1)}"
