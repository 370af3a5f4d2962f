"""`centtrack policy check` and `policy show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from centtrack.cli.output import FINDING, console, printable
from centtrack.errors import PolicyError
from centtrack.event import COLUMNS
from centtrack.policy.check import find_warnings
from centtrack.policy.limits import LIMIT_NAMES
from centtrack.policy.policy import PrivacyPolicy
from centtrack.policy.recipients import Recipient, recipient_of

app = typer.Typer(help="Check and show a privacy policy.", no_args_is_help=True)
_PathArgument = Annotated[Path, typer.Argument(help="The policy file.")]


@app.command("check")
def check(path: _PathArgument = Path("privacy.toml")) -> None:
    """Check a policy file: all its errors at once, and warnings for what singles people out. Exit 1 on errors."""
    try:
        policy = PrivacyPolicy.load(path)
    except PolicyError as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(FINDING) from None
    warnings = find_warnings(policy)
    for warning in warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)
    count = f"{len(warnings)} warning{'s' * (len(warnings) != 1)}"
    console.print(f"{path} is a valid policy, version {policy.version}, hash {policy.hash}; {count}.")


@app.command("show")
def show(
    path: _PathArgument = Path("privacy.toml"),
    profile: Annotated[str | None, typer.Option(help="Show one of the profiles instead.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show what is collected, field by field: limit, level and class of data; and which sinks get it."""
    policy = PrivacyPolicy.profile(profile) if profile else PrivacyPolicy.load(path)
    if json:
        console.print_json(data=_as_data(policy))
        return
    console.print(f"[bold]{policy.source}[/bold], version {policy.version}, hash {policy.hash}")
    console.print(_when(policy))
    console.print(_limits_table(policy))
    console.print(_fields_table(policy))
    if policy.document.sinks:
        console.print(_sinks_table(_recipients(policy)))


def _when(policy: PrivacyPolicy) -> str:
    if policy.bucket_s is None:
        return "Events are released at once."
    return f"Events are released {policy.bucket_s // 3_600} h at a time, after each such bucket has ended."


def _limits_table(policy: PrivacyPolicy) -> Table:
    table = Table("limit", "without consent", "with analytics consent", title="Limits in force", title_justify="left")
    default, consented = policy.limits(), policy.limits(consented=True)
    for name in LIMIT_NAMES:
        table.add_row(name, getattr(default, name).label, getattr(consented, name).label)
    table.add_row(
        "min_population", f"{policy.document.geo.min_population:,}", f"{policy.document.geo.min_population:,}"
    )
    return table


def _fields_table(policy: PrivacyPolicy) -> Table:
    table = Table("field", "limit", "data", "what it is", title="Fields of an event", title_justify="left")
    default, consented = policy.limits().by_name(), policy.limits(consented=True).by_name()
    for column in COLUMNS:
        limit = column.limit
        levels = "" if limit is None else " / ".join(dict.fromkeys((default[limit].label, consented[limit].label)))
        table.add_row(column.name, f"{limit}: {levels}" if limit else "", column.data_class, column.description)
    return table


def _recipients(policy: PrivacyPolicy) -> list[Recipient]:
    """Of several entries for one sink what they say together."""
    names = dict.fromkeys(entry.name for entry in policy.document.sinks)
    return [recipient_of(policy.document, name) for name in names]


def _sinks_table(recipients: list[Recipient]) -> Table:
    header = ("sink", "party", "country", "for", "fields", "sample", "days")
    table = Table(*header, title="Sinks, and what they get", title_justify="left")
    for one in recipients:
        columns = "all" if len(one.columns) == len(COLUMNS) else ", ".join(one.columns)
        party, days = "third" if one.is_third else "first", str(one.retention or "")
        texts = (one.name, party, ", ".join(one.countries), ", ".join(one.purposes), columns, f"{one.sample:g}", days)
        table.add_row(*map(escape, map(printable, texts)))
    return table


def _as_data(policy: PrivacyPolicy) -> dict[str, Any]:
    return {
        "source": policy.source,
        "version": policy.version,
        "hash": policy.hash,
        "release_bucket_s": policy.bucket_s,
        "limits": {
            tier: {name: level.label for name, level in policy.limits(consented=consented).by_name().items()}
            for tier, consented in (("default", False), ("consented", True))
        },
        "fields": [
            {"name": column.name, "limit": column.limit, "class": column.data_class, "description": column.description}
            for column in COLUMNS
        ],
        "sinks": [
            {
                "name": one.name,
                "party": "third" if one.is_third else "first",
                "countries": one.countries,
                "purposes": one.purposes,
                "fields": one.columns,
                "sample": one.sample,
                "retention": one.retention,
            }
            for one in _recipients(policy)
        ],
    }
