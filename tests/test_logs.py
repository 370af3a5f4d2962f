"""Lines that may come again and again: one a minute of a kind, with a count of the rest, and no visitors' data."""

from __future__ import annotations

import gc
import json
import logging
import os
import threading

import apsw
import pytest

from centtrack import logs
from centtrack.errors import JournalError, RetryLater
from centtrack.logs import JsonFormatter, describe, forget, report

SECRET = "ivan@mail.example"
logger = logging.getLogger("centtrack.tests")


@pytest.fixture(autouse=True)
def _all_levels(caplog):
    caplog.set_level(logging.DEBUG)


def report_down(sink: str = "lake", *, count: int = 7) -> None:
    report(logger, logging.WARNING, "sink_down", "delivery to %s fails", sink, sink=sink, count=count)


def let_a_minute_pass(monkeypatch) -> None:
    monkeypatch.setattr(logs, "EVERY_S", 0.0)


def test_a_line_has_its_text_its_place_and_its_fields(caplog):
    report_down()
    (record,) = caplog.records
    assert record.getMessage() == "delivery to lake fails"
    assert record.levelno == logging.WARNING
    assert record.centtrack == {"event": "sink_down", "sink": "lake", "count": 7}
    assert (record.filename, record.funcName) == ("test_logs.py", "report_down")


def test_the_next_line_says_how_many_were_left_out(caplog, monkeypatch):
    for count in range(5):
        report_down(count=count)
    assert len(caplog.records) == 1
    let_a_minute_pass(monkeypatch)
    report_down()
    report_down()
    texts = [record.getMessage() for record in caplog.records[1:]]
    assert texts == ["delivery to lake fails (4 more like it since the last such line)", "delivery to lake fails"]
    assert [record.centtrack.get("suppressed") for record in caplog.records] == [None, 4, None]


def test_a_text_without_values_may_have_a_percent_sign(caplog, monkeypatch):
    for _ in range(2):
        report(logger, logging.ERROR, "full", "the disk is 100% full")
    let_a_minute_pass(monkeypatch)
    report(logger, logging.ERROR, "full", "the disk is 100% full")
    assert caplog.messages == [
        "the disk is 100% full",
        "the disk is 100% full (1 more like it since the last such line)",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"sink": "a"}, {"sink": "b"}),
        ({"path": "a.mmdb"}, {"path": "b.mmdb"}),
        ({"sink": "a", "path": "x"}, {"sink": "a", "path": "y"}),
    ],
)
def test_sinks_and_files_have_lines_of_their_own(caplog, one, other):
    for fields in (one, other, one):
        report(logger, logging.ERROR, "trouble", "trouble", **fields)
    assert [record.centtrack for record in caplog.records] == [
        {"event": "trouble", **one},
        {"event": "trouble", **other},
    ]


def test_a_line_that_nobody_wants_is_not_counted(caplog, monkeypatch):
    caplog.set_level(logging.ERROR)
    for _ in range(3):
        report_down()
    caplog.set_level(logging.WARNING)
    report_down()
    assert caplog.messages == ["delivery to lake fails"]


def test_kinds_without_end_take_bounded_memory_and_lines(caplog):
    for number in range(2_000):
        report_down(str(number))
    assert len(caplog.records) < 300


def test_who_reports_learns_whether_the_line_was_written(monkeypatch, caplog):
    """So that what says it is over is written exactly if that it began was."""

    def is_written() -> bool:
        return report(logger, logging.INFO, "began", "began")

    assert [is_written(), is_written()] == [True, False]
    let_a_minute_pass(monkeypatch)
    assert is_written()
    caplog.set_level(logging.WARNING)
    assert not is_written()


def test_old_kinds_make_room(caplog, monkeypatch):
    for number in range(300):
        report_down(str(number))
    before = len(caplog.records)
    let_a_minute_pass(monkeypatch)
    for number in range(300, 310):
        report_down(str(number))
    assert len(caplog.records) == before + 10


def test_a_handler_of_the_app_that_fails_harms_nobody():
    class Broken(logging.Handler):
        def emit(self, _record):
            raise OSError("no disk")

    broken = Broken()
    logger.addHandler(broken)
    try:
        report_down()
    finally:
        logger.removeHandler(broken)


