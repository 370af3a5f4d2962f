"""The deliverer: one process of a host delivers to a sink, another takes over, and none is held up at the end."""

from __future__ import annotations

import threading

import msgspec

from centtrack.delivery.journal.set_aside import JournalDamagedError
from centtrack.delivery.sending.deliverer import Deliverer
from centtrack.errors import RetryLater
from centtrack.sinks.jsonl import JsonLinesSink
from centtrack.testing import MemorySink, make_event
from delivering import Flaky, Scripted, accept, counts_of, ids
from processes import kill_group, python
from waiting import eventually


def test_draining_delivers_what_is_there_and_ends(journal, deliver):
    sink = MemorySink()
    sink.linger_s = 3_600  # it would like to gather for an hour
    journal.register(sink.name)
    events = accept(journal, *(make_event() for _ in range(25_000)), row=1_000)
    one = deliver(sink)
    one.drain(60)
    assert one.join()
    assert ids(sink.events) == ids(events)


def test_draining_ends_at_the_deadline(journal, deliver):
    one = deliver(Flaky(OSError("down"), times=1_000_000))
    accept(journal, make_event())
    one.drain(0.5)
    one.join()
    eventually(lambda: not any(thread.name == "centtrack-deliver-flaky" for thread in threading.enumerate()))
    assert counts_of(journal, "flaky").pending == 1


def test_one_of_two_delivers(journal, deliver):
    """Two workers of a host, each with a deliverer of the same name."""
    one, two = MemorySink(), MemorySink()
    deliver(one)
    deliver(two)
    for number in range(1, 6):
        accept(journal, make_event(), make_event())
        eventually(lambda due=2 * number: counts_of(journal, "memory:").delivered == due)
    assert sorted([len(one.events), len(two.events)]) == [0, 10]


class Busy(MemorySink):
    """Others record whenever it takes something, so that there is always more."""

    linger_s = 0

    def __init__(self, journal):
        super().__init__()
        self.journal = journal
        self.others_record = True

    def write(self, events):
        if self.others_record:
            accept(self.journal, make_event())
        super().write(events)


def test_one_that_ends_does_not_wait_for_what_others_record_since(journal, deliver):
    sink = Busy(journal)
    deliver(sink)
    accept(journal, make_event())
    sink.wait(1, 30)
    other = deliver(MemorySink())  # of the same name
    eventually(lambda: other.state().condition == "standby")
    other.drain(3_600)
    eventually(lambda: other.state().condition == "ended")
    assert other.join()
    sink.others_record = False


def test_the_one_that_delivers_ends_too_while_others_go_on(journal, deliver):
    sink = Busy(journal)
    one = deliver(sink)
    accept(journal, make_event())
    sink.wait(1, 30)
    one.drain(3_600)
    eventually(lambda: one.state().condition == "ended")
    assert one.join()
    sink.others_record = False


def test_one_that_ends_waits_for_what_was_accepted_before(journal, deliver):
    goes_on = threading.Event()
    first, sink = Scripted(goes_on), Scripted()
    deliver(first)
    accepted = accept(journal, make_event())
    eventually(lambda: "write" in first.calls)
    other = deliver(sink)
    eventually(lambda: other.state().condition == "standby")
    other.drain(3_600)
    assert other.state().condition == "standby"
    goes_on.set()
    eventually(lambda: other.state().condition == "ended")
    assert counts_of(journal, sink.name).delivered == len(accepted)


def test_the_other_takes_over_when_one_ends(journal, deliver):
    one, two = MemorySink(), MemorySink()
    first = deliver(one)
    accept(journal, make_event())
    one.wait(1, 30)
    deliver(two)
    first.drain(30)
    assert first.join()
    accept(journal, make_event())
    assert len(two.wait(1, 30)) == 1


DELIVERER = """
import sys, threading
from pathlib import Path
from centtrack.delivery.sending.deliverer import Deliverer
from centtrack.delivery.journal.set_aside import JournalDamagedError
from centtrack.sinks import open_sink
Deliverer(Path(sys.argv[1]), open_sink(sys.argv[2])).start()
print("started", flush=True)
threading.Event().wait()
"""


def test_another_process_takes_over_when_the_deliverer_is_killed(tmp_path, journal, deliver):
    file = tmp_path / "events.jsonl"
    sink = JsonLinesSink(f"jsonl:{file}")
    journal.register(sink.name)
    events = accept(journal, *(make_event() for _ in range(500)))

    def count_lines():
        return file.read_bytes().count(b"\n") if file.exists() else 0

    def written():
        return [msgspec.json.decode(line)["event_id"] for line in file.read_bytes().split(b"\n") if line]

    with python(DELIVERER, journal.path, sink.name) as process:
        eventually(lambda: count_lines() == 500)  # the last may still be half written
        deliver(sink)
        for _ in range(10):
            events += accept(journal, *(make_event() for _ in range(100)))
        kill_group(process)
    events += accept(journal, *(make_event() for _ in range(100)))
    eventually(lambda: counts_of(journal, sink.name).pending == 0)
    assert sorted(written()) == ids(events)
    assert counts_of(journal, sink.name).delivered == len(events)


# The end


def test_draining_does_not_wait_for_what_comes_after_the_deadline(journal, deliver):
    """A sink that asked for two hours, and a deadline of one: nothing will happen before it."""
    one = deliver(Flaky(RetryLater("busy", after_s=7_200), times=1))
    accept(journal, make_event())
    eventually(lambda: one.state().condition == "retrying")
    one.drain(3_600)
    assert one.join()
    assert counts_of(journal, "flaky").pending == 1


