"""The carrier: every event reaches the sink, whatever the sink does, or is counted."""

from __future__ import annotations

import threading
from functools import partial

import msgspec
import pytest

from centtrack import PrivacyPolicy
from centtrack.delivery.sending import attempt, carrier
from centtrack.delivery.sending.attempt import MAX_GIVEN_UP
from centtrack.errors import ConfigurationError, MissingExtraError, RetryLater
from centtrack.testing import MemorySink, make_event
from delivering import Flaky, Impatient, Picky, Scripted, accept, counts_of, ids, letters
from waiting import eventually


class PanicError(BaseException):
    """As deltalake's PanicException: not an Exception."""


@pytest.mark.parametrize(
    "error",
    [RetryLater("busy"), RetryLater("busy", after_s=0.1), OSError("no route"), ValueError("a bug"), PanicError("rust")],
    ids=repr,
)
@pytest.mark.parametrize("is_written", [False, True], ids=["before writing", "after writing"])
def test_a_sink_that_fails_and_works_again_gets_everything(journal, deliver, error, is_written):
    sink = Flaky(error, after=is_written)
    deliver(sink)
    events = accept(journal, *(make_event() for _ in range(250)))
    eventually(lambda: counts_of(journal, sink.name).delivered == 250)
    assert ids(sink.events) == ids(events)
    [first, *others] = sink.batches
    assert [batch[0] for batch in others[:2]] == [first[0]] * 2  # the same bounds until it is done
    assert [batch[1] for batch in sink.batches[:3]] == [False, True, True]
    assert (counts_of(journal, sink.name).error, counts_of(journal, sink.name).closes) == (None, True)


def test_trouble_is_said_once_and_shown_in_the_status(journal, deliver, caplog):
    sink = Flaky(RetryLater("the cluster is down"), times=1_000)
    deliver(sink)
    accept(journal, make_event())
    eventually(lambda: len(sink.batches) >= 3)
    assert counts_of(journal, "flaky").error == "RetryLater: the cluster is down"
    assert [record.getMessage() for record in caplog.records] == [
        "delivery to flaky fails and is tried again: RetryLater: the cluster is down"
    ]
    sink.errors.clear()
    eventually(lambda: counts_of(journal, "flaky").error is None)


def test_opening_is_tried_until_it_works(journal, deliver):
    class Sink(MemorySink):
        opened = 0

        def open(self):
            self.opened += 1
            if self.opened < 3:
                raise PanicError if self.opened == 1 else OSError

    sink = Sink()
    deliver(sink)
    accept(journal, make_event())
    assert len(sink.wait(1, 30)) == 1
    assert sink.opened == 3


@pytest.mark.parametrize("at", [0, 1, 49, 50, 99])
def test_one_bad_event_in_a_hundred(journal, deliver, at):
    sink = Picky()
    events = [make_event(path="poison" if number == at else "/") for number in range(100)]
    journal.register(sink.name)
    accept(journal, *events)
    deliver(sink)
    eventually(lambda: counts_of(journal, sink.name).pending == 0)
    assert ids(sink.events) == ids(events[:at] + events[at + 1 :])
    assert letters(journal) == [("picky", "rejected: no poison", msgspec.json.encode(events[at]))]
    counts = counts_of(journal, sink.name)
    assert (counts.accepted, counts.delivered, counts.dead_lettered, counts.closes) == (100, 99, 1, True)


def test_a_batch_of_bad_events_only(journal, deliver):
    sink = Picky()
    journal.register(sink.name)
    accept(journal, *(make_event(path="poison") for _ in range(7)))
    deliver(sink)
    eventually(lambda: counts_of(journal, sink.name).dead_lettered == 7)
    accept(journal, make_event())
    eventually(lambda: len(sink.events) == 1)


