"""`centtrack explain`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from centtrack.addresses import read_address
from centtrack.capture.capture import Capture, Excluded
from centtrack.capture.client import ForwardedHeader, TrustedProxies
from centtrack.capture.observation import Observation
from centtrack.cli.output import PolicyOption, ProxiesOption, console, read_policy
from centtrack.errors import ConfigurationError
from centtrack.explain import Explanation, encode_explanation
from centtrack.explain import explain as explain_request
from centtrack.request_text import read_curl, read_scope
from centtrack.signing import read_secrets


def explain(
    request: Annotated[
        str | None,
        typer.Argument(help="A curl-like line: \"curl -H 'User-Agent: …' https://site/page\"", show_default=False),
    ] = None,
    scope: Annotated[Path | None, typer.Option(help="An ASGI scope as JSON, in a file; - is standard input.")] = None,
    policy: PolicyOption = None,
    peer: Annotated[str, typer.Option(help="Who connects to the app: an address, or `unix`.")] = "127.0.0.1",
    trusted_proxy: ProxiesOption = [],  # noqa: B006 - typer copies it
    hops: Annotated[int, typer.Option(help="Or the number of proxies in front of the app.")] = 0,
    forwarded_header: Annotated[str, typer.Option(help="The header that they set.")] = "x-forwarded-for",
    route: Annotated[str | None, typer.Option(help="The route's template, as the framework would tell it.")] = None,
    secret: Annotated[
        str | None,
        typer.Option(
            envvar="CENTTRACK_SECRET",
            help="The app's secret, to read the visitor's choice and cookie with. Better not on the command line.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show what would be recorded of one request, and why."""
    proxies = _read_proxies(trusted_proxy, hops, forwarded_header)
    seen = _read_request(request, scope, peer)
    capture = Capture(read_policy(policy), proxies, read_secrets(secret))
    capture.warm()
    explanation = explain_request(capture, msgspec.structs.replace(seen, route=route or seen.route))
    if json:
        sys.stdout.buffer.write(encode_explanation(explanation, indent=2) + b"\n")
    else:
        _print(explanation, capture)


def _read_proxies(trusted: list[str], hops: int, forwarded_header: str) -> TrustedProxies:
    if hops and trusted:
        raise ConfigurationError("give --hops or --trusted-proxy, not both")
    header: ForwardedHeader = "forwarded" if forwarded_header == "forwarded" else "x-forwarded-for"
    if header != forwarded_header:
        raise ConfigurationError(f"--forwarded-header {forwarded_header}: allowed are x-forwarded-for, forwarded")
    return TrustedProxies(hops or trusted, header)


def _read_request(request: str | None, scope: Path | None, peer: str) -> Observation:
    """The request to explain: a curl-like line from a peer, or a scope, which names its own."""
    if peer != "unix" and read_address(peer) is None:
        raise ConfigurationError(f"--peer {peer}: that is no address, nor `unix`")
    if request is not None and scope is None:
        return read_curl(request, None if peer == "unix" else peer)
    if scope is not None and request is None:
        return read_scope(sys.stdin.read() if str(scope) == "-" else _read(scope))
    raise ConfigurationError("give a curl-like line, or --scope with a file")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"can't read {path}: {error.strerror}") from None


def _print(explanation: Explanation, capture: Capture) -> None:
    console.print(f"[bold]Address[/bold]  {explanation.address or 'unknown'}: {explanation.reason}", soft_wrap=True)
    states = ", ".join(f"{category} {state}" for category, state in explanation.consent.items())
    console.print(f"[bold]Consent[/bold]  {states} (from: {explanation.consent_source})")
    console.print(f"[bold]Tier[/bold]     {explanation.tier}")
    console.print(
        f"[bold]Policy[/bold]   {capture.policy.source}, version {capture.policy.version}, hash {capture.policy.hash}"
    )
    if isinstance(explanation.event, Excluded):
        console.print(f"[bold]Event[/bold]    none: {explanation.event.reason}")
        return
    table = Table("limit", "level", "what it leaves", title="Limits that apply", title_justify="left")
    for row in explanation.limits:
        level = row.level if row.level == row.set_to else f"{row.level} (set to {row.set_to}, cut by ceiling or waiver)"
        left = ", ".join(f"{name} = {value}" for name, value in row.columns.items())
        table.add_row(row.limit, level, escape(left) or "—")
    console.print(table)
    for note in explanation.notes:
        console.print(f"  · {escape(note)}")
    console.print("[bold]Event[/bold]")
    console.print_json(msgspec.json.encode(explanation.event).decode())
