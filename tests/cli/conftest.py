"""Runs the command line in this process, as `centtrack …` would."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from centtrack.cli.app import run


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch, capfd, tmp_path):
    """`cli("status")` → exit code and output. Runs in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> Result:
        monkeypatch.setattr("sys.argv", ["centtrack", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run()
        captured = capfd.readouterr()
        return Result(int(ended.value.code or 0), captured.out, captured.err)

    return call


LINES = [
    '203.0.113.7 - - [17/May/2015:10:05:03 +0000] "GET /plans HTTP/1.1" 200 1200 "https://www.google.com/" '
    '"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"',
    '203.0.113.8 - - [17/May/2015:10:05:09 +0000] "GET /plans HTTP/1.1" 200 1200 "-" '
    '"Mozilla/5.0 (compatible; GPTBot/1.3; +https://openai.com/gptbot)"',
    "no log line at all",
    '203.0.113.9 - frank [17/May/2015:10:07:01 +0000] "GET /logo.png HTTP/1.0" 304 -',
]


@pytest.fixture
def log(tmp_path):
    """A log of a person, a bot, a line that can't be read and a line in the Common format."""
    path = tmp_path / "access.log"
    path.write_text("\n".join(LINES) + "\n")
    return path


@pytest.fixture
def lake(cli, log):
    """A lake with that log in it."""
    assert cli("init", "--profile", "cent").code == 0
    assert cli("import", log, "--sink", "delta:lake", "--policy", "privacy.toml").code == 0
    return "delta:lake"