def test_a_sink_that_hangs_does_not_hold_up_the_end(journal, deliver):
    gate = threading.Event()
    sink = Scripted(gate, timeout_s=3_600)
    one, other = deliver(sink), deliver(MemorySink())
    accept(journal, make_event())
    eventually(lambda: sink.calls == ["open", "write"])
    one.drain(0.1)
    other.drain(30)
    assert (one.join(), other.join()) == (False, True)
    gate.set()  # what is taken after the deadline is noted all the same, if the process lives on
    eventually(lambda: one.state().condition == "ended")
    assert counts_of(journal, sink.name).delivered == 1


def test_nobody_else_delivers_to_a_file_while_a_write_hangs(journal, deliver):
    gate = threading.Event()
    hanging = Scripted(gate, name="file", timeout_s=None)
    one = deliver(hanging)
    accept(journal, make_event())
    eventually(lambda: hanging.calls == ["open", "write"])
    one.drain(0.0)
    assert not one.join()
    second = Scripted(name="file")
    two = deliver(second)
    eventually(lambda: two.state().condition == "standby")
    assert second.calls == []
    gate.set()
    accept(journal, make_event())
    eventually(lambda: counts_of(journal, "file").delivered == 2)
    assert len(hanging.events) == len(second.events) == 1


def test_threads_end_with_the_deliverer(journal, deliver):
    sink = Scripted()
    one = deliver(sink)
    accept(journal, make_event())
    eventually(lambda: sink.events)
    one.drain(30)
    assert one.join()
    assert sink.calls == ["open", "write", "close"]
    eventually(lambda: not any(thread.name.endswith("scripted") for thread in threading.enumerate()))


def test_a_sink_that_exits_ends_delivery_in_this_process_and_says_so(journal, deliver, caplog):
    sink, other = Scripted(SystemExit(1)), Scripted()
    one = deliver(sink)
    accept(journal, make_event())
    eventually(lambda: one.state().condition == "ended")
    assert one.state().problem.startswith("SystemExit at delivering.py:")
    assert "delivery to scripted has ended in this process" in caplog.text
    deliver(other)  # as another worker would
    eventually(lambda: len(other.events) == 1)


# The journal fails


def test_a_journal_that_was_removed_is_opened_anew_without_noise(journal, deliver, caplog):
    sink = MemorySink()
    deliver(sink)
    accept(journal, make_event())
    eventually(lambda: counts_of(journal, sink.name).delivered == 1)
    for file in journal.path.parent.glob("journal.db*"):
        file.unlink()
    journal.close()
    journal.open()
    journal.register(sink.name)
    accept(journal, make_event(), make_event())
    eventually(lambda: counts_of(journal, sink.name).delivered == 2)
    assert len(sink.events) == 3
    assert caplog.records == []


def test_a_journal_that_another_process_set_aside(journal, deliver, caplog):
    sink = MemorySink()
    deliver(sink)
    accept(journal, make_event())
    eventually(lambda: counts_of(journal, sink.name).delivered == 1)
    journal.set_aside(JournalDamagedError("a bit flipped"))
    journal.open()
    accept(journal, make_event())
    assert len(sink.wait(2, 30)) == 2
    eventually(lambda: counts_of(journal, sink.name).pending == 0)
    assert [record.centtrack["event"] for record in caplog.records] == ["journal_set_aside"]


def test_a_journal_that_turns_out_to_be_damaged_is_set_aside(journal, deliver, caplog):
    """Its tables can be read, but not the events in it: the counters are carried over, and still close."""
    sink = MemorySink()
    journal.register(sink.name)
    accept(journal, *(make_event() for _ in range(1_000)))
    journal.close()
    size = journal.path.stat().st_size
    with journal.path.open("r+b") as file:
        file.seek(size // 4)
        file.write(b"\xff" * (size // 2))
    one = Deliverer(journal.path, sink)
    one.start()
    eventually(lambda: "journal_set_aside" in {record.centtrack["event"] for record in caplog.records})
    eventually(lambda: one.state().condition == "delivering")
    counts = eventually(lambda: counts_of(journal, sink.name))
    assert (counts.accepted, counts.closes) == (1_000, True)
    assert counts.delivered + sum(counts.lost.values()) == 1_000
    journal.open()
    accept(journal, make_event())
    eventually(lambda: counts_of(journal, sink.name).pending == 0)
    one.drain(30)
    assert one.join()


def test_a_journal_that_cannot_be_opened_is_tried_again_and_said(journal, deliver, caplog, tmp_path):
    blocked = tmp_path / "no folder"
    blocked.write_bytes(b"a file")
    sink = MemorySink()
    one = Deliverer(blocked / "journal.db", sink)
    one.start()
    eventually(lambda: one.state().condition == "retrying")
    eventually(lambda: "delivery to memory: is held up: " in caplog.text)
    blocked.unlink()
    eventually(lambda: one.state().condition == "delivering")
    one.drain(30)
    assert one.join()


def test_nothing_is_left_beside_a_file_that_is_no_journal(tmp_path):
    """`journal="README.md"` is a slip."""
    file = tmp_path / "README.md"
    file.write_text("# Mine\n")
    one = Deliverer(file, MemorySink())
    one.start()
    eventually(lambda: one.state().condition == "retrying")
    one.drain(1)
    eventually(lambda: one.state().condition == "ended")
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert file.read_text() == "# Mine\n"
