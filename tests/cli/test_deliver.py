"""`centtrack deliver`: processes of their own, as a container would run them."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import httpx
import pytest

from asgi import serve
from centtrack import TelemetryMiddleware
from centtrack.delivery.journal.counters import read_counts
from centtrack.testing import make_scope
from processes import kill_group
from servers import free_port
from waiting import eventually

POLICY = """
[limits.default]
time = "second"
page = "path"
"""


pytestmark = pytest.mark.usefixtures("unhurried")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "privacy.toml").write_text(POLICY)


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def record(*paths, sink="jsonl:events.jsonl", **options):
    """What an app that doesn't deliver records. Returns its journal."""
    app = TelemetryMiddleware(answer, policy="privacy.toml", sink=sink, deliver=False, **options)
    assert app.problem is None, app.problem
    for path in paths:
        serve(app, make_scope(path), {"type": "http.request", "body": b""})
    app.pipeline.close()
    return app.pipeline.journal


@contextlib.contextmanager
def deliver(*options, sink="jsonl:events.jsonl", policy="privacy.toml"):
    """Run the command; its standard error is a pipe."""
    command = [sys.executable, "-m", "centtrack", "deliver", "--sink", sink, "--policy", policy, *map(str, options)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    with process:
        try:
            yield process
        finally:
            kill_group(process)


def end(process, within_s=30):
    """SIGTERM: its exit code, and what it logged."""
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=within_s)
    return process.returncode, log


def paths_in(file):
    """The paths of the events that arrived, in order. A line that is still being written has no end yet."""
    return [json.loads(line)["path"] for line in file.read_text().split("\n")[:-1]] if file.exists() else []


def wait_for(paths, file):
    eventually(lambda: sorted(paths_in(file)) == sorted(paths))


def test_it_brings_what_an_app_recorded(tmp_path):
    """By default it finds the app's journal: same folder, policy and sinks."""
    record("/a", "/b")
    with deliver() as process:
        eventually(lambda: paths_in(tmp_path / "events.jsonl") == ["/a", "/b"])
        record("/c")  # and goes on
        eventually(lambda: paths_in(tmp_path / "events.jsonl") == ["/a", "/b", "/c"])
        code, log = end(process)
    assert (code, "INFO delivering" in log, "INFO ended" in log) == (0, True, True)


def test_it_waits_for_the_journal_and_makes_none(tmp_path):
    port = free_port()
    with deliver("--journal", "state/journal.db", "--listen", port) as process:
        eventually(lambda: "no journal" in "".join(health(port)["problems"]))
        assert not (tmp_path / "state").exists()
        record("/a", journal="state/journal.db")
        eventually(lambda: paths_in(tmp_path / "events.jsonl") == ["/a"])
        eventually(lambda: health(port) == {"status": "ok", "problems": []})
        assert end(process)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_while_it_waits(number):
    port = free_port()
    with deliver("--listen", port) as process:
        eventually(lambda: health(port)["status"] == "degraded")
        process.send_signal(number)
        assert process.wait(30) == 0


def test_several_compete_and_one_takes_over(tmp_path):
    """Three processes, and one of them is killed: every event arrives once."""
    record("/0")
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(deliver()) for _ in range(3)]
        written = ["/0"]
        wait_for(written, tmp_path / "events.jsonl")
        for round_number, killed in enumerate(processes[:2], start=1):
            killed.kill()
            batch = [f"/{round_number}-{number}" for number in range(20)]
            record(*batch)
            written += batch
            wait_for(written, tmp_path / "events.jsonl")
        assert end(processes[2])[0] == 0
    [sink] = read_counts(record()).sinks
    assert (sink.accepted, sink.delivered, sink.pending, sink.closes) == (41, 41, 0, True)


def health(port):
    with contextlib.suppress(httpx.ConnectError):
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False, timeout=30).json()
    return {"status": "", "problems": []}


