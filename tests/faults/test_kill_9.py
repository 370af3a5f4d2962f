"""Row 3: kill -9 of workers, and of whole servers, under load."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import signal
import time

import apsw
import psutil
import pytest

from faults.apps import accepted
from faults.judge import TESTS, IdFile
from faults.table import LONG
from faults.traffic import Traffic
from processes import kill_group
from servers import Site, uvicorn
from waiting import eventually

pytestmark = pytest.mark.timeout(7_200 if LONG else 300)  # each kill costs a start, on a busy machine some seconds
ROUNDS = 200 if LONG else 10
SEED_VARIABLE = "CENTTRACK_FAULTS_SEED"

APP = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from pathlib import Path
from asgi import body, sending, start
from centtrack import TelemetryMiddleware
from faults.judge import IdFile

app = TelemetryMiddleware(
    sending(start(), body(b"hello")), policy="privacy.toml", sink=IdFile(Path("ids")), journal="state/journal.db"
)
"""


def test_kill_9_at_random_moments(tmp_path, row):
    seed = int(os.environ.get(SEED_VARIABLE) or secrets.randbits(32))
    print(f"\n{SEED_VARIABLE}={seed}")  # noqa: T201 - to do it again
    site, file = Site(tmp_path, app=APP), IdFile(tmp_path / "ids")
    killer = Killer(site, random.Random(seed))
    answered: list[str] = []
    while killer.rounds < ROUNDS:
        with uvicorn(site, "--workers", "2") as server, Traffic(server.port, prefix=f"/{killer.rounds}/") as traffic:
            killer.strike(server, rounds=min(5 if LONG else 10, ROUNDS - killer.rounds))
        answered += traffic.answered
        assert not traffic.refused
    with uvicorn(site) as server:
        server.get("/last")
        eventually(lambda: "/last" in file.paths())
        site.wait_for_delivery()
        server.stop()

    counts, ids = site.counts(), file.ids()
    assert counts.closes
    assert apsw.Connection(str(site.folder / "state" / "journal.db")).pragma("integrity_check") == "ok"
    assert len(ids) == accepted(counts) > ROUNDS
    assert len(file.doubled_batches()) <= killer.rounds  # what a killed one had on its way comes again
    row(
        3,
        f"{ROUNDS} rounds, uvicorn with 2 workers",
        processes_killed=killer.processes,
        answered=len(answered) + 1,
        accepted=accepted(counts),
        delivered=len(ids),
        lost=accepted(counts) - len(ids),
        doubled=ids.total() - len(ids),
        answered_but_not_yet_committed=len(set(answered) - set(file.paths())),
    )


class Killer:
    """Kills one worker, both, or all of a server."""

    def __init__(self, site, chance):
        self.rounds = self.processes = 0
        self._site = site
        self._chance = chance

    def strike(self, server, *, rounds):
        """Kill workers, which the server replaces, and the server in the end."""
        for left in reversed(range(rounds)):
            self._wait()
            workers = self._workers(server)
            self.rounds += 1
            if not left:
                self.processes += len(workers) + 1
                kill_group(server.process)
            self._chance.shuffle(workers)
            for pid in workers[: self._chance.choice([1, 1, 1, 2])]:
                self.processes += 1
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _wait(self):
        """Until a random moment: of the start, or of the load."""
        if self._chance.random() < 0.2:
            time.sleep(self._chance.uniform(0, 1))
        else:
            wanted = self._site.accepted() + 200
            eventually(lambda: self._site.accepted() > wanted)
            time.sleep(self._chance.uniform(0, 0.2))

    @staticmethod
    def _workers(server):
        """Those that live now: a killed one stands there until the server looks after it."""
        living = []
        for child in psutil.Process(server.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "spawn_main" in " ".join(child.cmdline()):
                    living.append(child.pid)
        return living
