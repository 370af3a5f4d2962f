"""Row 7: the disk fails, is read-only or isn't there, and descriptors run out."""

from __future__ import annotations

import json
import shutil

import pytest

from faults.apps import Host, accepted, dropped, offered
from faults.disks import small_disk
from faults.judge import TESTS, CountingSink
from processes import run_python
from waiting import eventually

MEANWHILE = 1_000


def condition(host):
    return host.pipeline.state().journal


def settled(host, sink):
    """What is to be reported, after all is delivered and the end. Nothing accepted is lost, and nothing uncounted."""
    eventually(lambda: condition(host) == "open", within_s=60)
    assert host.pipeline.flush(60)
    eventually(lambda: sink.verdict.distinct == accepted(host.counts()), within_s=60)
    host.close()
    counts = host.counts()
    assert counts.closes
    assert offered(counts) == host.visited.total() == accepted(counts) + sum(dropped(counts).values())
    assert accepted(counts) == sink.verdict.delivered
    return {
        "answered": offered(counts),
        "accepted": accepted(counts),
        "dropped": sum(dropped(counts).values()),
        "delivered": sink.verdict.delivered,
        "lost": 0,
        "doubled": sink.verdict.doubled,
    }


# Fails the calls of SQLite that have this name, until it is told to stop.
FAILING = """
import apsw, json, sys
from pathlib import Path
folder, call, code, mode = Path(sys.argv[1]), sys.argv[3], int(sys.argv[4]), sys.argv[5]
sys.path.insert(0, sys.argv[2])
from faults.apps import Host
from faults.judge import CountingSink
from faults.strike import Strikes
from faults.test_disk_fails import MEANWHILE, condition, settled
from waiting import eventually

failed = 0
def fail(name, file):
    global failed
    if name == call and "journal.db" in file:
        failed += 1
        raise apsw.exception_for(code)

strikes = Strikes()
sink = CountingSink()
host = Host(folder, sink, mode=mode)
host.visit_all(200)
eventually(lambda: sink.verdict.distinct == 200)
working, strikes.before = strikes.before, fail
host.visit(1)
eventually(lambda: failed)
host.visit(MEANWHILE)
eventually(lambda: failed > 1 or condition(host) == "degraded")
strikes.before = working
host.visit(100)
print(json.dumps({"failed_calls": failed, **settled(host, sink)}))
"""
IOERR_READ, IOERR_WRITE, IOERR_SYNC, READONLY = 266, 778, 1034, 8


@pytest.mark.parametrize(
    ("injected", "call", "code", "mode"),
    [
        ("EIO as the journal is written", "write", IOERR_WRITE, "relaxed"),
        ("EIO as the journal is synced", "sync", IOERR_SYNC, "durable"),
        ("EIO as the journal is read", "read", IOERR_READ, "relaxed"),
        ("the journal becomes read-only", "write", READONLY, "relaxed"),
    ],
)
def test_calls_of_the_disk_fail(tmp_path, row, injected, call, code, mode):
    printed = run_python(FAILING, tmp_path, TESTS, call, code, mode, timeout_s=100)
    found = json.loads(printed.splitlines()[-1])
    assert found["dropped"] == 0  # there is room for them in memory
    row(7, injected, **found)


# Takes away all descriptors that aren't in use, before the first visit.
WITHOUT_DESCRIPTORS = """
import json, os, resource, sys
from pathlib import Path
folder = Path(sys.argv[1])
sys.path.insert(0, sys.argv[2])
from centtrack import PrivacyPolicy
from centtrack.capture.capture import Capture
from faults.apps import POLICY, Host
from faults.judge import CountingSink
from faults.test_disk_fails import MEANWHILE, condition, settled
from waiting import eventually

Capture(PrivacyPolicy.parse(POLICY)).warm()  # else events can't even be made
sink = CountingSink()
host = Host(folder, sink)
host.visit(0)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, hard))
host.visit(MEANWHILE)
eventually(lambda: condition(host) == "degraded")
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
host.visit(100)
print(json.dumps(settled(host, sink)))
"""


def test_no_descriptor_is_left(tmp_path, row):
    printed = run_python(WITHOUT_DESCRIPTORS, tmp_path, TESTS, timeout_s=100)
    row(7, "EMFILE, as RLIMIT_NOFILE is what is open already, before the start", **json.loads(printed.splitlines()[-1]))


def test_read_only_at_the_start(tmp_path, row):
    with small_disk(tmp_path / "disk", 64_000_000) as disk:
        disk.set_writable(False)
        sink = CountingSink()
        host = Host(disk.folder, sink, min_free=0)
        host.visit(MEANWHILE)
        eventually(lambda: condition(host) == "degraded")
        disk.set_writable(True)
        host.visit(100)
        row(7, "a tmpfs that is read-only at the start, then isn't", **settled(host, sink))


def test_folder_cannot_be_made(tmp_path, row):
    (tmp_path / "state").write_text("a file is where the folder should be")
    sink = CountingSink()
    host = Host(tmp_path, sink)
    host.visit(MEANWHILE)
    eventually(lambda: condition(host) == "degraded")
    (tmp_path / "state").unlink()
    host.visit(100)
    row(7, "no folder for the journal at the start, then there is", **settled(host, sink))


def test_folder_is_removed(tmp_path, row):
    """What was delivered before can't be counted any more; all that comes after is."""
    sink = CountingSink()
    host = Host(tmp_path, sink)
    host.visit_all(500)
    eventually(lambda: sink.verdict.distinct == 500)
    removed = host.journal.parent.rename(tmp_path / "removed")  # first: under load new files come while it goes
    shutil.rmtree(removed)
    host.visit(MEANWHILE)
    assert host.pipeline.flush(60)
    eventually(lambda: sink.verdict.distinct == 500 + MEANWHILE, within_s=60)
    host.close()
    counts = host.counts()
    assert counts.closes
    assert offered(counts) == accepted(counts) == MEANWHILE
    assert sink.verdict.doubled == 0
    row(
        7,
        "the journal's folder is removed under load",
        answered=500 + MEANWHILE,
        in_the_new_journal=accepted(counts),
        delivered=sink.verdict.distinct,
        lost=0,
    )