def test_a_sink_that_leaves_while_a_batch_is_halved(journal, deliver):
    """The halves that were taken are not taken again, the others are not left out."""
    sink = Picky()
    sink.is_away = True
    events = [make_event(path="poison" if number == 10 else "/") for number in range(100)]
    journal.register(sink.name)
    accept(journal, *events)
    deliver(sink)
    eventually(lambda: counts_of(journal, sink.name).pending == 0)
    assert not sink.is_away
    assert ids(sink.events) == ids(event for event in events if event.path == "/")
    assert counts_of(journal, sink.name).dead_lettered == 1


THIRD = PrivacyPolicy.parse("\n".join(f'[[sinks]]\nname = "{name}"\nparty = "third"\n' for name in ("picky", "flaky")))


def visit(path, policy=THIRD, **columns):
    """An event of a visitor who agreed, unless the path says otherwise."""
    columns = {"consent": {"analytics": "given"}, "consent_source": "cookie", "time_precision": "second"} | columns
    columns |= {"/consent": {"consent": {}}, "/signal": {"gpc": True}}.get(path, {})
    return make_event(path=path, policy_hash=policy.hash, **columns)


def test_what_is_withheld_is_counted_by_reason_and_never_written(journal, deliver):
    first, third = MemorySink(), Picky()
    events = [visit(path) for path in ["/", "/consent", "/", "/signal", "/consent", "/"]]
    journal.register(third.name)
    deliver(first, policy=THIRD)
    accept(journal, *events, row=2)
    deliver(third, policy=THIRD)
    eventually(lambda: counts_of(journal, "picky").pending == 0)
    assert ids(third.events) == ids(event for event in events if event.path == "/")
    assert len(first.wait(6, 30)) == 6
    counts = counts_of(journal, "picky")
    assert (counts.accepted, counts.delivered, counts.withheld) == (6, 3, {"consent": 2, "signal": 1})
    assert counts.closes
    assert counts_of(journal, first.name).withheld == {}


def test_a_batch_of_which_all_is_withheld_is_not_written(journal, deliver):
    sink = Flaky(OSError("nothing should come"))
    deliver(sink, policy=THIRD)
    accept(journal, *(visit("/consent") for _ in range(5)), b"not json")
    eventually(lambda: counts_of(journal, "flaky").pending == 0)
    counts = counts_of(journal, "flaky")
    assert (counts.delivered, counts.withheld, counts.dead_lettered, sink.batches) == (0, {"consent": 5}, 1, [])
    assert counts.closes


@pytest.mark.parametrize("is_written", [False, True], ids=["before writing", "after writing"])
def test_a_repeated_batch_has_the_same_events_and_is_counted_once(journal, deliver, is_written):
    sink = Flaky(RetryLater("busy"), after=is_written)
    journal.register(sink.name)
    accept(journal, *(visit(path) for path in ["/", "/consent"] * 20))
    deliver(sink, policy=THIRD)
    eventually(lambda: counts_of(journal, "flaky").pending == 0)
    assert {size for _, _, size in sink.batches} == {20}
    assert len({sequence for sequence, _, _ in sink.batches}) == 1
    counts = counts_of(journal, "flaky")
    assert (counts.delivered, counts.withheld, len(sink.events), counts.closes) == (20, {"consent": 20}, 20, True)


def test_a_bad_event_among_withheld_ones(journal, deliver):
    sink = Picky()
    journal.register(sink.name)
    accept(journal, *(visit(path) for path in ["/consent", "/", "poison", "/signal", "/"]))
    deliver(sink, policy=THIRD)
    eventually(lambda: counts_of(journal, "picky").pending == 0)
    counts = counts_of(journal, "picky")
    assert (counts.delivered, counts.dead_lettered, sum(counts.withheld.values()), counts.closes) == (2, 1, 2, True)


