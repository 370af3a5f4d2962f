"""`centtrack sink check`: whether events can go where a URL says, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Annotated

import typer
from rich.text import Text

from centtrack.cli.output import FINDING, WRONG_USE, PolicyOption, console, errors, printable, read_policy, read_sink
from centtrack.errors import CenttrackError, ConfigurationError
from centtrack.event import COLUMNS
from centtrack.logs import describe
from centtrack.policy.policy import PrivacyPolicy
from centtrack.policy.recipients import Recipient, find_refusals, recipient_of, refuse_misspelled
from centtrack.sinks.base import Sink, name_of
from centtrack.sinks.finding import Finding
from centtrack.sinks.open import SINK_VARIABLE, open_sink

app = typer.Typer(help="Sinks: where events go.", no_args_is_help=True)


@app.command("check")
def check(
    urls: Annotated[
        list[str] | None,
        typer.Argument(help=f"URLs of sinks, as in delta:./telemetry. Default: ${SINK_VARIABLE}.", show_default=False),
    ] = None,
    policy: PolicyOption = None,
) -> None:
    """Check that sinks can be written to, and that the policy allows them. Exit 1 if something is missing."""
    rules = read_policy(policy)
    code, names = 0, []
    for url in urls or [read_sink(None)]:
        try:
            sink = open_sink(url)
        except ConfigurationError as error:
            errors.print(_printable(str(error)), style="red", markup=False, soft_wrap=True)
            code = max(code, WRONG_USE)
        else:
            names.append(name_of(sink))
            code = max(code, _report(names[-1], chain(_ask_policy(rules, names[-1]), _look_at(sink))))
    try:
        refuse_misspelled(rules, names)
    except ConfigurationError as error:
        errors.print(_printable(str(error)), style="red", markup=False, soft_wrap=True)
        code = max(code, FINDING)
    raise typer.Exit(code)


def _report(name: str, findings: Iterator[Finding]) -> int:
    """Print findings as they come. Returns the exit code that they ask for."""
    code = 0
    console.print(printable(name), style="bold", markup=False, soft_wrap=True)
    for what, problem, fix in findings:
        sign = ("  ✓ ", "green") if problem is None else ("  ✗ ", "bold red")
        text = what if problem is None else f"{what}: {problem}"
        console.print(Text.assemble(sign, " ".join(_printable(text).splitlines())), soft_wrap=True)
        if fix:
            indented = "".join(f"      {line}\n" for line in _printable(fix).splitlines())
            console.print(f"\n{indented}", markup=False, soft_wrap=True)
        code = code if problem is None else FINDING
    return code


def _printable(text: str) -> str:
    """Printable, line by line."""
    return "\n".join(map(printable, text.splitlines()))


def _ask_policy(policy: PrivacyPolicy, name: str) -> Iterator[Finding]:
    """Whether the policy allows a sink; if so, what the sink gets."""
    what = f"the policy ({policy.source}) allows it"
    refusals = list(find_refusals(policy, name))
    for problem, fix in refusals:
        yield Finding(what, problem, fix)
    if not refusals:
        yield Finding(f"{what}: {_say(recipient_of(policy.document, name))}")


def _say(recipient: Recipient) -> str:
    """What a sink is and gets, in words."""
    whose = "a third party's" if recipient.is_third else "the site's own"
    where = f" in {', '.join(recipient.countries)}" if recipient.countries else ""
    columns, known = len(recipient.columns), len(COLUMNS)
    gets = f"all {known} columns" if columns == known else f"{columns} of {known} columns"
    share = f" of {recipient.sample * 100:g} % of the events" if recipient.sample < 1 else ""
    declared = "" if recipient.entries else "no entry in [[sinks]], so "
    return f"{declared}{whose}{where}, for {', '.join(recipient.purposes)}; it gets {gets}{share}"


def _look_at(sink: Sink) -> Iterator[Finding]:
    """What the sink's own check finds; of a sink without one, whether it opens."""
    look: Callable[[], Iterator[Finding]] | None = getattr(sink, "check", None)
    findings = look() if look else _try_to_open(sink)
    while True:
        try:
            finding = next(findings, None)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - deltalake's PanicException isn't an Exception
            finding, findings = Finding("it can be used", _words(error)), iter(())
        if finding is None:
            return
        yield finding


def _try_to_open(sink: Sink) -> Iterator[Finding]:
    if not hasattr(sink, "open"):
        yield Finding("nothing to be looked at before the first batch: it has no open() and no check()")
        return
    try:
        sink.open()
        yield Finding("it opens; it has no check(), so whether it takes events shows with the first batch")
    finally:
        getattr(sink, "close", lambda: None)()


def _words(error: BaseException) -> str:
    """An error without what others' texts may hold, as passwords."""
    return str(error) if isinstance(error, CenttrackError) else describe(error)
