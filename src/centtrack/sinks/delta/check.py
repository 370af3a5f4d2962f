"""What `centtrack sink check` looks at in a lake."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from centtrack.errors import CenttrackError
from centtrack.sinks.delta.columns import find_difference, missing_columns
from centtrack.sinks.delta.object_store import told
from centtrack.sinks.delta.probe import is_amazons, prove_conditional, read_probe
from centtrack.sinks.finding import Finding

_ELSEWHERE = "Name another folder"


def check_lake(name: str, location: str, options: dict[str, str] | None) -> Iterator[Finding]:
    """What is found in a lake and its store, up to the first problem.

    Args:
        name: of the sink.
        location: path or URL.
        options: for deltalake; None for a lake on disk.
    """
    steps = _steps_of_store(location, options) if options is not None else _steps_of_folder(Path(location))
    for what, look in steps:
        try:
            finding = look() or Finding(what)
        except CenttrackError as error:
            finding = Finding(what, str(error), getattr(error, "command", None))
        except (DeltaError, OSError) as error:
            problem = told(name, error)
            finding = Finding(what, str(problem), getattr(problem, "command", None))
        yield finding
        if finding.problem:
            return


_Steps = list[tuple[str, Callable[[], Finding | None]]]


def _steps_of_store(location: str, options: dict[str, str]) -> _Steps:
    table = ("reaches the store", lambda: _look_at_table(location, options))
    if is_amazons(location):
        return [table, ("makes an object only if it isn't there yet: known of Amazon's S3", lambda: None)]
    return [
        table,
        ("makes an object only if it isn't there yet, as commits need it", lambda: prove_conditional(location)),
        ("reads back what it wrote", lambda: _read(location)),
    ]


def _steps_of_folder(folder: Path) -> _Steps:
    if not folder.is_dir():
        return [("there is no folder yet: it is made with the first delivery", lambda: _look_at_parent(folder))]
    return [
        ("table of events", lambda: _look_at_table(str(folder), None)),
        ("writes and reads files there", lambda: _write_and_read(folder)),
    ]


def _look_at_parent(folder: Path) -> Finding | None:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        return Finding("folder", f"{there} is a file", _ELSEWHERE)
    try:
        with tempfile.TemporaryFile(dir=there):  # rights alone don't say it, as in /proc
            return None
    except OSError as error:
        fix = f"sudo install -d -m 700 -o {os.geteuid()} {shlex.quote(str(folder))}"
        return Finding("folder", f"no folder can be made in {there} by this user: {error.strerror}", fix)


def _read(location: str) -> None:
    read_probe(location)


def _write_and_read(folder: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=folder, prefix="_centtrack_check") as file:
        file.write(b"centtrack")
        file.seek(0)
        file.read()


def _look_at_table(location: str, options: dict[str, str] | None) -> Finding:
    try:
        table = deltalake.DeltaTable(location, storage_options=options)
    except TableNotFoundError:
        return Finding("there is no table yet: it is made with the first delivery")
    if difference := find_difference(table):
        return Finding("table of events", f"what is there is something else: {difference}", _ELSEWHERE)
    if missing := missing_columns(table):
        return Finding(f"the table is there; columns that it gets with the first delivery: {', '.join(missing)}")
    return Finding("the table is there, with all columns")