def test_health_and_metrics(tmp_path):
    """A sink that refuses makes it degraded; when it takes events again, no more."""
    (tmp_path / "events.jsonl").mkdir()
    record("/a", "/b")
    port = free_port()
    with deliver("--listen", f"127.0.0.1:{port}", "--log-format", "json") as process:
        refused = f"jsonl:{tmp_path / 'events.jsonl'} can't be delivered to"
        eventually(lambda: refused in "".join(health(port)["problems"]))
        found = health(port)
        assert (found["status"], len(found["problems"])) == ("degraded", 1)
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=30).text
        sink = f'{{sink="jsonl:{tmp_path / "events.jsonl"}"}}'
        assert f"centtrack_sink_pending_events{sink} 2.0" in metrics
        assert "centtrack_queue" not in metrics
        (tmp_path / "events.jsonl").rmdir()
        eventually(lambda: health(port)["status"] == "ok")
        code, log = end(process)
    lines = [json.loads(line) for line in log.splitlines()]
    assert code == 0
    assert {"time", "level", "logger", "message"} <= set.intersection(*(set(line) for line in lines))
    assert [line["sink"] for line in lines if line["level"] == "error"] == [f"jsonl:{tmp_path / 'events.jsonl'}"]


def test_a_sink_that_hangs_does_not_hold_up_the_end(tmp_path):
    """A pipe that nobody reads: what it didn't take stays in the journal."""
    os.mkfifo(tmp_path / "pipe")
    held = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        journal = record(*(f"/{number}" for number in range(200)), sink="jsonl:pipe")
        with deliver(sink="jsonl:pipe") as process:
            eventually(lambda: os.read(held, 1))
            code, log = end(process)
    finally:
        os.close(held)
    assert (code, "cut short" in log) == (0, True)
    [sink] = read_counts(journal).sinks
    assert (sink.accepted, sink.pending, sink.closes) == (200, 200, True)


THIRD = """
[[sinks]]
name = "jsonl:elsewhere.jsonl"
party = "third"
purposes = ["analytics"]
retention = 30
"""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "no sink: say where events go"),
        (["--sink", "nowhere:x"], '"nowhere:" names no sink'),
        (["--sink", "jsonl:a", "--sink", "jsonl:a"], "two sinks are named"),
        (["--sink", "jsonl:a", "--policy", "missing.toml"], "can't read the policy missing.toml"),
        (["--sink", "jsonl:a", "--policy", "bad.toml"], "bad.toml has 1 error"),
        (["--sink", "jsonl:a", "--listen", "everywhere"], '"everywhere" is no address to listen on'),
        (["--sink", "jsonl:a", "--listen", "192.0.2.1:1"], "can't listen on 192.0.2.1:1"),
    ],
)
def test_wrong_use(cli, tmp_path, options, message):
    (tmp_path / "bad.toml").write_text("[limits]\nnonsense = 1\n")
    found = cli("deliver", *options)
    assert (found.code, message in found.err) == (2, True), found.err


def test_the_sink_gets_the_columns_that_the_policy_lets_it_have(tmp_path):
    entry = '[[sinks]]\nname = "jsonl:events.jsonl"\nfields = ["path"]\n'
    (tmp_path / "privacy.toml").write_text(POLICY + entry)
    record("/a", "/b")
    events = tmp_path / "events.jsonl"
    with deliver() as process:
        wait_for(["/a", "/b"], events)
        assert end(process)[0] == 0
    assert {(line["method"], line["name"]) for line in map(json.loads, events.read_text().splitlines())} == {
        (None, "request")
    }


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ('[recipients]\nundeclared_sinks = "refuse"\n', "has no entry in [[sinks]]"),
        ('[recipients]\npersonal_data_in = ["KZ"]\n', "no country is stated for it"),
    ],
)
def test_a_sink_that_the_policy_forbids_is_refused(cli, tmp_path, rules, message):
    (tmp_path / "privacy.toml").write_text(POLICY + rules)
    found = cli("deliver", "--sink", "jsonl:a", "--policy", "privacy.toml")
    assert (found.code, message in found.err) == (2, True), found.err


def test_a_third_party_that_is_not_named_right_is_refused(cli, tmp_path):
    (tmp_path / "privacy.toml").write_text(POLICY + THIRD)
    found = cli("deliver", "--sink", "jsonl:a", "--policy", "privacy.toml")
    assert (found.code, "as a third party's" in found.err) == (2, True), found.err
