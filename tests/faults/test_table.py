"""The fault matrix, as it is reported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from centtrack.errors import ConfigurationError, Rejected, RetryLater
from centtrack.sinks.base import Batch
from faults import table
from faults.judge import CountingSink, Judge, JudgeSink

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


def batch(*ids):
    return Batch(lines=b"".join(b'{"event_id":"%s"}\n' % name.encode() for name in ids))


def numbers_in(page):
    return {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}


def test_the_page_has_every_row():
    assert numbers_in(PAGE.read_text()) == set(range(1, 33))


def test_the_last_result_of_a_fault_counts(tmp_path, monkeypatch, capsys):
    path = tmp_path / "report.jsonl"
    monkeypatch.setenv(table.REPORT_VARIABLE, str(path))
    table.report(3, "20 rounds", {"accepted": 1_000, "lost": 1})
    table.report(3, "20 rounds", {"accepted": 2_000, "lost": 0})
    table.report(28, "version 99", {"error_said": "yes"})
    assert "accepted 2,000; lost 0" in capsys.readouterr().out
    page = table.render(table.read_results(path))
    assert "| 20 rounds | accepted 2,000; lost 0" in page
    assert "| version 99 | error said yes" in page
    assert "lost 1" not in page
    assert numbers_in(page) == set(range(1, 33))


def test_a_sink_that_counts():
    sink = CountingSink()
    sink.write(batch("a", "b"))
    sink.write(batch("b"))
    assert sink.verdict == (3, 2, 2)
    assert sink.verdict.doubled == 1


def test_a_judge_that_misbehaves(judge: Judge):
    sink = JudgeSink(judge.port)
    sink.write(batch("a", "b"))
    for how, text, raised in [("429", "2", RetryLater), ("401", "", ConfigurationError), ("400", "c", Rejected)]:
        judge.behave(how, text=text)
        with pytest.raises(raised):
            sink.write(batch("c"))
    judge.behave("refuse")
    with pytest.raises(ConnectionError):
        sink.write(batch("d"))
    judge.behave("drop", times=1)
    with pytest.raises(ConnectionError):
        sink.write(batch("e"))
    sink.write(batch("e"))
    assert judge.verdict() == (4, 3, 3)
    assert judge.ids() == {"a": 1, "b": 1, "e": 2}
    assert judge.attempts() == 6
    assert [count for _, count in judge.arrivals()] == [2, 1, 1]
