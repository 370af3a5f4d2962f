"""`centtrack import`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from centtrack.capture.capture import Capture
from centtrack.cli.output import COULD_NOT_RUN, PolicyOption, SinkOption, console, errors, read_policy, read_sink
from centtrack.delivery.journal.counters import Counts, read_counts
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.paths import default_journal
from centtrack.delivery.records import Limits
from centtrack.delivery.sending.deliverer import Deliverer
from centtrack.importing import ImportSummary, LogFile, LogImport
from centtrack.policy.policy import PrivacyPolicy
from centtrack.policy.recipients import check_sinks, recipient_of
from centtrack.sinks.base import Sink, is_storing, name_of
from centtrack.sinks.open import open_sink

_LIMITS = Limits(max_bytes=2**62)  # a log is read as a whole before it is delivered; the disk's limit stays
_GIVE_UP_S = 30.0  # a sink that takes nothing for so long is left for later


def import_log(
    log: Annotated[
        str, typer.Argument(help="An access log, Combined or Common Log Format, plain or gzip; - is standard input.")
    ],
    sink: SinkOption = None,
    policy: PolicyOption = None,
    journal: Annotated[
        Path | None, typer.Option(help="The journal's file. Default: one in the user's state folder.")
    ] = None,
) -> None:
    """Import an access log, through the same limits as live requests. Repeat it, and nothing is doubled."""
    rules = read_policy(policy)
    target = open_sink(read_sink(sink))
    check_sinks(rules, [name_of(target)])
    if recipient_of(rules.document, name_of(target)).is_third:
        errors.print(
            f"{escape(name_of(target))} is a third party's, says {escape(rules.source)}: it may only get events of "
            "visitors who consented, and an access log knows of none. All that is imported is withheld from it.",
            soft_wrap=True,
        )
    # By the sink alone: the same log under another policy, or from another folder, must not be added once more.
    path = journal or default_journal("", [name_of(target)], here=Path("import"))
    with LogFile(log) as opened:
        summary = _accept(opened, path, rules, target)
    _print_summary(summary, opened.name, rules)
    problem = _deliver(path, target, rules)
    if problem is not None:
        errors.print(f"{escape(name_of(target))} takes nothing{escape(problem and f': {problem}')}", soft_wrap=True)
        errors.print("Not all is delivered yet; it is safe in the journal. Run the same command again to go on.")
        raise typer.Exit(COULD_NOT_RUN)


def _accept(log: LogFile, path: Path, policy: PrivacyPolicy, sink: Sink) -> ImportSummary:
    capture = Capture(policy)
    journal = Journal(path, limits=_LIMITS)
    journal.open()
    try:
        journal.register(name_of(sink))
        capture.warm()
        holds = policy.bucket_s is not None and is_storing(sink)
        reading = LogImport(log, journal, capture, holds=holds)
        columns = (SpinnerColumn(), TextColumn("Reading   "), BarColumn(), DownloadColumn())
        with Progress(*columns, console=errors) as progress:
            task = progress.add_task("", total=log.size or None)
            return reading.run(lambda position: progress.update(task, completed=position))
    finally:
        journal.close()


def _deliver(path: Path, sink: Sink, policy: PrivacyPolicy) -> str | None:
    """Deliver all that waits; what is wrong, if the sink takes nothing for a while."""
    deliverer = Deliverer(path, sink, policy, limits=_LIMITS)
    deliverer.start()
    deliverer.drain(timeout_s=float("inf"))
    columns = (SpinnerColumn(), TextColumn("Delivering"), BarColumn(), MofNCompleteColumn(), TextColumn("events"))
    with Progress(*columns, console=errors) as progress:
        task = progress.add_task("", total=None)
        last, since = -1, time.monotonic()
        while True:
            done, pending = _counted(read_counts(path), name_of(sink))
            progress.update(task, completed=done, total=done + pending)
            if not pending:
                break
            state = deliverer.state()
            if done != last:
                last, since = done, time.monotonic()
            elif state.condition == "paused" or time.monotonic() - since > _GIVE_UP_S:
                deliverer.drain(timeout_s=0.0)
                return state.problem or ""
            time.sleep(0.1)
    deliverer.join()
    return None


def _counted(counts: Counts, name: str) -> tuple[int, int]:
    """Done with, and what is to be delivered now: an app that uses this journal may hold events for their bucket."""
    sink = next(sink for sink in counts.sinks if sink.name == name)
    done = sink.delivered + sum(sink.withheld.values()) + sink.dead_lettered + sum(sink.lost.values())
    return done, sink.pending - counts.held + counts.due


def _print_summary(summary: ImportSummary, log: str, policy: PrivacyPolicy) -> None:
    console.print(
        f"[bold]{escape(log)}[/bold]: {summary.lines:,} lines = {summary.events:,} events + "
        f"{summary.rejected:,} rejected, under {policy.source}",
        soft_wrap=True,
    )
    if summary.already:
        console.print(
            f"{summary.already:,} of these lines were imported before; nothing is doubled. "
            "To have them under another policy, import them into another sink.",
            soft_wrap=True,
        )
    for reason, count in summary.reasons.items():
        console.print(f"  rejected: {count:,} {reason}")
    for number, reason in summary.bad_lines:
        console.print(f"  line {number:,}: {reason}", markup=False)
