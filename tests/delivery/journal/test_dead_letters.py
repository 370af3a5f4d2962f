"""Dead letters: looked at, tried again for their sink alone, or dropped; the counters close after each."""

from __future__ import annotations

import datetime as dt

import pytest

from centtrack.delivery import clock
from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.journal.dead_letters import drop_dead, list_dead, read_dead, retry_dead
from centtrack.delivery.journal.journal import Journal
from centtrack.errors import JournalError
from journals import accept


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """Three events for two sinks: `one` rejected all of them, `two` the last."""
    monkeypatch.setattr(clock, "now", lambda: 20_000 * 86_400.0)
    one = Journal(tmp_path / "journal.db")
    one.open()
    for sink in ("one", "two"):
        one.register(sink)
    accept(one, b"a", b"b", b"c")
    for sink, dead in (("one", [b"a", b"b", b"c"]), ("two", [b"c"])):
        stored = one.next_batch(sink, 10)
        one.advance(sink, stored.last, 3 - len(dead), [(f"rejected: {event.decode()}", event) for event in dead])
    yield one
    one.close()


def sinks(journal):
    counts = read_counts(journal.path)
    assert counts.closes
    return {sink.name: sink for sink in counts.sinks}


def waiting(journal, sink):
    """What a sink gets next, and takes."""
    stored = journal.next_batch(sink, 100)
    if stored is None:
        return b""
    journal.advance(sink, stored.last, stored.total, lost={"damaged": stored.damaged})
    return stored.lines


def test_they_are_listed(journal):
    day = dt.date(1970, 1, 1) + dt.timedelta(days=20_000)
    assert list_dead(journal.path) == [
        (1, "one", "rejected: a", day, 1),
        (2, "one", "rejected: b", day, 1),
        (3, "one", "rejected: c", day, 1),
        (4, "two", "rejected: c", day, 1),
    ]
    assert [letter.id for letter in list_dead(journal.path, "two")] == [4]
    assert list_dead(journal.path, "three") == []


def test_one_is_shown(journal):
    letter = read_dead(journal.path, 2)
    assert (letter.id, letter.sink, letter.reason, letter.event) == (2, "one", "rejected: b", b"b")
    with pytest.raises(JournalError, match="no dead letter 9"):
        read_dead(journal.path, 9)


@pytest.mark.parametrize(
    ("ids", "sink", "for_one", "for_two"),
    [
        (None, None, b"a\nb\nc\n", b"c\n"),
        (None, "one", b"a\nb\nc\n", b""),
        (None, "two", b"", b"c\n"),
        ([2, 4, 99], None, b"b\n", b"c\n"),
        ([2, 4], "two", b"", b"c\n"),
        ([], None, b"", b""),
    ],
)
def test_they_are_tried_again_for_their_sink_alone(journal, ids, sink, for_one, for_two):
    count = retry_dead(journal.path, ids, sink)
    assert count == for_one.count(b"\n") + for_two.count(b"\n")
    assert len(list_dead(journal.path)) == 4 - count
    assert sinks(journal)["one"].pending == for_one.count(b"\n")
    accept(journal, b"new")
    assert (waiting(journal, "one"), waiting(journal, "two")) == (for_one + b"new\n", for_two + b"new\n")
    after = sinks(journal)
    assert after["one"].delivered == for_one.count(b"\n") + 1
    assert after["two"].delivered == for_two.count(b"\n") + 3
    assert journal.database.execute("select count(*) from batch").get == 0


def test_one_that_is_rejected_again_is_a_dead_letter_again(journal):
    retry_dead(journal.path, [1])
    stored = journal.next_batch("one", 10)
    journal.advance("one", stored.last, 0, [("rejected: still bad", b"a")])
    assert [letter.reason for letter in list_dead(journal.path)][-1] == "rejected: still bad"
    assert sinks(journal)["one"].dead_lettered == 3


def test_others_pass_what_is_not_for_them(journal):
    retry_dead(journal.path, None, "one")
    assert not journal.has_pending("two")
    assert journal.next_batch("two", 10) is None
    assert waiting(journal, "one") == b"a\nb\nc\n"
    assert journal.database.execute("select count(*) from batch").get == 0


def test_a_letter_whose_bits_flipped_is_not_delivered(journal):
    with journal.transaction() as database:
        database.execute("update dead set event = cast('A' as blob) where id = 1")
    retry_dead(journal.path, None, "one")
    assert waiting(journal, "one") == b"b\nc\n"
    assert sinks(journal)["one"].lost == {"damaged": 1}


def test_letters_of_a_sink_that_was_removed_stay(journal):
    with journal.transaction() as database:
        database.execute("delete from sink where name = 'one'")
    assert retry_dead(journal.path, None) == 1
    assert [letter.sink for letter in list_dead(journal.path)] == ["one"] * 3


@pytest.mark.parametrize(
    ("ids", "sink", "left"), [(None, None, 0), (None, "one", 1), ([1, 2], None, 2), ([1, 4], "one", 3)]
)
def test_they_are_dropped_and_counted_as_lost(journal, ids, sink, left):
    assert drop_dead(journal.path, ids, sink) == 4 - left
    assert len(list_dead(journal.path)) == left
    lost = {one.name: one.lost.get("dropped", 0) for one in sinks(journal).values()}
    assert sum(lost.values()) == 4 - left


def test_what_was_dropped_is_gone_from_the_disk(journal):
    accept(journal, b"secret" * 20)
    for sink in ("one", "two"):
        stored = journal.next_batch(sink, 10)
        journal.advance(sink, stored.last, 0, [("rejected", b"secret" * 20)])
    journal.close()
    drop_dead(journal.path, None)
    assert [file.name for file in journal.path.parent.iterdir() if b"secret" in file.read_bytes()] == []


@pytest.mark.parametrize("work", [list_dead, lambda path: read_dead(path, 1), lambda path: retry_dead(path, None)])
def test_there_is_no_journal(tmp_path, work):
    with pytest.raises(JournalError, match="no journal"):
        work(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []
