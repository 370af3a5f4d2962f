"""`centtrack deliver --from`: processes of their own, and what they say when they are called wrongly."""

import contextlib
import json
import signal
import subprocess
import sys

import httpx
import pytest

from processes import kill_group
from servers import free_port
from topics import Lake, Topic
from waiting import eventually

POLICY = """
[limits.default]
time = "second"
page = "path"
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "privacy.toml").write_text(POLICY)


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


@contextlib.contextmanager
def deliver(url, lake, *options):
    """Run the command; its standard error is a pipe."""
    command = [sys.executable, "-m", "centtrack", "deliver", "--from", url, "--sink", lake.url, "--policy"]
    process = subprocess.Popen(
        [*command, "privacy.toml", *map(str, options)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        try:
            yield process
        finally:
            kill_group(process)


def end(process):
    """SIGTERM: its exit code, and what it logged."""
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    return process.returncode, log


def ask(port, path):
    with contextlib.suppress(httpx.ConnectError):
        return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=30).text
    return "{}"


def test_it_feeds_a_lake_and_says_how_it_does(kafka, lake):
    topic, port = Topic(kafka), free_port()
    ids = topic.fill(100)
    topic.produce(b"no event")
    with deliver(topic.url, lake, "--listen", port, "--log-format", "json") as process:
        eventually(lambda: lake.ids() == dict.fromkeys(ids, 1), 60)
        eventually(lambda: 'centtrack_consumer_lag_messages{partition="0"} 0.0' in ask(port, "/metrics"))
        metrics = ask(port, "/metrics")
        assert json.loads(ask(port, "/healthz")) == {"status": "ok", "problems": []}
        code, log = end(process)
    assert f'centtrack_sink_delivered_total{{sink="{lake.url}"}} 100.0' in metrics
    assert "centtrack_consumer_dead_letters_total 1.0" in metrics
    lines = [json.loads(line) for line in log.splitlines()]
    assert code == 0
    assert [line["event"] for line in lines if line["level"] == "error"] == ["dead_letters"]
    assert "no event" not in log


def test_it_waits_for_brokers_and_ends_when_asked(lake):
    port = free_port()
    with deliver(f"kafka://127.0.0.1:{free_port()}/events", lake, "--listen", port) as process:
        eventually(lambda: "can't be read: no broker has answered yet" in ask(port, "/healthz"))
        assert json.loads(ask(port, "/healthz"))["status"] == "degraded"
        assert end(process)[0] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--from", "kafka://h/t", "--sink", "delta:a", "--sink", "delta:b"], "--from feeds one sink"),
        (["--from", "kafka://h/t", "--sink", "delta:a", "--journal", "j"], "leave one of them out"),
        (["--from", "redis://h/t", "--sink", "delta:a"], "kafka://HOST"),
        (["--from", "kafka://app:geheim@h/", "--sink", "delta:a"], "needs a topic"),
        (["--from", "kafka://app:geheim@h/t?grup=x", "--sink", "delta:a"], "no option 'grup'"),
    ],
)
def test_wrong_use(cli, options, message):
    found = cli("deliver", *options)
    assert (found.code, message in found.err, "geheim" in found.err) == (2, True, False), found.err


def test_topics_are_looked_for_at_start(cli, kafka):
    Topic(kafka)  # then the brokers answer: while none does, it waits for one
    found = cli("deliver", "--from", f"kafka://{kafka.servers}/nowhere", "--sink", "delta:a")
    assert (found.code, "--create --topic nowhere" in found.err) == (2, True), found.err
