"""`centtrack cookies`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Column, Table

from centtrack.cli.output import FINDING, JournalOption, console, find_journal, print_no_journal, printable
from centtrack.delivery.cookie_review import CookieReview, Remark, ReviewedCookie, review_cookies
from centtrack.delivery.journal.cookie_table import StoredCookie, read_cookies
from centtrack.errors import ConfigurationError
from centtrack.policy.model import Cookie
from centtrack.policy.policy import POLICY_VARIABLE, PrivacyPolicy
from centtrack.policy.registry_file import append_cookies

DEFAULT_POLICY = Path("privacy.toml")
_SHOWN_NAMES = 8
_MAX_TRACKER_DAYS = 390  # 13 months, as in policy/check.py
_WORDS: dict[Remark, str] = {
    "unclassified": "not judged",
    "outside": "from outside",
    "longer_lived": "longer-lived",
    "beyond_400_days": "over 400 days",
}
_SUMMARY: dict[Remark, tuple[str, str]] = {
    "outside": (
        "{count} from outside: {names}",
        "Such cookies arrive, but the gate never let them pass: a script, a CDN or a middleware outside ours sets "
        "them, or they are older than the gate.",
    ),
    "longer_lived": ("{count} longer-lived than declared: {names}", "Change the app, or the registry's lifetime."),
    "beyond_400_days": ("{count} set for more than 400 days: {names}", "Browsers cut that to 400 days."),
}


def cookies(
    journal: JournalOption = None,
    policy: Annotated[
        Path | None,
        typer.Option(help=f"The privacy.toml whose registry counts. Default: ${POLICY_VARIABLE}, else ./privacy.toml."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    declare: Annotated[
        bool, typer.Option("--declare", help="Append what isn't declared to the policy file, for an officer to judge.")
    ] = False,
) -> None:
    """List the cookies that were seen, against the policy's registry. Exit 1 if one isn't as declared."""
    path = find_journal(journal)
    if path is None:
        print_no_journal()
        return
    file = _policy_file(policy)
    rules = PrivacyPolicy.load(file)
    stored = read_cookies(path)
    review = review_cookies(stored, rules)
    if declare:
        rules, review = _declare(file, rules, stored, review, quiet=json)
    if json:
        console.print_json(data=_as_data(review, path, rules))
    else:
        _print_review(review, path, rules)
    if review.has_findings:
        raise typer.Exit(FINDING)


def _policy_file(given: Path | None) -> Path:
    """Which policy is meant: a profile has no registry, so there must be a file."""
    named = given or os.environ.get(POLICY_VARIABLE)
    if not named and not DEFAULT_POLICY.exists():
        raise ConfigurationError(
            f"which policy is meant? There is no {DEFAULT_POLICY} here: name the file with --policy, or set "
            f"${POLICY_VARIABLE}"
        )
    return Path(named or DEFAULT_POLICY)


def _declare(
    file: Path, rules: PrivacyPolicy, stored: list[StoredCookie], review: CookieReview, *, quiet: bool
) -> tuple[PrivacyPolicy, CookieReview]:
    """Write the proposals into the policy file; the policy and the review as they are then."""
    if not review.proposals:
        if not quiet:
            console.print("There is nothing to declare.\n")
        return rules, review
    written = append_cookies(file, review.proposals)
    changed = PrivacyPolicy.load(file)
    if not quiet:
        console.print(f"Appended to {file}:\n\n{written}", markup=False, soft_wrap=True)
        for line in _advice(rules, changed, review.proposals):
            console.print(line, markup=False, soft_wrap=True)
        console.print("Judge each, then start the app anew.\n")
    return changed, review_cookies(stored, changed)


def _advice(before: PrivacyPolicy, after: PrivacyPolicy, added: Iterable[Cookie]) -> Iterator[str]:
    """What to do about what was added."""
    for entry in added:
        if entry.category != "necessary" and (entry.lifetime or 0) > _MAX_TRACKER_DAYS:
            yield (
                f"{entry.name}: {entry.lifetime} days. The CNIL allows trackers 13 months at most "
                f"({_MAX_TRACKER_DAYS} days): shorten it in the app, then here."
            )
    if before.consent_hash != after.consent_hash:
        yield f"Visitors who chose are asked again: give the policy a new version (it is still {after.version})."


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
    """Narrow enough for 80 columns."""
    numbers = [Column(title, justify="right", no_wrap=True) for title in ("set", "removed", "arrived", "longest")]
    name, category = Column("cookie", overflow="fold"), Column("category", min_width=len("unclassified"))
    findings = Column("findings", min_width=max(map(len, _WORDS.values())))
    table = Table(name, category, *numbers, findings, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for one in cookies:
        counts = map(_short, (one.seen, one.blocked, one.arrived))
        longest = "session" if one.longest_days is None else f"{one.longest_days:,} d"
        was_set = one.seen or one.blocked
        table.add_row(_shown(one.name), one.category or "—", *counts, longest if was_set else "—", _remarks(one))
    return table


def _remarks(cookie: ReviewedCookie) -> str:
    if cookie.expired and not (cookie.seen or cookie.blocked or cookie.arrived):
        return "only deleted"
    words = _WORDS if cookie.is_declared else {**_WORDS, "unclassified": "not declared"}
    return "\n".join(words[remark] for remark in cookie.remarks)


def _short(count: int) -> str:
    """A number of few digits: exact ones are in the JSON."""
    return f"{count:,}" if count < 100_000 else f"{count // 1_000:,}k"


def _summary(review: CookieReview, policy: PrivacyPolicy) -> Iterator[str]:
    """What it all means, in plain words."""
    yield from _unclassified(review, policy)
    for remark, (what, so) in _SUMMARY.items():
        names = [cookie.name for cookie in review.cookies if remark in cookie.remarks]
        if names:
            yield f"{what.format(count=_counted(len(names)), names=_listed(names))}. {so}"
    if review.never_seen:
        yield f"{_counted(len(review.never_seen))} declared, but never seen: {_listed(review.never_seen)}."
    if review.hidden:
        k = policy.document.disclosure.k
        yield (
            f"{_counted(review.hidden)} not named. Such a name arrived in fewer than {k} requests, and anybody may "
            "send any, or it looks like personal data."
        )
    if review.is_full:
        yield "The inventory is full: what came after its 1,000 cookies is counted together, and not named."
    if not review.cookies:
        yield "No cookie was seen yet."
    elif not review.has_findings:
        yield "[green]Every cookie is as it was declared.[/green]"


def _unclassified(review: CookieReview, policy: PrivacyPolicy) -> Iterator[str]:
    found = [cookie for cookie in review.cookies if "unclassified" in cookie.remarks]
    undeclared = [cookie.name for cookie in found if not cookie.is_declared]
    unjudged = [cookie.name for cookie in found if cookie.is_declared]
    if undeclared:
        hint = (
            " `--declare` writes what is missing into the policy, for an officer to judge." if review.proposals else ""
        )
        yield (
            f"{_counted(len(undeclared))} not in the registry: {_listed(undeclared)}. The gate lets such cookies pass "
            f"with `declared`, and removes them with `enforce`.{hint}"
        )
    if unjudged:
        yield (
            f"{_counted(len(unjudged))} in the registry, but not judged: {_listed(unjudged)}. Such a cookie counts as "
            f"not declared: change its category in {escape(policy.source)}."
        )


def _counted(count: int) -> str:
    return f"{count:,} cookie" if count == 1 else f"{count:,} cookies"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(map(_shown, names[:_SHOWN_NAMES])) + more


def _shown(name: str) -> str:
    """A name as it may be printed: an app or a visitor could put anything there, also what a terminal obeys."""
    return escape(printable(name)) or "(no name)"
