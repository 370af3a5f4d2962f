"""`centtrack query`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from centtrack.cli.output import SinkOption, console, read_sink
from centtrack.reports.lake import fetch, open_lake

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")


class Format(StrEnum):
    """How to print the result."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def query(
    sql: Annotated[
        str, typer.Argument(help='SQL on the table `events`: "select path, count(*) from events group by path".')
    ],
    sink: SinkOption = None,
    output: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
) -> None:
    """Ask the lake in SQL, through DuckDB. The query reads the lake and no other file."""
    result = fetch(open_lake(read_sink(sink)), sql)
    names, rows = result.column_names, [list(row.values()) for row in result.to_pylist()]
    {Format.TABLE: _print_table, Format.CSV: _print_csv, Format.JSON: _print_json}[output](names, rows)


def _print_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    table = Table(*map(escape, names))
    for row in rows:
        table.add_row(*("" if value is None else escape(str(value)) for value in row))
    console.print(table)
    console.print(f"{len(rows):,} rows")


def _print_csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_safe_cell(value) for value in row] for row in rows)


def _safe_cell(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula gets a quote in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _print_json(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    for row in rows:
        sys.stdout.buffer.write(msgspec.json.encode(dict(zip(names, row, strict=True))) + b"\n")
