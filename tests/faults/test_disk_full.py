"""Row 6: the disk is full, or nearly."""

from __future__ import annotations

import json

from faults.apps import Host, accepted, dropped, offered
from faults.disks import small_disk
from faults.judge import TESTS, CountingSink
from faults.table import LONG
from processes import run_python
from waiting import eventually

MB = 1_000_000


class Tap(CountingSink):
    """A sink that is down until it is opened."""

    def __init__(self):
        super().__init__(self._check)
        self.is_open = False

    def _check(self, _batch):
        if not self.is_open:
            raise ConnectionError


def condition(host):
    return host.pipeline.state().journal


def takes_again(host):
    """Whether a visit finds the journal open."""
    host.visit(1)
    host.pipeline.flush(2)
    return condition(host) == "open"


def settled(host, sink):
    """The counters, after all that was accepted is delivered, and after the end."""
    assert host.pipeline.flush(60)
    eventually(lambda: sink.verdict.distinct == accepted(host.counts()), within_s=60)
    host.close()
    counts = host.counts()
    assert counts.closes
    assert sink.verdict.doubled == 0
    assert offered(counts) == host.visited.total() == accepted(counts) + sum(dropped(counts).values())
    return counts


def figures(counts, sink):
    return {
        "answered": offered(counts),
        "accepted": accepted(counts),
        **{f"dropped_{reason}": count for reason, count in dropped(counts).items()},
        "delivered": sink.verdict.distinct,
        "lost": accepted(counts) - sink.verdict.distinct,
    }


def test_less_than_min_free(tmp_path, row):
    with small_disk(tmp_path / "disk", 64 * MB) as disk:
        sink = Tap()
        host = Host(disk.folder, sink, min_free=32 * MB)
        host.visit_all(500)
        disk.fill(leave=30 * MB)
        host.visit_all(3_000)
        assert condition(host) == "full"
        sink.is_open = True  # what was accepted is delivered meanwhile
        eventually(lambda: sink.verdict.distinct == 500)
        disk.empty()
        host.visit_all(700)
        assert condition(host) == "open"
        counts = settled(host, sink)
    assert accepted(counts) == 1_200
    assert dropped(counts) == {"disk_low": 3_000}
    row(6, "less than min_free on a tmpfs, then more again", **figures(counts, sink))


def test_no_space_at_all(tmp_path, row):
    meanwhile = 20_000 if LONG else 3_000
    with small_disk(tmp_path / "disk", 32 * MB) as disk:
        sink = Tap()
        sink.is_open = True
        host = Host(disk.folder, sink, min_free=0)
        host.visit_all(500)
        disk.fill()
        host.visit(meanwhile)
        eventually(lambda: condition(host) in {"full", "degraded"})  # not even counters can be written
        disk.empty()
        eventually(lambda: takes_again(host))
        host.visit_all(700)
        counts = settled(host, sink)
    assert 0 < sum(dropped(counts).values()) <= meanwhile + 1
    row(6, "a tmpfs with no byte left, then more again", **figures(counts, sink))


def test_filled_by_the_journal_itself(tmp_path, row):
    """Delivery needs room, too, to delete what was delivered: there is a reserve for that."""
    with small_disk(tmp_path / "disk", (24 if LONG else 14) * MB) as disk:
        sink = Tap()
        host = Host(disk.folder, sink, min_free=0)
        while condition(host) in {"closed", "open"}:
            host.visit(500)
            host.pipeline.flush(2)
        host.visit(10_000)
        full = host.counts()
        sink.is_open = True
        eventually(lambda: takes_again(host), within_s=60)
        host.visit_all(700)
        counts = settled(host, sink)
    assert accepted(full) > 2_000
    row(
        6,
        "a tmpfs that the journal fills up, while the sink is down; then the sink is back",
        waiting_when_full=accepted(full),
        **figures(counts, sink),
    )


# Raises the limit when told to.
LIMITED = """
import json, resource, sys
from pathlib import Path
folder, limit = Path(sys.argv[1]), int(sys.argv[3])
sys.path.insert(0, sys.argv[2])
from faults.test_disk_full import Tap, condition, eventually, figures, settled
from faults.apps import Host
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
sink = Tap()
host = Host(folder, sink, min_free=0)
while condition(host) in {"closed", "open"}:
    host.visit(500)
    host.pipeline.flush(2)
host.visit(2_000)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
eventually(lambda: condition(host) == "open")
host.visit_all(700)
sink.is_open = True
print(json.dumps(figures(settled(host, sink), sink)))
"""


def test_file_size_limit(tmp_path, row):
    found = json.loads(run_python(LIMITED, tmp_path, TESTS, 3 * MB).splitlines()[-1])
    assert found["lost"] == 0
    row(6, "RLIMIT_FSIZE of 3 MB, then none", **found)
