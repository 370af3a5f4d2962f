"""`status`, and what the command as a whole prints."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import sqlite3
import struct
import subprocess
import sys
import termios

import pytest

import centtrack
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.paths import default_journal
from journals import accept
from processes import kill_group


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


@pytest.fixture
def journal():
    """A journal in the user's state folder, with trouble of all kinds, and many workers."""
    path = default_journal("", ["one"])
    opened = Journal(path)
    opened.open()
    for sink in ("one", "a sink with a long name, as URLs of object stores have it/and/more"):
        opened.register(sink)
    for number in range(5):
        worker = f"{number}-abcd"
        opened.begin_worker(worker, os.getpid())
        event = b'{"time":"2026-11-22T10:00:00Z"}'
        counts = {("offered", ""): 4, ("accepted", ""): 3, ("dropped", "queue_full"): 1}
        accept(opened, event, event, event, worker=worker, counts=counts)
        if number:
            opened.end_worker(worker)
    last = opened.next_batch("one", 6).last
    opened.advance("one", last, 2, [("rejected: no", b"{}")], {"consent": 1}, {"damaged": 2})
    opened.note_error("one", "RetryLater: [bold]busy\x1b[31m")
    opened.close()
    return path


def test_json_has_all_counters(cli, journal):
    (counts,) = json.loads(cli("status", "--json").out)
    sink = next(sink for sink in counts["sinks"] if sink["name"] == "one")
    del sink["oldest_s"]
    assert sink == {
        "name": "one", "accepted": 15, "delivered": 2, "dead_lettered": 1, "pending": 9, "withheld": {"consent": 1},
        "lost": {"damaged": 2}, "retries": 1, "error": "RetryLater: [bold]busy\x1b[31m", "closes": True,
    }  # fmt: skip
    assert (counts["set_aside"], counts["removed"], counts["closes"]) == ([], {}, True)
    assert counts["used_bytes"] > 0


@pytest.mark.parametrize("columns", [80, 120])
def test_tables_fit(cli, journal, columns, monkeypatch):
    """All numbers are there, on terminals narrow and wide, and nothing that a terminal would obey."""
    monkeypatch.setenv("COLUMNS", str(columns))
    out = cli("status", "--journal", journal).out
    row = next(line for line in out.splitlines() if line.strip().startswith("one "))
    assert row.split()[1:7] == ["15", "2", "1", "1", "2", "9"]
    assert "Withheld from one: 1 consent" in out
    assert "Lost for one: 2 damaged" in out
    assert "Trouble with one: RetryLater: [bold]busy\\x1b[31m" in out
    assert "Attempts that failed for one: 1" in out
    assert "\x1b" not in out
    tables = [line for line in out.splitlines() if line.startswith(" ")]
    assert max(map(len, tables)) <= columns
    assert sum("-abcd" in line for line in tables) == 5


def test_counters_that_do_not_close(cli, journal):
    with contextlib.closing(sqlite3.connect(journal)) as database, database:
        database.execute("update sink set delivered = delivered + 1 where name = 'one'")
    found = cli("status")
    assert (found.code, "don't close" in found.out) == (1, True)


def test_a_journal_that_cannot_be_read_does_not_stop_the_others(cli, journal):
    broken = default_journal("", ["broken"])
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no database")
    found = cli("status")
    assert (found.code, "The counters close" in found.out, str(broken) in found.err) == (0, True, True)
    assert len(json.loads(cli("status", "--json").out)) == 1
    journal.unlink()
    assert cli("status").code == 3


def test_what_was_set_aside_and_removed_is_said(cli, journal):
    with contextlib.closing(sqlite3.connect(journal)) as database, database:
        database.execute("insert into aside values ('journal.db.corrupt-1', 20000, 7)")
        database.execute("insert into aside values ('journal.db.corrupt-2', 20001, null)")
        database.execute("insert into lost values ('gone', 'unseen', 5)")
    out = cli("status").out
    assert "set aside on 2024-10-04 as journal.db.corrupt-1; 7 events were lost with it." in out
    assert "as journal.db.corrupt-2; nobody knows how many events were lost with it." in out
    assert "gone was removed, and 5 events that waited for it with it." in out


def heed_ctrl_c():
    """A shell that runs the tests in the background has its children ignore Ctrl-C, and theirs, too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def on_a_terminal(*arguments):
    """Run the command on a terminal of 24 lines and 80 columns: the process, and what reads its screen."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen(
        [sys.executable, "-m", "centtrack", *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, env={**environment, "TERM": "xterm"}, preexec_fn=heed_ctrl_c,
    )  # fmt: skip
    os.close(theirs)
    with process:
        try:
            yield process, ours
        finally:
            kill_group(process)
            os.close(ours)


def test_watch(journal):
    """It shows what changes, workers that ended in one row, until Ctrl-C."""
    with on_a_terminal("status", "--watch", "--every", "0.1", "--journal", journal) as (process, screen):
        shown = b""
        while b"4 workers" not in shown:
            shown += os.read(screen, 65_536)
        opened = Journal(journal)
        opened.open()
        accept(opened, *[b"{}"] * 12_345)
        opened.close()
        while b"12,354" not in shown:
            shown += os.read(screen, 65_536)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):
            while left := os.read(screen, 65_536):
                shown += left
        assert process.wait(30) == 0
        assert b"Traceback" not in shown


def test_watch_into_a_pipe_and_as_json(cli, journal):
    assert cli("status", "--watch", "--json").code == 2
    command = [sys.executable, "-m", "centtrack", "status", "--watch", "--every", "0.1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heed_ctrl_c
    ) as process:
        try:
            shown = ""
            while shown.count("The counters close") < 2:
                shown += process.stdout.readline()
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            assert process.wait(30) == 0
        finally:
            kill_group(process)


def test_as_a_module():
    ran = subprocess.run([sys.executable, "-m", "centtrack", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"centtrack {centtrack.__version__}\n"
