"""`centtrack geo info` and `geo fetch`."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from centtrack.cli.output import FINDING, PolicyOption, console, errors, read_policy
from centtrack.errors import ConfigurationError
from centtrack.geo.fetch import default_sources, fetch_database
from centtrack.geo.inspect import Coverage, GeoFileInfo, inspect_file, missing_of

app = typer.Typer(help="Look at geo databases, and fetch newer ones.", no_args_is_help=True)

_DEFAULT_TARGET = Path("dbip-city-lite.mmdb")


@app.command("info")
def info(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="The files. Default: those of the policy.", show_default=False)
    ] = None,
    policy: PolicyOption = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show type, schema, age and coverage of geo databases. Exit 1 if one is broken, unknown, or older than 45 days."""
    rules = read_policy(policy)
    files = paths or rules.geo_databases
    if not files:
        console.print(f"The policy ({rules.source}) names no geo databases. `centtrack geo fetch` brings one.")
        return
    infos = [inspect_file(path) for path in files]
    missing = missing_of(infos)
    if json:
        console.print_json(data={"databases": [_as_data(one) for one in infos], "missing": missing})
    else:
        for one in infos:
            _print_info(one)
        for text in missing:
            console.print(f"[yellow]warning:[/yellow] these databases have {text}", soft_wrap=True)
    if any(one.findings for one in infos):
        raise typer.Exit(FINDING)


def _print_info(info: GeoFileInfo) -> None:
    console.print(f"[bold]{escape(str(info.path))}[/bold]", soft_wrap=True)
    if info.built:
        table = Table.grid(padding=(0, 2))
        for name, text in _rows(info):
            table.add_row(f"  {name}", escape(text))
        console.print(table)
    for finding in info.findings:
        console.print(f"  [red]{escape(finding)}[/red]", soft_wrap=True)
    console.print()


def _rows(info: GeoFileInfo) -> list[tuple[str, str]]:
    rows = [
        ("type", info.type),
        ("schema", info.schema or "unknown"),
        ("built", f"{info.built:%Y-%m-%d}, {info.age_days} days ago"),
        ("size", f"{decimal(info.bytes)}, {info.nodes:,} nodes, a tree for IPv{info.ip_version}"),
        ("languages", ", ".join(info.languages) or "not said"),
        ("IPv4", _coverage(info.ipv4, "public addresses")),
        ("IPv6", _coverage(info.ipv6, "the networks in it")),
    ]
    return [*rows, ("show", info.attribution)] if info.attribution else rows


def _coverage(coverage: Coverage | None, of: str) -> str:
    if coverage is None:
        return "none"
    fields = dataclasses.fields(coverage)
    shares = (f"{field.name.replace('_', ' ')} {getattr(coverage, field.name):.1%}" for field in fields)
    return f"{', '.join(shares)} of {of}"


def _as_data(info: GeoFileInfo) -> dict[str, Any]:
    built = info.built.isoformat() if info.built else None
    return {**dataclasses.asdict(info), "path": str(info.path), "built": built}


@app.command("fetch")
def fetch(
    source: Annotated[
        str | None,
        typer.Argument(
            help="An https URL or a file: .mmdb, .mmdb.gz or .tar.gz. Default: DB-IP's free city database.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            help=f"The file to write. Default: the geo database of the policy, or {_DEFAULT_TARGET}.",
            show_default=False,
        ),
    ] = None,
    policy: PolicyOption = None,
) -> None:
    """Fetch a geo database, check it, and put it in place at once; if anything fails, the old file stays as it is."""
    sources = (source,) if source else default_sources(dt.datetime.now(dt.UTC).date())
    configured = () if to else read_policy(policy).geo_databases
    target = to or _only(configured)
    columns = (TextColumn("Fetching"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("", total=None)
        fetched = fetch_database(
            sources,
            target,
            same_type=to is None,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    console.print(f"From {fetched.source}:\n", markup=False, soft_wrap=True)
    _print_info(fetched.now)
    if fetched.is_older and fetched.before:
        console.print(
            f"[yellow]warning:[/yellow] it is older than what it replaced, of {fetched.before.built:%Y-%m-%d}"
        )
    _say_what_next(target, configured, is_named=to is not None)


def _only(configured: Sequence[Path]) -> Path:
    """The database of the policy, if there is just one.

    Raises:
        ConfigurationError: if it can't be known which one is meant.
    """
    if len(configured) > 1:
        names = ", ".join(map(str, configured))
        raise ConfigurationError(f"which one? Say it with --to: the policy names {names}")
    return configured[0] if configured else _DEFAULT_TARGET


def _say_what_next(target: Path, configured: Sequence[Path], *, is_named: bool) -> None:
    if configured or is_named:
        console.print("Apps that use this file take it in within two minutes; none needs a restart.")
    else:
        console.print(
            f'For its places: databases = ["{target.resolve()}"] under [geo] in privacy.toml.',
            markup=False,
            soft_wrap=True,
        )
