"""`centtrack consent`: verify, export, erase and count what the consent ledger holds."""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import msgspec
import typer

from centtrack.cli.consent_stats import as_data, many, print_stats
from centtrack.cli.output import FINDING, console
from centtrack.consent.ledger.chain import Head, read_head, write_head
from centtrack.consent.ledger.export import CSV_COLUMNS, make_document, make_row, make_text_document
from centtrack.consent.ledger.ledger import Ledger
from centtrack.consent.ledger.place import LEDGER_VARIABLE, default_place, known_ledgers, ledgers_folder
from centtrack.consent.ledger.stats import count_records
from centtrack.consent.ledger.verification import Verification
from centtrack.errors import ConfigurationError, LedgerError
from centtrack.signing import read_secrets

SECRET_VARIABLE = "CENTTRACK_SECRET"  # noqa: S105 - a name, not a secret
_TIMEOUT_S = 30.0  # nobody's request waits for it

app = typer.Typer(help="Verify, export, erase and count the consent ledger's records.", no_args_is_help=True)
LedgerOption = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        help=f"File, sqlite:///… or postgresql://… Default: ${LEDGER_VARIABLE}, else that of the app in this folder, "
        "else the only one in the state folder.",
    ),
]


class Format(StrEnum):
    """How to write records."""

    JSONL = "jsonl"
    CSV = "csv"


@app.command("verify")
def verify(
    ledger: LedgerOption = None,
    head: Annotated[Path | None, typer.Option(help="A head that was kept elsewhere: it must lie on the chain.")] = None,
    write_head_to: Annotated[
        Path | None, typer.Option("--write-head", help="Where to write the head, if all is well. Keep it elsewhere.")
    ] = None,
) -> None:
    """Check every record, the chain and its head; with $CENTTRACK_SECRET, who signed it. Exit 1 on findings."""
    exported = _read_head_file("--head", head) if head else None
    kept = _read_head_file("--write-head", write_head_to) if write_head_to and write_head_to.exists() else None
    opened = _open(ledger)
    verification = opened.verify(exported)
    _report(verification, exported)
    if write_head_to:
        _write_head(verification if kept is None else opened.verify(kept), kept, write_head_to)


@app.command("export")
def export(
    ledger: LedgerOption = None,
    output_format: Annotated[
        Format, typer.Option("--format", help="jsonl: in the shape of ISO/IEC TS 27560; csv: for a spreadsheet.")
    ] = Format.JSONL,
    output: Annotated[Path | None, typer.Option(help="Where to write it. Default: standard output.")] = None,
    texts: Annotated[bool, typer.Option("--texts", help="The texts that were shown, too; jsonl only.")] = False,
) -> None:
    """Write all records that aren't erased, oldest first. Receipts are in it: keep it safe."""
    if texts and output_format is Format.CSV:
        raise ConfigurationError("--texts needs --format jsonl: a text doesn't fit a cell")
    opened = _open(ledger)
    with _written(output) as file:
        if output_format is Format.CSV:
            _write_csv(opened, file)
        else:
            _write_jsonl(opened, file, texts=texts)


@app.command("erase")
def erase(
    receipt: Annotated[str, typer.Argument(help="The receipt's id, 32 hex digits.")], ledger: LedgerOption = None
) -> None:
    """Erase what is kept under a receipt; the chain stands, and says that it was erased. Exit 1 if there is nothing."""
    if not re.fullmatch("[0-9a-f]{32}", receipt.lower()):
        raise ConfigurationError("that is no receipt: a receipt has 32 hex digits")
    count = _open(ledger).erase(receipt.lower())
    if not count:
        console.print("Nothing is kept under this receipt.")
        raise typer.Exit(FINDING)
    console.print(
        f"Erased: {many(count, 'record')}. The visitor's browser still holds the choice, and it applies, until the "
        "visitor withdraws it or it expires. Backups and exports are yours to clean.",
        soft_wrap=True,
    )


@app.command("stats")
def stats(ledger: LedgerOption = None, json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Count decisions and withdrawals, and who accepts what. Erased records aren't in it."""
    counted = count_records(_open(ledger).records())
    if json:
        console.print_json(data=as_data(counted))
    else:
        print_stats(counted)


def _open(where: str | None) -> Ledger:
    given = [one.strip() for one in os.environ.get(SECRET_VARIABLE, "").split(",")]
    secrets = read_secrets([one for one in given if one])
    return Ledger(where or _find_ledger(), secrets, timeout_s=_TIMEOUT_S)


def _find_ledger() -> str | Path:
    """That of the app in this folder, by the app's own rule; else the only one there is."""
    place = default_place()
    found = known_ledgers()
    if not isinstance(place, Path) or place in found:
        return place
    if len(found) == 1:
        return found[0]
    if not found:
        raise LedgerError(f"no ledger in {ledgers_folder()}: name one with --ledger or ${LEDGER_VARIABLE}")
    listed = "".join(f"\n  {path}" for path in found)
    raise ConfigurationError(f"which ledger? No app of this folder has one. Name one with --ledger:{listed}")


def _read_head_file(option: str, path: Path) -> Head:
    try:
        return read_head(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{option}: {path} can't be read: {error.strerror}") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{option}: {path}: {error}") from None


def _report(verification: Verification, exported: Head | None) -> None:
    _print_verification(verification, exported)
    if not verification.stands:
        raise typer.Exit(FINDING)


def _write_head(verification: Verification, kept: Head | None, path: Path) -> None:
    """Keep the head. One that is in the file must lie on the chain: it may be the only trace of what was cut."""
    if not verification.stands:
        console.print(f"{path} is left as it is: it doesn't lie on the chain.", style="red", markup=False)
        _report(verification, kept)
    if verification.head is not None:
        with _written(path) as file:
            file.write(write_head(verification.head).decode())
        console.print(f"The head of record {verification.head.number:,} is in {path}.", markup=False)


def _print_verification(verification: Verification, exported: Head | None) -> None:
    for finding in verification.findings:
        console.print(finding.words, style="red", markup=False, soft_wrap=True)
    more = verification.found - len(verification.findings)
    if more:
        console.print(f"… and {more:,} more.", style="red")
    count, erased = many(verification.records, "record"), f"{verification.erased:,} of them erased"
    if verification.stands:
        against = f"; the exported head of record {exported.number:,} lies on it" if exported else ""
        console.print(f"[green]The chain stands{against}.[/green] {count}, {erased}.")
    elif {finding.what for finding in verification.findings} == {"mac"}:
        console.print(f"[red]The chain is whole, but who signed its head isn't known.[/red] {count}, {erased}.")
    else:
        found = many(verification.found, "finding")
        console.print(f"[red]The ledger doesn't stand.[/red] {count}, {erased}; {found}.")
    if not verification.is_keyed:
        console.print(
            f"${SECRET_VARIABLE} isn't set: who signed the head wasn't checked. A chain that was rewritten as a whole "
            "is found with the secret, or with --head.",
            soft_wrap=True,
        )


@contextmanager
def _written(path: Path | None) -> Iterator[TextIO]:
    """A file for its owner only, or standard output."""
    if path is None:
        yield sys.stdout
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        yield file


def _write_jsonl(ledger: Ledger, file: TextIO, *, texts: bool) -> None:
    for text_hash, shown in ledger.texts() if texts else ():
        file.write(msgspec.json.encode(make_text_document(text_hash, shown)).decode() + "\n")
    for record in ledger.records():
        file.write(msgspec.json.encode(make_document(record)).decode() + "\n")


def _write_csv(ledger: Ledger, file: TextIO) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(map(make_row, ledger.records()))