@pytest.mark.parametrize(
    "unreadable",
    [
        b"not json",
        b"{}",
        b'{"event_id": 1}',
        b"\xff\xfe",
        b'"time_precision":"second"',
    ],  # the last: seen only by the sink
    ids=repr,
)
def test_what_cannot_be_read_is_a_dead_letter(journal, deliver, unreadable):
    exact = partial(make_event, time_precision="second")
    sink = MemorySink()
    deliver(sink)
    good = accept(journal, exact(), exact())
    eventually(lambda: len(sink.events) == 2)
    accept(journal, msgspec.json.encode(exact()), unreadable, msgspec.json.encode(exact()))
    eventually(lambda: counts_of(journal, sink.name).dead_lettered == 1)
    assert len(sink.wait(4, 30)) == 4
    [(_, reason, event)] = letters(journal)
    assert reason.startswith("unreadable: ")
    assert event == unreadable
    assert ids(good)[0] in ids(sink.events)
    assert counts_of(journal, sink.name).closes


def test_a_decoding_error_of_the_sink_itself_is_no_unreadable_line(journal, deliver):
    """It may have written before: so it gets the batch again after a while, marked as repeated, and not at once."""

    class Replying(Flaky):
        def open(self):
            self.batches.append("open")

    sink = Replying(msgspec.DecodeError("what the server replied"), times=1)
    deliver(sink)
    accept(journal, make_event(time_precision="second"))  # whose line goes as it is
    eventually(lambda: counts_of(journal, sink.name).delivered == 1)
    number = sink.batches[1][0]
    assert sink.batches == ["open", (number, False, 1), "open", (number, True, 1)]


def test_a_hanging_sink_delays_no_other(journal, deliver):
    class Hanging(MemorySink):
        def __init__(self):
            super().__init__()
            self.name = "hanging"
            self.goes_on = threading.Event()

        def write(self, events):
            self.goes_on.wait(60)
            super().write(events)

    slow, quick = Hanging(), MemorySink()
    deliver(slow)
    deliver(quick)
    accept(journal, *(make_event() for _ in range(1_000)))
    assert len(quick.wait(1_000, 30)) == 1_000
    assert slow.events == []
    assert counts_of(journal, "hanging").pending == 1_000
    slow.goes_on.set()
    assert len(slow.wait(1_000, 30)) == 1_000


def test_order_of_coarse_times_says_nothing(journal, deliver):
    """Within a batch events go in the order of their random ids, unless the policy allows their second."""
    coarse = [make_event(time_precision="hour") for _ in range(200)]
    sink = MemorySink()
    journal.register(sink.name)
    accept(journal, *coarse, row=10)
    deliver(sink)
    assert [event.event_id for event in sink.wait(200, 30)] == ids(coarse)


def test_order_is_kept_where_times_tell_it_anyway(journal, deliver):
    fine = [make_event(time_precision="second") for _ in range(200)]
    sink = MemorySink()
    journal.register(sink.name)
    accept(journal, *fine, row=10)
    deliver(sink)
    assert sink.wait(200, 30) == fine


def test_events_are_gone_from_the_disk_when_all_is_delivered(journal, deliver):
    sink = MemorySink()
    deliver(sink)
    accept(journal, *(make_event(path="/visitor/4711") for _ in range(2_000)))
    sink.wait(2_000, 30)
    files = [journal.path, journal.path.with_name("journal.db-wal")]
    eventually(lambda: not any(b"/visitor/4711" in file.read_bytes() for file in files))


def test_a_backlog_is_not_gathered(journal, deliver):
    sink = MemorySink()
    sink.linger_s = 3_600
    journal.register(sink.name)
    accept(journal, *(make_event() for _ in range(carrier.MAX_BATCH + 1_000)), row=1_000)
    deliver(sink)
    assert len(sink.wait(carrier.MAX_BATCH + 1_000, 30)) == carrier.MAX_BATCH + 1_000


# Sinks that don't answer


@pytest.fixture
def gate():
    """What hanging calls wait for; opened at the end."""
    one = threading.Event()
    yield one
    one.set()


