"""What the journal forgets with time: by the clock of the time that passed, and counted."""

from __future__ import annotations

import datetime as dt
import os

import pytest

from centtrack.delivery import clock
from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.journal.dead_letters import list_dead, retry_dead
from centtrack.delivery.journal.housekeeping import MAX_UNSEEN_S
from centtrack.delivery.journal.journal import Journal
from journals import accept, hold

DAY_S = 86_400.0
START = 20_000 * DAY_S


class Time:
    """The clock that all goes by, set by the test."""

    def __init__(self) -> None:
        self.now = START

    def pass_days(self, days: float) -> None:
        self.now += days * DAY_S


@pytest.fixture
def time(monkeypatch):
    time = Time()
    monkeypatch.setattr(clock, "now", lambda: time.now)
    return time


@pytest.fixture
def journal(tmp_path, time):
    one = Journal(tmp_path / "journal.db")
    one.open()
    yield one
    one.close()


def run_days(journal, time, days, *sinks):
    """Days in which the deliverers of these sinks do their rounds, two minutes apart at most."""
    until = time.now + days * DAY_S
    while time.now < until:
        time.now += 120.0
        for sink in sinks:
            journal.housekeep(sink, None)


def see_for(journal, time, seconds, *sinks):
    """The same, in fewer steps: what the journal notes for it is set."""
    for name in [sink.name for sink in read_counts(journal.path).sinks if sink.name not in sinks]:
        with journal.transaction() as database:
            database.execute("update sink set unseen_s = unseen_s + ? where name = ?", (seconds, name))
    for sink in sinks:
        journal.housekeep(sink, None)


def counts_of(journal):
    counts = read_counts(journal.path)
    assert counts.closes, counts
    return counts


def sinks(journal):
    return {sink.name: sink for sink in counts_of(journal).sinks}


def rows(journal):
    return journal.database.execute("select count(*) from batch").get


# Sinks that nobody delivers to any more


def test_a_sink_expires_after_seven_days_of_running(journal, time):
    for sink in ("kept", "old"):
        journal.register(sink)
    accept(journal, b"a", b"b")
    hold(journal, 2**40, {"id": b"held"})
    stored = journal.next_batch("kept", 10)
    journal.advance("kept", stored.last, 2)
    run_days(journal, time, 0.25, "kept")
    see_for(journal, time, MAX_UNSEEN_S - 0.25 * DAY_S - 240, "kept")
    assert set(sinks(journal)) == {"kept", "old"}
    run_days(journal, time, 0.01, "kept")
    assert set(sinks(journal)) == {"kept"}
    assert (rows(journal), counts_of(journal).removed) == (0, {"old": 3})


def test_it_starts_anew_when_it_comes_back(journal, time):
    for sink in ("kept", "old"):
        journal.register(sink)
    accept(journal, b"a", b"b", b"c")
    stored = journal.next_batch("old", 10)
    journal.advance("old", stored.last, 1, [("rejected", b"b")], {"consent": 1})
    accept(journal, b"d")
    see_for(journal, time, MAX_UNSEEN_S, "kept")
    assert counts_of(journal).removed == {"old": 1}
    journal.register("old")
    assert counts_of(journal).removed == {}
    accept(journal, b"e")
    old = sinks(journal)["old"]
    assert (old.accepted, old.delivered, old.withheld, old.lost) == (2, 0, {}, {})
    assert (old.dead_lettered, old.pending) == (1, 1)  # its letter is still there
    assert journal.next_batch("old", 10).lines == b"e\n"


@pytest.mark.parametrize("jump_days", [1, 400, -400])
def test_neither_jumps_nor_nights_without_power_count(journal, time, jump_days):
    for sink in ("kept", "old"):
        journal.register(sink)
    for _ in range(100):
        time.pass_days(jump_days)
        journal.housekeep("kept", None)
    assert set(sinks(journal)) == {"kept", "old"}


def test_several_sinks_that_are_seen_stay(journal, time):
    for sink in ("one", "two", "three"):
        journal.register(sink)
    for _ in range(3):
        see_for(journal, time, MAX_UNSEEN_S - 1, "one", "two", "three")
    assert len(sinks(journal)) == 3


# Retention


@pytest.mark.parametrize(("days", "lost"), [(0, 0), (30, 0), (31, 2), (400, 2)])
def test_what_waits_longer_than_the_policy_says_is_lost(journal, time, days, lost):
    for sink in ("strict", "free"):
        journal.register(sink)
    accept(journal, b"a")
    accept(journal, b"b")
    time.pass_days(days)
    accept(journal, b"c")
    for _ in range(2):
        journal.housekeep("strict", 30)
    strict, free = sinks(journal)["strict"], sinks(journal)["free"]
    assert (strict.lost, strict.pending) == ({"retention": lost} if lost else {}, 3 - lost)
    assert (free.lost, free.pending) == ({}, 3)
    assert journal.next_batch("strict", 10).total == 3 - lost


def test_with_the_last_sink_the_rows_go(journal, time):
    journal.register("s")
    accept(journal, b"secret" * 20)
    time.pass_days(3)
    journal.housekeep("s", 2)
    journal.tidy()
    assert rows(journal) == 0
    journal.close()
    assert b"secret" not in journal.path.read_bytes()


def test_a_batch_that_was_attempted_expires_as_a_whole(journal, time):
    """The sink may have it: its bounds must not change."""
    journal.register("s")
    accept(journal, b"a")
    time.pass_days(2)
    accept(journal, b"b")
    stored = journal.next_batch("s", 10)
    time.pass_days(1)
    journal.housekeep("s", 2)
    assert journal.next_batch("s", 10) == stored._replace(repeated=True)
    time.pass_days(2)
    accept(journal, b"c")
    journal.housekeep("s", 2)
    assert journal.next_batch("s", 10).lines == b"c\n"
    journal.advance("s", stored.last, 2)  # the sink answers after all
    found = sinks(journal)["s"]
    assert (found.delivered, found.lost, found.pending) == (0, {"retention": 2}, 1)


