"""What was delivered is gone from the disk, and what stays isn't written again for it."""

from __future__ import annotations

import random

import apsw
import pytest

from centtrack.delivery.journal.counters import read_counts
from journals import accept, hold


def keep_letters(journal, count, size=1_500):
    """Dead letters, more than is rewritten."""
    with journal.transaction() as database:
        database.executemany(
            "insert into dead (sink, reason, event, checksum, day) values ('x', 'rejected', ?, 0, 1 << 40)",
            ((bytes(size),) for _ in range(count)),
        )


def pass_all(journal):
    while journal.release(3_600):
        pass
    while stored := journal.next_batch("s", 100):
        journal.advance("s", stored.last, stored.total)


def files_with(journal, text):
    return [file.name for file in journal.path.parent.iterdir() if text in file.read_bytes()]


def written_pages(journal):
    return journal.database.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0]


def test_what_stays_is_not_rewritten(journal):
    journal.register("s")
    keep_letters(journal, 10_000)
    accept(journal, b"visitor")
    pass_all(journal)
    before = written_pages(journal)
    journal.tidy()
    assert written_pages(journal) - before < 100 < journal.database.pragma("page_count")
    assert files_with(journal, b"visitor") == []


@pytest.mark.parametrize("letters", [0, 5_000])
def test_nothing_of_what_was_delivered_stays(journal, letters):
    """Of any size, among dead letters that stay and others that go."""
    chance = random.Random(random.random())
    journal.register("s")
    for number in range(400):
        event = b"visitor-of-%05d" % number * chance.choice([1, 5, 50, 500, 5_000])
        chance.choice([accept, lambda journal, event: hold(journal, 3_600, {str(event[:16]): event})])(journal, event)
        keep_letters(journal, letters // 400)
        if number % 40 == 0:
            pass_all(journal)
    with journal.transaction() as database:
        database.execute("delete from dead where id % 7 = 0")
    pass_all(journal)
    journal.tidy()
    assert files_with(journal, b"visitor-of-") == []
    assert journal.database.pragma("freelist_count") == 0
    assert journal.database.pragma("integrity_check") == "ok"
    assert read_counts(journal.path).closes
