"""The benchmarks of sinks run, in a short form. How fast anything is, isn't asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "benchmarks"
MISSED, WRONG_USE, MISSING = 1, 2, 3  # exit codes
SINKS = ["jsonl", "delta", "postgresql", "clickhouse", "redis", "otlp+http", "https"]  # the others take long to start
_LOSING = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import sinks

class Losing(sinks.Jsonl):
    def count(self):
        return super().count() - 1

sinks.TARGETS["jsonl"] = Losing
sys.exit(sinks.main())
"""


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=110, check=False)


def test_sinks_and_bare_clients_bring_all_events_to_their_servers():
    done = run(FOLDER / "sinks.py", "--sinks", ",".join(SINKS), "--events", "500", "--rounds", "1", "--json")
    assert done.returncode in {0, MISSED}, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["sink"] for row in rows] == SINKS
    assert all(row["ratio"] > 0 and row["ours_cpu_us"] > 0 for row in rows)


def test_an_event_that_is_missing_is_told():
    done = run("-c", _LOSING, FOLDER, "--sinks", "jsonl", "--events", "500", "--rounds", "1")
    assert done.returncode == MISSING
    assert "jsonl: 499 of 500 events are there" in done.stderr
    assert "target" not in done.stdout


def test_what_an_event_takes():
    done = run(FOLDER / "sinks.py", "--sinks", "jsonl,delta,https", "--events", "500", "--sizes", "--json")
    assert done.returncode == 0, done.stderr
    sizes = {row["place"]: row["bytes_an_event"] for row in json.loads(done.stdout)}
    assert sizes.keys() == {"jsonl", "delta"}  # what a receiver keeps isn't known
    assert 0 < sizes["delta"] < sizes["jsonl"]


def test_an_unknown_sink_is_refused():
    done = run(FOLDER / "sinks.py", "--sinks", "jsonl,mysql")
    assert done.returncode == WRONG_USE
    assert "there is no mysql; there are jsonl, delta," in done.stderr


def test_stages_of_a_host():
    done = run(FOLDER / "stages.py", "--no-feed", "--events", "500", "--rounds", "1", "--json")
    assert done.returncode == 0, done.stderr
    stages = json.loads(done.stdout)
    assert len(stages) == 5
    assert all(stage["per_second"] > 0 for stage in stages)