def test_a_call_without_an_answer_is_given_up_and_made_again(journal, deliver, gate, caplog):
    sink = Impatient(gate, after=["open"])
    one = deliver(sink)
    events = accept(journal, *(make_event() for _ in range(10)))
    eventually(lambda: one.state().delivered == 10)
    assert ids(sink.events) == ids(events)
    assert sink.calls[:5] == ["open", "write", "close", "open", "write"]
    [first, second] = sink.batches
    assert (first[:2], first[2], second[2]) == (second[:2], False, True)
    counts = counts_of(journal, sink.name)
    assert (counts.delivered, counts.retries, counts.error, counts.closes) == (10, 1, None, True)
    assert "NoAnswerError: no answer within 0.05 s" in caplog.text


def test_a_sink_that_hangs_says_so(journal, deliver, gate):
    sink = Scripted(*[gate] * 1_000, timeout_s=0.01)
    one = deliver(sink)
    accept(journal, make_event())
    eventually(lambda: one.state().condition == "hanging")
    eventually(lambda: len(sink.batches) == MAX_GIVEN_UP)
    said = "NoAnswerError: no answer within 0.08 s"  # each of the four had twice the time of the one before
    eventually(lambda: one.state().problem == said == counts_of(journal, sink.name).error)
    eventually(lambda: one.state().pending == 1)
    assert one.state().condition == "hanging"
    assert len([thread for thread in threading.enumerate() if thread.name == "centtrack-write-scripted"]) <= 4
    gate.set()
    eventually(lambda: counts_of(journal, sink.name).delivered == 1)


def test_a_sink_without_a_time_out_is_waited_for_and_said_to_hang(journal, deliver, gate, monkeypatch, caplog):
    monkeypatch.setattr(attempt, "HANGS_AFTER_S", 0.02)
    sink = Scripted(gate, timeout_s=None)
    one = deliver(sink)
    accept(journal, make_event())
    eventually(lambda: counts_of(journal, sink.name).error == "no answer for 30 s")
    assert one.state().condition == "hanging"
    gate.set()
    eventually(lambda: counts_of(journal, sink.name).delivered == 1)
    eventually(lambda: one.state().condition == "delivering")
    assert (sink.calls, counts_of(journal, sink.name).error) == (["open", "write"], None)
    assert "delivery to scripted hangs and is waited for: no answer for 30 s" in caplog.text


def test_an_opening_that_hangs_is_given_up_too(journal, deliver, gate):
    class Sink(Impatient):
        def open(self):
            super().open()
            if self.calls == ["open"]:
                gate.wait(60)

    sink = Sink(after=[])
    deliver(sink)
    accept(journal, make_event())
    eventually(lambda: len(sink.events) == 1)
    assert sink.calls[:4] == ["open", "close", "open", "write"]


# Sinks that somebody has to mend


class Unmended(MemorySink):
    """Is set up wrongly until it is mended."""

    def __init__(self, where):
        super().__init__()
        self.name = f"unmended at {where}"
        self.where = where
        self.is_mended = False
        self.tries = 0

    def _check(self, where):
        if where == self.where and not self.is_mended:
            self.tries += 1
            raise ConfigurationError("the password is wrong: set $DATABASE_URL")

    def open(self):
        self._check("open")

    def write(self, events):
        self._check("write")
        super().write(events)


@pytest.mark.parametrize("where", ["open", "write"])
def test_delivery_pauses_until_the_configuration_is_mended(journal, deliver, monkeypatch, caplog, where):
    caplog.set_level("INFO")
    monkeypatch.setattr(carrier, "PAUSE_S", 0.05)
    sink = Unmended(where)
    one = deliver(sink)
    accept(journal, make_event())
    eventually(lambda: sink.tries >= 3)
    state = one.state()
    assert (state.condition, state.problem) == (
        "paused",
        "ConfigurationError: the password is wrong: set $DATABASE_URL",
    )
    eventually(lambda: counts_of(journal, sink.name).error == state.problem)
    counts = counts_of(journal, sink.name)
    assert (counts.dead_lettered, counts.pending) == (0, 1)
    sink.is_mended = True
    eventually(lambda: one.state().condition == "delivering")
    eventually(lambda: counts_of(journal, sink.name).error is None)
    counts = counts_of(journal, sink.name)
    assert (counts.delivered, counts.closes) == (1, True)
    eventually(lambda: len(caplog.records) == 2)  # it says so right after
    assert [record.getMessage() for record in caplog.records] == [
        f"delivery to {sink.name} pauses until this is mended: {state.problem}",
        f"delivery to {sink.name} goes on",
    ]


