"""`centtrack cookies`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from centtrack.cli.output import FINDING, PolicyOption, console, read_policy
from centtrack.delivery.cookie_review import CookieReview, Remark, ReviewedCookie, review_cookies
from centtrack.delivery.cookie_table import StoredCookie, read_cookies
from centtrack.delivery.paths import known_journals, state_folder
from centtrack.errors import ConfigurationError
from centtrack.policy.policy import POLICY_VARIABLE, PrivacyPolicy
from centtrack.policy.registry_file import append_cookies

_SHOWN_NAMES = 8
_WORDS: dict[Remark, str] = {
    "unclassified": "unclassified",
    "outside": "from outside",
    "longer_lived": "longer-lived than declared",
    "beyond_400_days": "beyond 400 days",
}
_SUMMARY: dict[Remark, tuple[str, str]] = {
    "unclassified": (
        "{count} of unknown purpose: {names}",
        "Nobody has said what they are for. `declared` lets them pass, `enforce` removes them. "
        "`--declare` writes them into the policy, for an officer to judge.",
    ),
    "outside": (
        "{count} from outside: {names}",
        "They arrive, but the gate never let them pass: a script, a CDN or a middleware outside ours sets them, or "
        "they are older than the gate.",
    ),
    "longer_lived": ("{count} longer-lived than declared: {names}", "Change the app, or the registry's lifetime."),
    "beyond_400_days": ("{count} set for more than 400 days: {names}", "Browsers cut that to 400 days."),
}


def cookies(
    journal: Annotated[
        Path | None, typer.Option(help="The journal's file. Default: the one in the user's state folder.")
    ] = None,
    policy: PolicyOption = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    declare: Annotated[
        bool, typer.Option("--declare", help="Append what isn't declared to the policy file, for an officer to judge.")
    ] = False,
) -> None:
    """List the cookies that were seen, against the policy's registry. Exit 1 if one isn't as declared."""
    path = journal or _only_journal()
    rules = read_policy(policy)
    stored = read_cookies(path)
    review = review_cookies(stored, rules)
    if declare:
        rules, review = _declare(policy, rules, stored, review, quiet=json)
    if json:
        console.print_json(data=_as_data(review, path, rules))
    else:
        _print_review(review, path, rules)
    if review.has_findings:
        raise typer.Exit(FINDING)


def _only_journal() -> Path:
    known = known_journals()
    if not known:
        raise ConfigurationError(f"no journal in {state_folder()}: nothing has run here yet. Name one with --journal")
    if len(known) > 1:
        listed = "".join(f"\n  {path}" for path in known)
        raise ConfigurationError(f"several apps have a journal here; say which one with --journal:{listed}")
    return known[0]


def _declare(
    policy: Path | None, rules: PrivacyPolicy, stored: list[StoredCookie], review: CookieReview, *, quiet: bool
) -> tuple[PrivacyPolicy, CookieReview]:
    """Write the proposals into the policy file; the policy and the review as they are then."""
    file = policy or os.environ.get(POLICY_VARIABLE)
    if not file:
        raise ConfigurationError(f"which policy is to be changed? Name it with --policy, or set ${POLICY_VARIABLE}")
    if not review.proposals:
        return rules, review
    written = append_cookies(Path(file), review.proposals)
    changed = PrivacyPolicy.load(file)
    if not quiet:
        console.print(f"Appended to {file}:\n\n{written}", markup=False, soft_wrap=True)
        if changed.consent_hash != rules.consent_hash:
            console.print("The registry has a category that it hadn't: visitors who chose are asked again.")
        console.print("Judge each, then start the app anew.\n")
    return changed, review_cookies(stored, changed)


def _as_data(review: CookieReview, path: Path, policy: PrivacyPolicy) -> dict[str, object]:
    return {
        "journal": str(path),
        "policy": policy.source,
        "cookies": [dataclasses.asdict(cookie) for cookie in review.cookies],
        "never_seen": review.never_seen,
        "hidden": review.hidden,
        "is_full": review.is_full,
        "has_findings": review.has_findings,
    }


def _print_review(review: CookieReview, path: Path, policy: PrivacyPolicy) -> None:
    console.print(f"[bold]{escape(str(path))}[/bold] under {escape(policy.source)}", soft_wrap=True)
    if review.cookies:
        console.print(_table(review.cookies))
    for line in _summary(review, policy):
        console.print(line, soft_wrap=True)


def _table(cookies: list[ReviewedCookie]) -> Table:
    name = Column("cookie", overflow="fold")
    table = Table(name, "category", "seen", "blocked", "expired", "arrived", "days", "last seen", "")
    for one in cookies:
        remarks = ", ".join(_WORDS[remark] for remark in one.remarks)
        counts = (f"{count:,}" for count in (one.seen, one.blocked, one.expired, one.arrived))
        days = "session" if one.longest_days is None else f"{one.longest_days:,}"
        was_set = one.seen or one.blocked
        table.add_row(
            _shown(one.name), one.category or "not declared", *counts, days if was_set else "", one.last_seen, remarks
        )
    return table


def _summary(review: CookieReview, policy: PrivacyPolicy) -> Iterator[str]:
    """What it all means, in plain words."""
    for remark, (what, so) in _SUMMARY.items():
        names = [cookie.name for cookie in review.cookies if remark in cookie.remarks]
        if names:
            yield f"{what.format(count=_counted(len(names)), names=_listed(names))}. {so}"
    if review.never_seen:
        yield f"{_counted(len(review.never_seen))} declared, but never seen: {_listed(review.never_seen)}."
    if review.hidden:
        k = policy.document.disclosure.k
        yield f"{_counted(review.hidden)} not named: each arrived in fewer than {k} requests, and anybody may send any."
    if review.is_full:
        yield "The inventory is full: what came after its 1,000 cookies is counted together, and not named."
    if not review.cookies:
        yield "No cookie was seen yet."
    elif not review.has_findings:
        yield "[green]Every cookie is as it was declared.[/green]"


def _counted(count: int) -> str:
    return f"{count:,} cookie" if count == 1 else f"{count:,} cookies"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(map(_shown, names[:_SHOWN_NAMES])) + more


def _shown(name: str) -> str:
    """A name as it may be printed: an app or a visitor could put anything there, also what a terminal obeys."""
    plain = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in name)
    return escape(plain) or "(no name)"
