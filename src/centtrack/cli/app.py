"""The `centtrack` command: its parts put together, and its exit codes."""

from __future__ import annotations

import logging
import sys

import typer

from centtrack import __version__
from centtrack.cli import (
    consent,
    cookies,
    dead,
    deliver,
    demo,
    explain,
    geo,
    importing,
    init,
    policy,
    query,
    report,
    schema,
    sink,
    status,
    tail,
)
from centtrack.cli.output import COULD_NOT_RUN, WRONG_USE, errors
from centtrack.errors import CenttrackError, ConfigurationError

app = typer.Typer(
    name="centtrack",
    help="Records what a web app may know about its visitors, and no more.",
    epilog="Exit codes: 0 done, 1 a finding, 2 wrong use, 3 could not run.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback(invoke_without_command=True)
def _options(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        typer.echo(f"centtrack {__version__}")
        raise typer.Exit


app.command("init")(init.init)
app.command("demo")(demo.demo)
app.command("explain")(explain.explain)
app.command("import")(importing.import_log)
app.command("tail")(tail.tail)
app.command("query")(query.query)
app.command("report")(report.report)
app.command("status")(status.status)
app.command("deliver")(deliver.deliver)
app.command("schema")(schema.schema)
app.command("cookies")(cookies.cookies)
app.add_typer(dead.app, name="dead")
app.add_typer(policy.app, name="policy")
app.add_typer(consent.app, name="consent")
app.add_typer(geo.app, name="geo")
app.add_typer(sink.app, name="sink")


def run() -> None:
    """Run the command that the process was called with."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        app()
    except ConfigurationError as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(WRONG_USE)
    except CenttrackError as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(COULD_NOT_RUN)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output left: `centtrack tail | head`
        sys.exit(0)