def test_a_missing_package_is_such_a_case(journal, deliver):
    sink = Flaky(MissingExtraError("The delta: sink", "delta"), times=1_000)
    one = deliver(sink)
    accept(journal, make_event())
    state = eventually(lambda: one.state().condition == "paused" and one.state())
    assert "pip install 'centtrack[delta]'" in state.problem


# What is said of failures


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("visitor-4711"), "ValueError at delivering.py:"),
        (KeyError("visitor-4711"), "KeyError at delivering.py:"),
        (OSError(111, "Connection refused", "/visitor-4711"), "ConnectionRefusedError: Connection refused"),
        (RetryLater("the cluster is down"), "RetryLater: the cluster is down"),
    ],
    ids=repr,
)
def test_texts_of_others_are_not_repeated(journal, deliver, caplog, error, said):
    """They may hold what the sink was given: visitors' data."""
    sink = Flaky(error, times=1_000)
    one = deliver(sink)
    accept(journal, make_event(path="/visitor-4711"))
    reason = eventually(lambda: counts_of(journal, sink.name).error)
    assert reason.startswith(said)
    assert one.state().problem == reason
    assert "visitor-4711" not in caplog.text + reason
    assert reason in caplog.text


def test_dead_letters_are_said_with_their_number(journal, deliver, caplog):
    sink = Picky()
    journal.register(sink.name)
    accept(journal, *(make_event(path=path) for path in ("/", "poison", "poison")))
    deliver(sink)
    eventually(lambda: counts_of(journal, sink.name).dead_lettered == 2)
    eventually(lambda: caplog.records)
    [record] = caplog.records
    assert record.getMessage() == "picky: 2 events can't be delivered: see `centtrack dead list`"
    assert record.centtrack == {"event": "dead_letters", "sink": "picky", "count": 2}


# A sink that failed gets its batch again, and nothing twice that it took


def test_it_is_opened_anew_after_each_failure(journal, deliver):
    sink = Scripted(RetryLater(), OSError())
    deliver(sink)
    accept(journal, make_event())
    eventually(lambda: len(sink.events) == 1)
    assert sink.calls == ["open", "write", "close"] * 2 + ["open", "write"]


def test_what_the_journal_could_not_note_is_not_written_twice(journal, deliver):
    """As on a full disk: the batch was taken, but the cursor can't move."""
    journal.database.execute(
        "create trigger stop before update of cursor on sink begin select raise(abort, 'no room'); end"
    )
    sink = Scripted()
    one = deliver(sink)
    accept(journal, make_event(), make_event())
    eventually(lambda: one.state().condition == "retrying")
    assert counts_of(journal, sink.name).delivered == 0
    journal.database.execute("drop trigger stop")
    eventually(lambda: counts_of(journal, sink.name).delivered == 2)
    assert len(sink.events) == 2


# Rows that are no longer what was written


def test_damaged_rows_are_lost_and_never_delivered(journal, deliver, caplog):
    sink = MemorySink()
    journal.register(sink.name)
    good = accept(journal, *(make_event() for _ in range(30)), row=10)
    flipped = "update batch set events = cast(replace(events, '\"/\"', '\"0\"') as blob) where sequence = ?"
    accept(journal, *(make_event(path="/") for _ in range(10)))
    journal.database.execute(flipped, (journal.database.last_insert_rowid(),))
    one = deliver(sink)
    counts = eventually(lambda: counts_of(journal, sink.name).pending == 0 and counts_of(journal, sink.name))
    assert ids(sink.events) == ids(good)
    assert (counts.delivered, counts.lost, counts.closes) == (30, {"damaged": 10}, True)
    eventually(lambda: one.state().lost == 10)
    eventually(lambda: "memory:: 10 events were damaged on the disk of the journal, and are lost" in caplog.text)


