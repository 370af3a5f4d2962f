"""`status`, and what the command as a whole prints."""

import json
import subprocess
import sys

import centtrack


def test_nothing_has_run(cli):
    assert "nothing has run here yet" in cli("status").out


def test_status_as_json(cli, lake):
    (counts,) = json.loads(cli("status", "--json").out)
    assert counts["closes"] is True
    (worker,) = counts["workers"]
    assert (worker["offered"], worker["accepted"], worker["dropped"]) == (4, 3, {"unreadable_line": 1})
    (sink,) = counts["sinks"]
    assert (sink["accepted"], sink["delivered"], sink["pending"], sink["closes"]) == (3, 3, 0, True)


def test_status_of_a_journal_that_is_not_there(cli):
    missing = cli("status", "--journal", "nowhere.db")
    assert (missing.code, "no journal at nowhere.db" in missing.err) == (3, True)


def test_as_a_module():
    ran = subprocess.run([sys.executable, "-m", "centtrack", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"centtrack {centtrack.__version__}\n"
