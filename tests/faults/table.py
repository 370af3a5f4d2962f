"""The fault matrix: its rows, how a test reports one, and the page that is made of the reports.

    python tests/faults/table.py REPORT PAGE

`CENTTRACK_FAULTS=long` chooses the long form, `CENTTRACK_FAULTS_REPORT` names a file that each row is added to.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import apsw

LONG = os.environ.get("CENTTRACK_FAULTS") == "long"
REPORT_VARIABLE = "CENTTRACK_FAULTS_REPORT"
Figure = int | float | str


class Fault(NamedTuple):
    """A row of the matrix."""

    name: str
    must_hold: str


FAULTS = {
    1: Fault("steady load with and without the middleware", "no errors; added p99 at most 1 ms"),
    2: Fault("soak under load", "memory and descriptors flat"),
    3: Fault("kill -9 at random moments", "every accepted event delivered"),
    4: Fault(
        "kill at every commit, cursor move and row deletion",
        "restart works; loss 0; duplicates at most one batch a sink",
    ),
    5: Fault("journal file truncated or bits flipped", "set aside, counted, app unaffected"),
    6: Fault("disk full", "app answers 200; exact counts of dropped events; recovers when space returns"),
    7: Fault("EIO, EMFILE, read-only or missing directory", "app unaffected; exact counts; recovers"),
    8: Fault("wall clock jumps by a day", "timers unaffected; no early expiry"),
    9: Fault("sink down until 50,000 events wait", "journal grows, then drains at twice the rate or more; loss 0"),
    10: Fault("sink hangs without reply", "time-out; other sinks unaffected"),
    11: Fault("sink at a tenth of the load", "quota reached, drops exact, host latency flat"),
    12: Fault("commit, then the reply is lost", "sent again, no duplicate in lake, PostgreSQL and ClickHouse"),
    13: Fault("429 with Retry-After, 401, 400", "retry, pause, bisect"),
    14: Fault("one poison event in 1,000 (NUL, lone surrogate, NaN, 1 MB string)", "999 delivered, 1 dead-lettered"),
    15: Fault("backlog larger than memory, restart", "ready within 1 s; memory bounded"),
    16: Fault("preload with 4 workers; os.fork while a lock is held", "no hang; ids unique; nothing inherited"),
    17: Fault("server reloads 50 times", "loss 0; no leftover files or threads"),
    18: Fault("SIGTERM under load, with 1 s of grace", "drained or left in the journal; exit in time"),
    19: Fault("os._exit, lifespan off, mounted app", "next start delivers"),
    20: Fault("client disconnects, task cancelled", "CancelledError propagates; exactly one event"),
    21: Fault(
        "streaming 1 GB, server-sent events, WebSocket, pathsend, trailers, unknown messages",
        "bytes identical; nothing buffered",
    ),
    22: Fault(
        "app raises before and after the response starts", "same exception object; one event with the right status"
    ),
    23: Fault("an exception injected at every line of ours that runs in a request", "response unchanged"),
    24: Fault("geo database broken, empty, replaced while running", "geo null; reopened when good"),
    25: Fault(
        "64 KB headers, 1,000 duplicates, random bytes in every header, path and query",
        "truncated, flagged; no stall above 1 ms",
    ),
    26: Fault("regular-expression bombs for user agent, cookies, scrubbing", "each below 5 ms"),
    27: Fault(
        "two workers become deliverer at once; the deliverer is killed while a child it forked lives on",
        "one wins; nothing delivered twice by both; another takes over",
    ),
    28: Fault("journal of a newer version", "refused, kept, said"),
    29: Fault("a broker of a Kafka cluster dies under load", "loss 0"),
    30: Fault("PostgreSQL restarts under load", "loss 0, duplicates 0"),
    31: Fault("a lake is fed by a consumer group, and its members are killed", "loss 0, duplicates 0"),
    32: Fault("a Kafka broker dies while three app hosts feed it", "unique ids in the topic = accepted; loss 0"),
}

_INTRODUCTION = """# What delivery was put through

Each row is a test in `tests/` that injects a real fault and counts; a sink that keeps the ids of events is the judge.
`make test` runs all of them in a short form, `make faults` in the long one, and writes this page: edit
`tests/faults/table.py`, not the page. A row that has several faults has a line for each.
"""


class Result(NamedTuple):
    """What a test found.

    Attributes:
        number: of the row.
        injected: what was done, in words.
        figures: name → count.
        day: when, as in 2026-11-22.
        is_long: whether it was the long form.
        versions: what it ran on.
    """

    number: int
    injected: str
    figures: Mapping[str, Figure]
    day: str
    is_long: bool
    versions: str


def report(number: int, injected: str, figures: Mapping[str, Figure]) -> None:
    """Print a result, and add it to the report, if there is one.

    Args:
        number: of the row.
        injected: what was done, in words, the same in each run.
        figures: name → count, or a text; an underscore stands for a space.
    """
    day = dt.datetime.now(dt.UTC).date().isoformat()
    versions = f"CPython {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}, {platform.system()}"
    result = Result(number, injected, figures, day, LONG, versions)
    print(f"\nfault {number}, {FAULTS[number].name}: {injected}: {_told(figures)}")  # noqa: T201 - the counts are wanted
    if path := os.environ.get(REPORT_VARIABLE):
        with Path(path).open("a") as file:
            file.write(json.dumps(result._asdict()) + "\n")


def read_results(path: Path) -> list[Result]:
    """What a report holds; of the same fault the last."""
    found = [Result(**json.loads(line)) for line in path.read_text().splitlines()]
    last = {(result.number, result.injected): result for result in found}
    return sorted(last.values(), key=lambda result: (result.number, result.injected))


def render(results: list[Result]) -> str:
    """The page."""
    rows = ["| # | fault | must hold | injected | figures of the last run |", "|---|---|---|---|---|"]
    for number, fault in FAULTS.items():
        mine = [result for result in results if result.number == number]
        for result in mine:
            form = "" if result.is_long else " (short form)"
            rows.append(
                f"| {number} | {fault.name} | {fault.must_hold} | {result.injected} | {_told(result.figures)}{form} |"
            )
        if not mine:
            rows.append(f"| {number} | {fault.name} | {fault.must_hold} | | not run |")
    days = sorted({result.day for result in results})
    when = " to ".join(days[:1] + days[1:][-1:]) or "never"
    on = "; ".join(sorted({result.versions for result in results})) or "nothing"
    return "\n".join([_INTRODUCTION, *rows, "", f"Last run: {when}, on {on}.", ""])


def _told(figures: Mapping[str, Figure]) -> str:
    return "; ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in figures.items())


def _number(value: Figure) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(render(read_results(Path(sys.argv[1]))))
