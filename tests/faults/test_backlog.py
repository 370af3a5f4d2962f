"""Rows 9 and 15: a sink that is down for long, and a backlog that doesn't fit into memory."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from uuid import uuid4

import msgspec

from centtrack.delivery.journal.journal import Journal
from centtrack.testing import make_event
from faults.apps import Host, accepted
from faults.judge import TESTS, IdFile, JudgeSink
from faults.table import LONG
from journals import accept
from processes import run_python
from waiting import eventually

WAITING = 50_000 if LONG else 5_000
BACKLOG = 600_000 if LONG else 200_000  # events of 1.4 KB
MAY_USE_MB = 400 if LONG else 250  # of data, by the kernel's limit: far less than the backlog


def test_sink_down_until_many_wait(tmp_path, judge, row):
    judge.behave("refuse")
    host = Host(tmp_path, JudgeSink(judge.port))
    host.visit_all(1_000)  # so that engines are built before the clock runs
    began, small = time.monotonic(), host.counts().bytes
    host.visit_all(WAITING - 1_000)
    load_rate = (WAITING - 1_000) / (time.monotonic() - began)
    [down] = eventually(lambda: (sinks := host.counts().sinks)[0].error and sinks)
    grown = host.counts().bytes
    assert (down.accepted, down.pending, down.delivered) == (WAITING, WAITING, 0)
    assert grown > small

    judge.behave("take")
    eventually(lambda: judge.verdict().distinct == WAITING, within_s=90)
    eventually(lambda: host.counts().bytes < grown / 10)  # what was delivered is gone from the disk
    [up] = host.counts().sinks
    host.close()
    assert host.counts().closes
    assert (up.pending, up.delivered, up.error) == (0, WAITING, None)
    assert judge.verdict().doubled == 0
    drain_rate = _rate(judge.arrivals())
    if LONG:
        assert drain_rate > 2 * load_rate  # both of this run; ten times as a rule
    row(
        9,
        "connections refused",
        waiting=WAITING,
        journal_MB=grown / 1e6,
        recorded_per_s=load_rate,
        drained_per_s=drain_rate,
        delivered=up.delivered,
        lost=accepted(host.counts()) - judge.verdict().distinct,
        doubled=judge.verdict().doubled,
    )


def _rate(arrivals):
    """Events a second, between one batch and the next."""
    spent = [(later - earlier, count) for (earlier, _), (later, count) in pairwise(arrivals)]
    return sum(count for _, count in spent) / sum(seconds for seconds, _ in spent) if spent else 0.0


# Prints when the first visit after the start was answered and committed, and what memory was used in the end.
RESTART = """
import json, resource, sys, time
from pathlib import Path
folder, tests, limit_mb, events = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
sys.path.insert(0, tests)
from faults.apps import Host
from faults.judge import IdFile
from waiting import eventually
resource.setrlimit(resource.RLIMIT_DATA, (limit_mb * 2**20,) * 2)
began = time.monotonic()
host = Host(folder, IdFile(folder / "ids"))
host.visit(1, "/first/")
answered = time.monotonic() - began
assert host.pipeline.flush(60)
committed = time.monotonic() - began
eventually(lambda: host.pipeline.state().sinks[0].delivered > events, within_s=600)
host.close()
status = Path("/proc/self/status").read_text()  # rusage would tell the peak of the process that started this one
peak_mb = int(status.partition("VmHWM:")[2].split()[0]) / 1024
print(json.dumps([answered * 1_000, committed * 1_000, peak_mb]))
"""


def test_backlog_larger_than_memory(tmp_path, row):
    file = IdFile(tmp_path / "ids")
    size = _fill(tmp_path / "state" / "journal.db", file.name, BACKLOG)
    assert size > MAY_USE_MB * 1e6
    answered_ms, committed_ms, peak_mb = json.loads(
        run_python(RESTART, tmp_path, TESTS, MAY_USE_MB, BACKLOG, timeout_s=900)
    )
    ids = file.ids()
    assert len(ids) == ids.total() == BACKLOG + 1
    assert peak_mb < size / 1e6
    row(
        15,
        f"{BACKLOG:,} events wait, at most {MAY_USE_MB} MB of data",
        backlog_MB=size / 1e6,
        first_visit_answered_after_ms=answered_ms,
        committed_after_ms=committed_ms,
        peak_MB=peak_mb,
        delivered=ids.total(),
        lost=BACKLOG + 1 - len(ids),
    )


def _fill(path, sink, events):
    """A journal in which that many events wait for a sink; its size in bytes."""
    journal = Journal(path)
    journal.open()
    journal.register(sink)
    event = msgspec.json.encode(make_event(event_id="@", path="/" + "x" * 500, time_precision="second"))
    for _ in range(events // 1_000):
        accept(journal, *(event.replace(b"@", str(uuid4()).encode(), 1) for _ in range(1_000)))
    journal.close()
    return path.stat().st_size