def test_a_batch_of_damaged_rows_only(journal, deliver):
    sink = Flaky(OSError("nothing should come"))
    journal.register(sink.name)
    accept(journal, *(make_event() for _ in range(5)))
    journal.database.execute("update batch set checksum = checksum + 1")
    deliver(sink)
    counts = eventually(lambda: counts_of(journal, sink.name).pending == 0 and counts_of(journal, sink.name))
    assert (counts.delivered, counts.lost, counts.closes, sink.batches) == (0, {"damaged": 5}, True, [])


# The policy in force


def test_what_waited_is_reduced_again_under_a_policy_that_was_tightened(journal, deliver):
    before = PrivacyPolicy.parse('[limits.default]\ntime = "second"\npage = "path"\n')
    now = PrivacyPolicy.parse('[limits.default]\ntime = "second"\npage = "none"\n')
    sink = MemorySink()
    journal.register(sink.name)
    accept(
        journal,
        *(visit(f"/visitors/{number}", before) for number in range(10)),
        *(visit(None, now) for _ in range(10)),
        visit("/", before, name="order", props={}),
    )
    deliver(sink, policy=now)
    counts = eventually(lambda: counts_of(journal, sink.name).pending == 0 and counts_of(journal, sink.name))
    assert {(event.path, event.policy_hash) for event in sink.events} == {(None, now.hash)}
    assert (counts.delivered, counts.withheld, counts.closes) == (20, {"policy": 1}, True)


# Housekeeping


def test_events_wait_no_longer_than_the_policy_lets_them_also_while_the_sink_is_down(journal, deliver, monkeypatch):
    monkeypatch.setattr(carrier, "HOUSEKEEPING_S", 0.0)
    policy = PrivacyPolicy.parse('[[sinks]]\nname = "flaky"\nparty = "first"\nretention = 1\n')
    sink = Flaky(RetryLater("for long", after_s=3_600), times=1_000)
    one = deliver(sink, policy=policy)
    accept(journal, make_event(), make_event())
    eventually(lambda: one.state().condition == "retrying" and one.state().pending == 2)
    with journal.transaction() as database:
        database.execute("update batch set day = day - 3")
    counts = eventually(lambda: counts_of(journal, sink.name).pending == 0 and counts_of(journal, sink.name))
    assert (counts.lost, counts.closes) == ({"retention": 2}, True)


# Its state


def test_the_state_of_a_sink(journal, deliver):
    sink = Flaky(RetryLater("down", after_s=3_600), times=1)
    journal.register(sink.name)
    accept(journal, *(make_event() for _ in range(3)))
    one = deliver(sink)
    state = eventually(lambda: one.state().pending == 3 and one.state().retries and one.state())
    assert (state.name, state.condition, state.problem) == ("flaky", "retrying", "RetryLater: down")
    assert state.oldest_s > 0
    eventually(lambda: one.state().oldest_s > state.oldest_s)
    one.drain(1)  # the sink asks for an hour
    eventually(lambda: one.state().condition == "ended")
    assert (one.state().problem, one.state().pending, one.state().oldest_s) == ("RetryLater: down", None, None)


def test_the_state_counts_what_became_of_events(journal, deliver):
    sink = Picky()
    journal.register(sink.name)
    one = deliver(sink, policy=THIRD)
    accept(journal, *(visit(path) for path in ("/", "/", "/consent", "poison")))
    eventually(lambda: one.state().delivered == 2)
    state = eventually(lambda: one.state().condition == "delivering" and one.state())  # noted right after
    assert (state.delivered, state.withheld, state.dead_lettered, state.lost) == (2, 1, 1, 0)
    eventually(lambda: (one.state().pending, one.state().oldest_s) == (0, None))
