"""Calls with a time-out: whoever waits gets the answer, or is told in time that there is none."""

from __future__ import annotations

import threading

import pytest

from centtrack.delivery.sending import attempt as module
from centtrack.delivery.sending.attempt import MAX_GIVEN_UP, Attempts, NoAnswerError
from waiting import eventually


@pytest.fixture
def attempts():
    """Attempts whose first thread runs."""
    made = Attempts("attempts-under-test")
    made.start()
    yield made
    made.end()
    eventually(lambda: not threads())


@pytest.fixture
def gate():
    """What hanging calls wait for; opened at the end."""
    one = threading.Event()
    yield one
    one.set()


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "attempts-under-test"]


def test_calls_are_made_one_after_another_in_one_daemon_thread(attempts):
    seen = []
    for _ in range(3):
        attempts.make(lambda: seen.append(threading.current_thread()), 30)
    assert seen == threads() * 3
    assert seen[0].daemon
    assert seen[0] is not threading.current_thread()


class PanicError(BaseException):
    """As deltalake's PanicException: not an Exception."""


@pytest.mark.parametrize("timeout_s", [30, None])
@pytest.mark.parametrize("error", [ValueError("a"), PanicError("b"), SystemExit(1)], ids=repr)
def test_what_a_call_raises_comes_out_where_it_is_waited_for(attempts, error, timeout_s):
    def call():
        raise error

    with pytest.raises(type(error)) as caught:
        attempts.make(call, timeout_s)
    assert caught.value is error
    attempts.make(lambda: None, timeout_s)  # and the thread goes on


def test_a_call_without_an_answer_is_given_up(attempts, gate):
    ended = threading.Event()

    def hang():
        gate.wait()
        ended.set()

    with pytest.raises(NoAnswerError, match=r"no answer within 0\.05 s"):
        attempts.make(hang, 0.05)
    assert not attempts.is_stuck
    assert len(threads()) == 2  # the next one is there beforehand
    attempts.make(lambda: None, 30)
    gate.set()
    assert ended.wait(30)  # it comes to its end, and so does its thread
    eventually(lambda: len(threads()) == 1)


def test_no_more_than_so_many_hang_at_once(attempts, gate):
    for _ in range(MAX_GIVEN_UP):
        with pytest.raises(NoAnswerError, match="no answer within"):
            attempts.make(gate.wait, 0.01)
    assert attempts.is_stuck
    assert len(threads()) == MAX_GIVEN_UP
    with pytest.raises(NoAnswerError, match="4 attempts have had no answer"):
        attempts.make(pytest.fail, 0.01)
    gate.set()
    eventually(lambda: not attempts.is_stuck)
    attempts.make(lambda: None, 30)
    eventually(lambda: len(threads()) == 1)


def test_a_call_without_a_time_out_is_waited_for_and_said_to_hang(attempts, gate, monkeypatch):
    monkeypatch.setattr(module, "HANGS_AFTER_S", 0.01)
    said = []

    def on_hanging():
        said.append(True)
        if len(said) == 3:
            gate.set()

    attempts.make(gate.wait, None, on_hanging)
    assert len(said) >= 3
    assert len(threads()) == 1


def test_after_the_end_a_call_has_a_thread_again(attempts):
    """A deliverer's last act is to close its sink, whatever came before."""
    attempts.end()
    attempts.make(lambda: None, 30)
    eventually(lambda: len(threads()) == 1)
