"""`centtrack demo`."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from centtrack.cli.output import FINDING, console, errors
from centtrack.cli.report import print_report
from centtrack.cli.status import print_counts
from centtrack.delivery.journal.counters import read_counts
from centtrack.errors import MissingExtraError
from centtrack.reports.lake import open_lake
from centtrack.reports.report import make_report

if TYPE_CHECKING:
    from centtrack.demo.site import DemoSite

_NEEDED = ("deltalake", "duckdb", "httpx", "ibis", "jinja2", "multipart", "starlette", "uvicorn", "websockets")
_SERVED_AT = 8000
_SMALLEST = 5  # groups: the demo is small
_NEXT = """
[bold]Where to look next[/bold]
  {folder}/app.py         the site: one line adds the middleware
  {folder}/privacy.toml   the limits; change one, then `{program} policy check {folder}/privacy.toml`
  {folder}/telemetry/     the Delta Lake table; places.mmdb beside it is made up, for this demo only

  {program} tail {lake}
  {program} query "select city, count(*) from events group by 1 order by 2 desc" --sink {lake}
  {program} explain "curl https://qorghan.example/quote?email=a@b.kz" --policy {folder}/privacy.toml
  {program} cookies --policy {folder}/privacy.toml --journal {journal}
  {program} status
  {program} demo --serve   keeps the site running: open http://127.0.0.1:{port} and click around"""


def demo(
    folder: Annotated[
        Path, typer.Option(help="Where to put the site and what it records. Made anew each time.")
    ] = Path("centtrack-demo"),
    visits: Annotated[int, typer.Option(min=1, max=5_000, help="How many visits to send.")] = 160,
    serve: Annotated[bool, typer.Option("--serve", help="Keep the site running afterwards, until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(help="Port of the site; 0 picks a free one, or 8000 with --serve.")] = 0,
) -> None:
    """Watch it work: a sample site under uvicorn, traffic, a lake on disk, a report. Ends by itself."""
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise MissingExtraError(f"The demo (it lacks {', '.join(missing)})", "demo")
    from centtrack.demo.site import WORKERS, DemoSite

    site = DemoSite(folder)
    site.prepare()
    with site.serve(port or (_SERVED_AT if serve else 0)) as url:
        console.print(f"[bold]1.[/bold] The site of an invented insurer runs at {url}, {WORKERS} workers of uvicorn.")
        answered = _send(url, visits)
        if serve:
            _summarise(site, answered, final=False)
            console.print(f"Open [bold]{url}[/bold] and click around; Ctrl-C ends it.")
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    time.sleep(1)
    if not _summarise(site, answered, final=True) and not serve:
        raise typer.Exit(FINDING)
    _show_next(site)


def _send(url: str, count: int) -> int:
    """Send the traffic; gives how many requests were answered."""
    from centtrack.demo.traffic import chat, make_visits, send_visits

    visits = make_visits(count)
    columns = (TextColumn("   Sending requests"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task("", total=sum(map(len, visits)))
        answers = send_visits(url, visits, lambda: progress.advance(task))
        chat(url)
    by_status = ", ".join(f"{total:,} times {status}" for status, total in sorted(answers.statuses.items()))
    console.print(f"[bold]2.[/bold] {count} visits made {answers.total:,} requests ({by_status}) and a WebSocket.")
    return answers.total + 1


def _summarise(site: DemoSite, answered: int, *, final: bool) -> bool:
    """Show counters and report; whether the lake has one event for each request that was answered."""
    if not final:
        _wait_for_delivery(site)
    counts = read_counts(site.journal)
    console.print("[bold]3.[/bold] Each became one event, reduced to the limits of privacy.toml. The counters:\n")
    print_counts(counts)
    made = make_report(open_lake(site.sink), k=_SMALLEST)
    console.print("[bold]4.[/bold] What the lake says:\n")
    print_report(made, _SMALLEST)
    verdict = f"\n{answered:,} requests answered, {made.events:,} events in the lake"
    console.print(f"{verdict}: [green]none lost, none doubled.[/green]" if made.events == answered else f"{verdict}.")
    return made.events == answered and counts.closes


def _wait_for_delivery(site: DemoSite) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until and any(sink.pending for sink in read_counts(site.journal).sinks):
        time.sleep(0.2)


def _show_next(site: DemoSite) -> None:
    folder = site.folder.relative_to(Path.cwd()) if site.folder.is_relative_to(Path.cwd()) else site.folder
    places = {"folder": folder, "lake": f"delta:{folder}/telemetry", "journal": site.journal}
    console.print(_NEXT.format(**places, program=_program(), port=_SERVED_AT), soft_wrap=True)


def _program() -> str:
    """How to call this command once more: by its name, or by its path if it isn't on the PATH."""
    if shutil.which("centtrack"):
        return "centtrack"
    called = Path(sys.argv[0]).absolute()
    return str(called.relative_to(Path.cwd()) if called.is_relative_to(Path.cwd()) else called)
