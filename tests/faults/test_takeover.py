"""Row 27: who delivers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time

import pytest

from faults.judge import TESTS, IdFile
from faults.table import LONG
from processes import kill_group, python
from waiting import eventually

ROUNDS = 25 if LONG else 2
EACH = 50

# A worker that does what its standard input says, and answers each line.
WORKER = """
import json, os, subprocess, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
sys.path.insert(0, sys.argv[2])
from faults.apps import Host, accepted
from faults.judge import IdFile

host = Host(folder, IdFile(folder / "ids"))
for line in sys.stdin:
    command, *words = line.split()
    answer = None
    if command == "visit":
        host.visit(int(words[1]), words[0])
        assert host.pipeline.flush(60)
    elif command == "fork":
        child = os.fork()
        if child == 0:
            time.sleep(600)
            os._exit(0)
        answer = [child, subprocess.Popen(["sleep", "600"]).pid]
    elif command == "close":
        host.close()
        counts = host.counts()
        answer = [counts.closes, accepted(counts)]
    print(json.dumps(answer), flush=True)
"""


class Worker:
    """A process with an app."""

    def __init__(self, process):
        self.process = process

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return json.loads(line)

    def ask(self, *words):
        self.tell(*words)
        return self.answer()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_two_become_deliverer_at_once(tmp_path, number, rounds):
    file = IdFile(tmp_path / "ids")
    with contextlib.ExitStack() as stack:
        workers = [Worker(stack.enter_context(python(WORKER, tmp_path, TESTS))) for _ in range(2)]
        for worker in workers:
            worker.ask("ready")
        for name, worker in zip(("/a/", "/b/"), workers, strict=True):
            worker.tell("visit", name, EACH)  # both start now
        for worker in workers:
            worker.answer()
        eventually(lambda: len(file.ids()) == 2 * EACH)
        assert file.ids().total() == 2 * EACH
        [winner_pid] = {taken.pid for taken in file.taken()}
        winner, other = sorted(workers, key=lambda worker: worker.process.pid != winner_pid)

        children = winner.ask("fork")
        winner.ask("visit", "/c/", EACH)
        os.kill(winner_pid, signal.SIGKILL)
        killed = time.monotonic()
        other.ask("visit", "/d/", EACH)
        eventually(lambda: len(file.ids()) == 4 * EACH)
        took_over_s = time.monotonic() - killed
        for child in children:
            os.kill(child, 0)  # they live on
        closes, accepted = other.ask("close")
        kill_group(winner.process)
    assert closes
    assert len(file.ids()) == accepted == 4 * EACH
    assert {taken.pid for taken in file.taken()} <= {winner_pid, other.process.pid}
    assert len(file.doubled_batches()) <= 1  # the one that the killed process had on its way
    rounds.append((4 * EACH, file.ids().total() - 4 * EACH, took_over_s))


@pytest.fixture(scope="module")
def rounds(row):
    """(events, doubled, seconds until the other had delivered) of each round; reported at the end."""
    found = []
    yield found
    if found:
        row(
            27,
            "two start at once; kill -9 of the one that delivers, while two children of it live on",
            rounds=len(found),
            delivering_at_once=1,
            accepted=sum(events for events, _, _ in found),
            doubled=sum(doubled for _, doubled, _ in found),
            lost=0,
            longest_takeover_s=max(seconds for _, _, seconds in found),
        )