def die(journal, sink="s"):
    """The sink rejects what it gets next, one event."""
    journal.advance(sink, journal.next_batch(sink, 1).last, 0, [("rejected", b"a")])


def test_neither_dying_nor_being_retried_makes_an_event_younger(journal, time):
    """However often: after its time it is gone, as a dead letter or as one that waits."""
    journal.register("s")
    accept(journal, b"a")
    for step in (die, lambda journal: retry_dead(journal.path, None), die):
        time.pass_days(3)
        journal.housekeep("s", 10)
        step(journal)
    time.pass_days(1)
    journal.housekeep("s", 10)
    assert (sinks(journal)["s"].dead_lettered, sinks(journal)["s"].lost) == (1, {})
    time.pass_days(1)
    journal.housekeep("s", 10)
    assert (sinks(journal)["s"].dead_lettered, sinks(journal)["s"].lost) == (0, {"dead_retention": 1})


def test_what_is_retried_expires_behind_what_is_newer(journal, time):
    for sink in ("s", "other"):
        journal.register(sink)
    accept(journal, b"a")
    for sink in ("s", "other"):
        die(journal, sink)
    time.pass_days(8)
    accept(journal, b"new")
    retry_dead(journal.path, None)
    time.pass_days(3)
    journal.housekeep("s", 10)
    assert (sinks(journal)["s"].lost, sinks(journal)["other"].lost) == ({"retention": 1}, {})
    assert (journal.next_batch("s", 9).lines, journal.next_batch("other", 9).lines) == (b"new\n", b"new\na\n")


def test_what_is_retried_and_was_attempted_keeps_its_batch(journal, time):
    journal.register("s")
    accept(journal, b"a")
    die(journal)
    time.pass_days(8)
    accept(journal, b"new")
    retry_dead(journal.path, None)
    stored = journal.next_batch("s", 9)
    time.pass_days(3)
    journal.housekeep("s", 10)
    assert journal.next_batch("s", 9) == stored._replace(repeated=True)


def test_a_dead_letter_is_as_old_as_the_first_of_its_batch(journal, time):
    journal.register("s")
    accept(journal, b"before")
    journal.advance("s", journal.next_batch("s", 1).last, 1)
    for event in (b"a", b"b"):
        time.pass_days(2)
        accept(journal, event)
    journal.advance("s", journal.next_batch("s", 9).last, 1, [("rejected", b"b")])
    assert [(letter.day - dt.date(1970, 1, 1)).days for letter in list_dead(journal.path)] == [20_002]


@pytest.mark.parametrize(
    ("retention", "days", "left"), [(None, 30, 1), (None, 31, 0), (7, 7, 1), (7, 8, 0), (90, 31, 0)]
)
def test_dead_letters_expire(journal, time, retention, days, left):
    for sink in ("s", "other"):
        journal.register(sink)
    accept(journal, b"a")
    for sink in ("s", "other"):
        journal.advance(sink, journal.next_batch(sink, 10).last, 0, [("rejected", b"a")])
    time.pass_days(days)
    journal.housekeep("s", retention)
    assert len(list_dead(journal.path, "s")) == left
    assert sinks(journal)["s"].lost == ({} if left else {"dead_retention": 1})


def test_files_that_were_set_aside_expire(journal, time):
    for _ in range(2):
        journal.set_aside(ValueError("as if"))
        journal.open()
        time.pass_days(20)
    journal.register("s")
    time.pass_days(5)
    journal.housekeep("s", None)
    assert [one.day for one in counts_of(journal).set_aside] == [20_020]
    assert len({file.name.removesuffix("-wal") for file in journal.path.parent.glob("*.corrupt-*")}) == 1
    time.pass_days(31)
    journal.housekeep("s", None)
    assert (counts_of(journal).set_aside, list(journal.path.parent.glob("*.corrupt-*"))) == ([], [])


def test_files_expire_of_which_no_journal_tells_any_more(journal, time):
    """Of one that is damaged all over nothing can be carried over."""
    for _ in range(2):
        journal.close()
        journal.path.write_bytes(os.urandom(10_000))
        journal.open()
        time.pass_days(1)
    folder = journal.path.parent
    assert len(list(folder.glob("*.corrupt-*"))) == 2
    others = [
        "journal.db.corrupt-20010101",
        "journal.db.corrupt-99999999-000000",
        "xjournal.db.corrupt-20010101-000000",
    ]
    for name in [*others, "journal.db.corrupt-20010101-000000-2-shm"]:
        (folder / name).touch()
    journal.register("s")
    time.pass_days(29)
    journal.housekeep("s", None)
    assert len(list(folder.glob("journal.db.corrupt-2024*"))) == 1
    time.pass_days(1)
    journal.housekeep("s", None)
    assert sorted(file.name for file in folder.glob("*.corrupt-*")) == others
    assert counts_of(journal).set_aside == []


# Space


def test_free_pages_go_back_to_the_disk_though_it_never_drains(journal):
    for sink in ("fast", "slow"):
        journal.register(sink)
    for _ in range(100):
        accept(journal, b"x" * 100_000)
    for sink in ("fast", "slow"):
        while stored := journal.next_batch(sink, 1):
            if stored.last == 100:
                break
            journal.advance(sink, stored.last, 1)
    before = journal.database.pragma("page_count")
    for _ in range(3):
        journal.housekeep("fast", None)
    assert journal.database.pragma("page_count") < before / 4
    assert journal.next_batch("slow", 1).total == 1
    counts_of(journal)
