"""How `centtrack consent stats` shows its totals."""

from __future__ import annotations

from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

from centtrack.cli.output import bar, console
from centtrack.consent.ledger.stats import LedgerStats


def print_stats(counted: LedgerStats) -> None:
    """Totals, and a table of what was decided."""
    totals = (many(counted.decisions, "decision"), many(counted.withdrawals, "withdrawal"))
    console.print(f"{', '.join(totals)}, {many(counted.erased, 'record')} erased")
    if not counted.decisions:
        return
    table = Table("category", "given", "refused", "accepted", "", title="Decisions", title_justify="left")
    for category, answers in counted.answers.items():
        shares = (f"{answers.acceptance:.1%}", bar(answers.acceptance))
        table.add_row(category, f"{answers.given:,}", f"{answers.refused:,}", *shares)
    console.print(table)
    for name, counts in counted.by.items():
        listed = ", ".join(
            f"{value or 'none'}{_versions(counted, value) if name == 'policy' else ''} {count:,}"
            for value, count in sorted(counts.items())
        )
        console.print(f"[bold]{name}[/bold]  {escape(listed)}")


def _versions(counted: LedgerStats, version: str) -> str:
    """What else goes by the same version, by the first digits of its hash."""
    hashes = counted.policies[version]
    if len(hashes) == 1:
        return ""
    listed = ", ".join(f"{consent_hash[:8]} {count:,}" for consent_hash, count in sorted(hashes.items()))
    return f" ({len(hashes)} different policies: {listed})"


def as_data(counted: LedgerStats) -> dict[str, object]:
    """The same for JSON."""
    answers = {
        category: {**asdict(one), "acceptance": round(one.acceptance, 4)} for category, one in counted.answers.items()
    }
    return {
        "decisions": counted.decisions,
        "withdrawals": counted.withdrawals,
        "erasures": counted.erasures,
        "erased": counted.erased,
        "answers": answers,
        "by": counted.by,
        "policies": counted.policies,
    }


def many(count: int, thing: str) -> str:
    """A number of things: `1 record`, `2 records`."""
    return f"{count:,} {thing}{'s' * (count != 1)}"
