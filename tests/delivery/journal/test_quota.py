"""The limits of the journal: checked before a batch is taken, and never at the cost of what was accepted."""

from __future__ import annotations

import pytest

from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.journal.quota import JournalFullError
from centtrack.delivery.records import Limits
from journals import EXCLUDED, OFFERED, accept, hold


def test_at_its_limit_it_takes_no_more_events(opened, path):
    """What was accepted stays, counters are still written, and it takes events again once some were delivered."""
    journal = opened(limits=Limits(max_bytes=1_000_000, min_free=0))
    journal.register("s")
    accepted = 0
    while journal.used_bytes + 10_000 <= 1_000_000:
        accept(journal, b"x" * 10_000)
        accepted += 1
    with pytest.raises(JournalFullError, match="max_bytes=1 MB") as caught:
        accept(journal, b"x" * 10_000)
    assert caught.value.reason == "journal_full"
    assert 70 < accepted < 100
    assert 900_000 < journal.used_bytes <= 1_000_000
    accept(journal, counts={OFFERED: 1, EXCLUDED: 1})
    while stored := journal.next_batch("s", 10):
        journal.advance("s", stored.last, stored.total)
    accept(journal, b"x" * 10_000)
    [worker] = read_counts(path).workers
    assert worker.accepted == accepted + 1
    assert read_counts(path).closes


def test_what_a_limit_refused_left_nothing(opened):
    journal = opened(limits=Limits(max_bytes=1_000_000, min_free=0))
    with pytest.raises(JournalFullError):
        hold(journal, 3_600, {"a": b"x" * 2_000_000})
    assert journal.database.execute("select (select count(*) from held) + (select count(*) from counter)").get == 0


def test_a_disk_that_is_low(opened, path):
    journal = opened(limits=Limits(min_free=2**60))
    with pytest.raises(JournalFullError, match="MB left") as caught:
        accept(journal, b"a")
    assert caught.value.reason == "disk_low"
    accept(journal, counts={OFFERED: 1, EXCLUDED: 1})
    assert read_counts(path).workers[0].offered == 1


def test_the_limit_is_told(opened, path):
    journal = opened(limits=Limits(max_bytes=5_000_000))
    journal.begin_worker("w", 1)
    counts = read_counts(path)
    assert (counts.max_bytes, counts.used_bytes) == (5_000_000, journal.used_bytes)
