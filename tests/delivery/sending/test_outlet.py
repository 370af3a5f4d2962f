"""A sink as the deliverer uses it: opened anew after a failure, and never asked twice for what it took."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.delivery.sending.attempt import NoAnswerError
from centtrack.delivery.sending.outlet import Outlet
from centtrack.errors import Rejected, RetryLater
from centtrack.sinks.base import Batch, CallableSink, name_of
from centtrack.testing import make_event
from delivering import Scripted
from waiting import eventually


@pytest.fixture
def outlet():
    """Makes an outlet that is ended with the test: `outlet(sink)`."""
    made = []

    def make(sink):
        made.append(Outlet(sink, lambda: None))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def gate():
    """What hanging calls wait for; opened at the end."""
    one = threading.Event()
    yield one
    one.set()


def batch_of(*paths, sequence=1, repeated=False):
    return Batch([make_event(path=path) for path in paths], stream="j/s", sequence=sequence, repeated=repeated)


def threads_of(sink):
    return [thread for thread in threading.enumerate() if thread.name == f"centtrack-write-{name_of(sink)}"]


def paths_of(events):
    return [event.path for event in events]


def test_it_is_opened_once_and_again_after_it_was_closed(outlet):
    sink = Scripted()
    one = outlet(sink)
    one.close()  # not opened yet
    for sequence in (1, 2):
        one.open()
        one.write(batch_of("/", sequence=sequence), 1)
    one.close()
    one.close()
    one.open()
    assert sink.calls == ["open", "write", "write", "close", "open"]


def test_open_and_close_may_be_left_out(outlet):
    got = []
    one = outlet(CallableSink(got.append))
    one.open()
    one.write(batch_of("/"), 1)
    one.close()
    assert len(got) == 1


def test_an_empty_batch_is_not_written(outlet):
    sink = Scripted()
    assert outlet(sink).write(batch_of(), 0) == []
    assert sink.calls == []


class PanicError(BaseException):
    """As deltalake's PanicException: not an Exception."""


@pytest.mark.parametrize("error", [OSError("close"), PanicError()], ids=repr)
def test_closing_never_fails(outlet, error):
    class Sink(Scripted):
        def close(self):
            raise error

    one = outlet(Sink())
    one.open()
    one.close()


def test_a_closing_that_hangs_is_left_alone(outlet, gate, monkeypatch):
    monkeypatch.setattr("centtrack.delivery.sending.outlet._CLOSE_WITHIN_S", 0.01)

    class Sink(Scripted):
        def close(self):
            gate.wait(60)

    sink = Sink()
    one = outlet(sink)
    one.open()
    one.close()
    one.open()
    assert sink.calls == ["open", "open"]


class Picky:
    """Rejects a batch with a bad event, and can't tell a repeated one."""

    def __init__(self, fail_at=None):
        self.events = []
        self.writes = 0
        self.fail_at = fail_at
        self.seen = set()

    def write(self, events):
        assert (events.stream, events.sequence) not in self.seen
        self.writes += 1
        if self.writes == self.fail_at:
            raise RetryLater
        if any(event.path == "bad" for event in events):
            raise Rejected("it is bad")
        self.seen.add((events.stream, events.sequence))
        self.events.extend(events)


@given(bad=st.lists(st.booleans(), min_size=1, max_size=40), fail_at=st.integers(1, 60))
def test_each_event_is_taken_once_or_rejected_also_if_an_attempt_fails_in_the_middle(bad, fail_at):
    batch = batch_of(*("bad" if is_bad else str(number) for number, is_bad in enumerate(bad)))
    sink = Picky(fail_at)
    one = Outlet(sink, lambda: None)
    try:
        try:
            rejected = one.write(batch, len(batch))
        except RetryLater:
            rejected = one.write(batch, len(batch))
    finally:
        one.end()
    assert paths_of(sink.events) == [event.path for event in batch if event.path != "bad"]
    assert [reason for reason, _ in rejected] == ["rejected: it is bad"] * sum(bad)


def test_parts_are_named_by_what_they_hold():
    """A restart under another policy may find fewer events in the same rows: no part may pass for another."""
    streams = []
    for paths in (("a", "bad", "c", "d"), ("bad", "c", "d"), ("a", "bad", "c", "d")):
        events = [make_event(event_id=path, path=path) for path in paths]
        sink = Picky()
        one = Outlet(sink, lambda: None)
        one.write(Batch(events, stream="j/s", sequence=7), len(events))
        one.end()
        streams.append(sink.seen)
    assert streams[0] == streams[2]
    assert len(streams[0] & streams[1]) == 1  # c and d together, in both
    assert all(stream.startswith("j/s/7:") for stream, _ in streams[0])


def test_an_attempt_that_was_given_up_counts_if_it_works_after_all(outlet, gate):
    """A sink that is merely slow would else get the same batch for ever."""
    sink = Scripted(gate)
    one = outlet(sink)
    one.open()
    sink.timeout_s = 0.01
    batch = batch_of("a", "b")
    with pytest.raises(NoAnswerError):
        one.write(batch, 2)
    sink.timeout_s = 30
    gate.set()
    eventually(lambda: len(threads_of(sink)) == 1)
    assert one.write(batch, 2) == []
    assert sink.calls.count("write") == 1


def test_a_sink_that_is_slower_than_its_time_out_gets_done(outlet):
    """Although closing it makes each attempt fail that is given up."""

    class Slow(Scripted):
        def __init__(self):
            super().__init__(timeout_s=0.05)
            self.is_closed = threading.Event()

        def open(self):
            self.is_closed.clear()

        def close(self):
            self.is_closed.set()

        def write(self, events):
            if self.is_closed.wait(0.15):
                raise OSError("closed meanwhile")
            super().write(events)

    sink = Slow()
    one = outlet(sink)

    def write(batch):
        try:
            one.open()
            return one.write(batch, len(batch)) == []
        except (NoAnswerError, OSError):
            one.close()
            return False

    first, second = batch_of("a", "b"), batch_of("c", sequence=2)
    eventually(lambda: write(first))
    eventually(lambda: write(second))
    assert paths_of(sink.events) == ["a", "b", "c"]


def test_a_rejection_that_comes_late_counts_too(outlet, gate):
    class Slow(Picky):
        timeout_s = 0.01

        def write(self, events):
            if not self.writes:
                self.writes += 1
                gate.wait(60)
                raise Rejected("late")
            super().write(events)

    sink = Slow()
    one = outlet(sink)
    batch = batch_of("a", "bad")
    with pytest.raises(NoAnswerError):
        one.write(batch, 2)
    sink.timeout_s = 30
    gate.set()
    eventually(lambda: len(threads_of(sink)) == 1)
    [(reason, _)] = one.write(batch, 2)
    assert reason == "rejected: it is bad"
    assert paths_of(sink.events) == ["a"]


def test_another_batch_is_not_taken_for_the_one_before(outlet, gate):
    sink = Scripted(gate, timeout_s=0.01)
    one = outlet(sink)
    with pytest.raises(NoAnswerError):
        one.write(batch_of("a"), 1)
    sink.timeout_s = 30
    one.write(batch_of("b", sequence=2), 1)
    gate.set()
    eventually(lambda: paths_of(sink.events) == ["b", "a"])
    one.write(batch_of("c", sequence=3), 1)
    one.write(batch_of("d", "e", sequence=3), 2)  # the same rows, of which some may be delivered no more
    assert paths_of(sink.events) == ["b", "a", "c", "d", "e"]
