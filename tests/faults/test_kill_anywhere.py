"""Row 4: the process is killed before each statement, and before each call that changes a file."""

from __future__ import annotations

import json

import pytest

from faults.judge import TESTS
from faults.table import LONG
from processes import run_python

STEP = 1 if LONG else 61

# A process that forks the ones that are killed, and the ones that start again after them: importing takes too long.
SCRIPT = """
import json, os, sys, traceback
from pathlib import Path
folder, step, options = Path(sys.argv[1]), int(sys.argv[3]), json.loads(sys.argv[4])
sys.path.insert(0, sys.argv[2])
from centtrack import PrivacyPolicy
from centtrack.capture.capture import Capture
from centtrack.delivery import pipeline
from faults.apps import Host, POLICY, accepted
from faults.judge import IdFile
from faults.strike import Strikes
from waiting import eventually

pipeline.COMMIT_WITHIN_S = pipeline.DELIVER_WITHIN_S = 60.0  # closing takes the time it needs on a busy machine
Capture(PrivacyPolicy.parse(POLICY)).warm()
strikes = Strikes()

def in_child(work):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, json.dumps(work()).encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writer)
    with open(reader) as answer:
        text = answer.read()
    status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status), json.loads(text) if text else None

def sinks(place):
    return [IdFile(place / name, name=name) for name in ("one", "two")]

def live(place, number):
    strikes.kill_at(number)
    both = sinks(place)
    host = Host(place, *both, **options)
    for committed in (4, 8, 12):
        host.visit(4)
        assert host.pipeline.flush(30)
        with (place / "committed").open("a") as file:
            file.write(".")
        if committed == 8:
            eventually(lambda: all(len(sink.ids()) >= 8 for sink in both))
    host.close()
    return strikes.calls

def restart(place):
    strikes.kill_at(0)
    both = sinks(place)
    host = Host(place, *both, **options)
    host.visit(1, "/again/")
    host.close()
    counts = host.counts()
    count = accepted(counts)
    committed = 4 * len((place / "committed").read_text()) if (place / "committed").exists() else 0
    assert counts.closes
    assert count >= committed + 1, (count, committed)
    for sink in both:
        assert len(sink.ids()) == count, (count, sink.ids())
        assert len(sink.doubled_batches()) <= 1
        assert {f"/{number}" for number in range(committed)} <= set(sink.paths())
    return [count, *(sink.ids().total() - count for sink in both)]

(folder / "0").mkdir()
code, points = in_child(lambda: live(folder / "0", 0))
assert code == 0
killed = survived = doubled = events = 0
for number in range(1, points + 1, step):
    place = folder / str(number)
    place.mkdir()
    code, _ = in_child(lambda: live(place, number))
    assert code in {0, -9}, (number, code)  # threads make a call more or less from run to run
    killed += code == -9
    code, found = in_child(lambda: restart(place))
    assert code == 0, number
    events += found[0]
    doubled += sum(found[1:])
print(json.dumps({"points": points, "killed": killed, "events": events, "doubled": doubled}))
"""


@pytest.mark.parametrize("mode", ["relaxed", "durable"])
def test_kill_at_every_call(tmp_path, row, mode):
    printed = run_python(SCRIPT, tmp_path, TESTS, STEP, json.dumps({"mode": mode}), timeout_s=1_800)
    found = json.loads(printed.splitlines()[-1])
    assert found["killed"] > found["points"] / STEP / 2
    row(
        4,
        f"kill -9 before each statement and each change of a file, mode {mode}",
        calls=found["points"],
        killed=found["killed"],
        accepted_per_sink=found["events"],
        doubled=found["doubled"],
        most_doubled_batches_a_sink=1,
        lost=0,
    )