def test_many_threads_write_one_line(caplog, monkeypatch):
    threads = [threading.Thread(target=lambda: [report_down() for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    let_a_minute_pass(monkeypatch)
    report_down()
    assert [record.centtrack.get("suppressed") for record in caplog.records] == [None, 8 * 50 - 1]


def test_a_line_may_be_written_while_one_is_written(caplog):
    """As by a finalizer, which the garbage collector may run at any place."""

    class Text(str):
        __slots__ = ()

        def __hash__(self):
            report_down()
            gc.collect()
            return super().__hash__()

    report(logger, logging.ERROR, Text("outer"), "outer")
    assert sorted(caplog.messages) == ["delivery to lake fails", "outer"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_process_begins_anew_even_if_a_thread_held_the_lock(capfd):
    report_down()
    holds, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with logs._limiter._lock:
            holds.set()
            may_end.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    holds.wait(30)
    child = os.fork()
    if child == 0:
        handler = logging.StreamHandler(os.fdopen(2, "w", closefd=False))
        logger.addHandler(handler)
        logger.propagate = False
        threading.Timer(20, os._exit, [3]).start()  # a hang ends, and fails
        report_down()
        handler.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    may_end.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0
    assert "delivery to lake fails\n" in capfd.readouterr().err


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001
        return caught


class ServerError(OSError):
    """As clients of servers define them: their texts may hold what was sent."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (JournalError("the journal is full"), "JournalError: the journal is full"),
        (RetryLater("busy\nfor\r\n now"), "RetryLater: busy for now"),
        (RetryLater(), "RetryLater"),
        (RetryLater("x" * 9_000), "RetryLater: " + "x" * 500),
        (apsw.FullError("database or disk is full"), "FullError: database or disk is full"),
        (FileNotFoundError(2, "No such file or directory", SECRET), "FileNotFoundError: No such file or directory"),
        (ConnectionResetError(104, "Connection reset by peer"), "ConnectionResetError: Connection reset by peer"),
        (OSError(SECRET), "OSError"),
        (ServerError(5, SECRET), "ServerError"),
        (KeyError(SECRET), "KeyError"),
        (UnicodeEncodeError("ascii", SECRET, 0, 1, SECRET), "UnicodeEncodeError"),
        (SystemExit(SECRET), "SystemExit"),
    ],
)
def test_an_error_is_described_without_visitors_data(error, expected):
    assert describe(error) == expected


@pytest.mark.parametrize("error", [KeyError(SECRET), ServerError(5, SECRET), ValueError(SECRET)])
def test_of_others_errors_the_place_is_told(error):
    line = raised.__code__.co_firstlineno + 2
    assert describe(raised(error)) == f"{type(error).__name__} at test_logs.py:{line}"


def as_json(record: logging.LogRecord) -> dict[str, object]:
    text = JsonFormatter().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_as_json_a_line_has_the_fields_beside_its_text(caplog):
    report_down("a\nb")
    (record,) = caplog.records
    line = as_json(record)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "centtrack.tests",
        "event": "sink_down",
        "message": "delivery to a\nb fails",
        "sink": "a\nb",
        "count": 7,
    }


def test_as_json_others_lines_have_no_fields_and_no_traceback(caplog):
    try:
        raise KeyError(SECRET)
    except KeyError:
        logging.getLogger("others").exception("failed: %d%%", 5)
    (record,) = caplog.records
    line = as_json(record)
    assert (line["message"], line["level"], line["logger"]) == ("failed: 5%", "error", "others")
    assert line["error"].startswith("KeyError at test_logs.py:")
    assert SECRET not in JsonFormatter().format(record)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**62, 2**62),
        (2**64, str(2**64)),
        (1.5, 1.5),
        (float("nan"), None),
        ("\ud800", "\\ud800"),
        (b"x", "b'x'"),
        (("a", "b"), "('a', 'b')"),
    ],
)
def test_any_field_becomes_json(caplog, value, expected):
    report(logger, logging.INFO, "odd", "odd \ud800", value=value, time="mine")
    (record,) = caplog.records
    line = as_json(record)
    assert line["value"] == expected
    assert line["message"] == "odd \\ud800"
    assert line["time"] != "mine"


def test_what_was_written_can_be_forgotten(caplog):
    for _ in range(2):
        report_down()
        forget()
    assert len(caplog.records) == 2
