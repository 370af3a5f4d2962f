"""Row 8: the wall clock is set, while timers run and events wait."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from faults.judge import TESTS
from faults.table import LONG
from processes import run_python

LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
DAYS = (1, -1, 40, -40) if LONG else (1, -40)

# The clock is wrong by what stands in the file; the monotonic clock isn't touched.
START = """
import json, sys, threading, time
from pathlib import Path
time.sleep = lambda seconds: threading.Event().wait(seconds)  # libfaketime spoils the real one as the clock is set
folder, clock, first, days = Path(sys.argv[1]), Path(sys.argv[3]), float(sys.argv[4]), json.loads(sys.argv[5])
sys.path.insert(0, sys.argv[2])
from centtrack.delivery.sending import backoff, carrier
from faults.apps import Host, accepted
from faults.judge import CountingSink
from faults.strike import Strikes
from waiting import eventually

def set_clock(day):
    before = time.time()
    clock.write_text(f"{first + 86_400 * day:+.0f}")
    assert abs(time.time() - before) > 80_000 or not day

def let_it_work():
    "Until the threads have looked into the journal many times."
    before = strikes.calls
    eventually(lambda: strikes.calls > before + 12)

carrier.HOUSEKEEPING_S, backoff.LONGEST_S = 0.05, 0.5
strikes = Strikes()
"""

HELD = """
sink = CountingSink()
host = Host(folder, sink, policy='[limits.default]\\ntime = "hour"\\npage = "path"')
host.visit_all(20)
for number, day in enumerate(days):
    set_clock(day)
    host.visit_all(20)
    let_it_work()
    assert sink.verdict.delivered == 0, sink.verdict
    counts = host.counts()
    assert counts.held == 20 * (number + 2), counts
    assert counts.due == 0
set_clock(0)
host.close()
print(json.dumps([host.counts().held, sink.verdict.delivered]))
"""

WAITING = """
from centtrack.errors import Rejected, RetryLater

is_down = True
attempts = 0

def refuse(batch):
    global attempts
    attempts += 1
    if is_down:
        raise RetryLater("down", after_s=0.05)

def reject(batch):
    if any(event.path == "/0" for event in batch):
        raise Rejected("poison")

policy = '''
[limits.default]
time = "second"
page = "path"
[[sinks]]
name = "down"
retention = 1
[[sinks]]
name = "rejecting"
retention = 1
'''
gone = Host(folder, CountingSink(refuse, name="gone"), policy=policy)
gone.visit_all(1)
gone.close()

down, rejecting = CountingSink(refuse, name="down"), CountingSink(reject, name="rejecting")
host = Host(folder, down, rejecting, policy=policy)
host.visit_all(100)
eventually(lambda: rejecting.verdict.delivered == 99)

def waiting():
    sinks = {sink.name: sink for sink in host.counts().sinks}
    assert not any(sink.lost for sink in sinks.values()), sinks
    assert host.counts().closes
    return [sinks["down"].pending, sinks["rejecting"].dead_lettered, sinks["gone"].pending]

eventually(lambda: waiting() == [100, 1, 101])
for day in days:
    set_clock(day)
    before = attempts
    let_it_work()
    eventually(lambda: attempts > before)
    assert waiting() == [100, 1, 101], waiting()
host.visit_all(1)  # by a wrong clock
is_down = False
eventually(lambda: down.verdict.distinct == 101)
eventually(lambda: waiting() == [0, 1, 102])
host.close()
print(json.dumps([attempts, *waiting()]))
"""


@pytest.fixture
def with_clock(tmp_path, monkeypatch):
    """Runs a script whose wall clock begins at one minute past an hour, so that no bucket of time ends meanwhile."""
    if LIBRARY is None:
        pytest.skip("needs libfaketime")
    file = tmp_path / "clock"
    now = dt.datetime.now(dt.UTC)
    first = (now.replace(minute=1, second=0) - now).total_seconds()
    file.write_text(f"{first:+.0f}")
    for name, value in {
        "LD_PRELOAD": LIBRARY,
        "FAKETIME_TIMESTAMP_FILE": file,
        "FAKETIME_NO_CACHE": 1,
        "DONT_FAKE_MONOTONIC": 1,
        "FAKETIME_DONT_FAKE_MONOTONIC": 1,
        "NO_FAKE_STAT": 1,
    }.items():
        monkeypatch.setenv(name, str(value))

    def run(script):
        printed = run_python(START + script, tmp_path, TESTS, file, first, json.dumps(DAYS))
        return json.loads(printed.splitlines()[-1])

    return run


def test_nothing_is_released_early(with_clock, row):
    held, delivered = with_clock(HELD)
    row(8, f"set by {_days()} while events wait for the end of their hour", held=held, released_early=delivered)
    assert (held, delivered) == (20 * (len(DAYS) + 1), 0)


def test_timers_go_on_and_nothing_expires(with_clock, row):
    attempts, pending, dead, unseen = with_clock(WAITING)
    row(
        8,
        f"set by {_days()} while a sink is down, dead letters are kept, and a sink isn't configured any more",
        attempts=attempts,
        expired_early=0,
        pending=pending,
        dead_letters_kept=dead,
        kept_for_the_missing_sink=unseen,
        lost=0,
    )


def _days():
    return ", ".join(f"{days:+d}" for days in DAYS) + " days"
