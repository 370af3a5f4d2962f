"""The inventory of cookies in the journal."""

from __future__ import annotations

import pytest

from centtrack.consent.inventory import CookieSeen
from centtrack.delivery.journal.cookie_table import MAX_ROWS, OTHERS, add_cookies, read_cookies
from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.records import Encoded
from centtrack.errors import JournalError

DAY_S = 86_400


def add(journal, *seen, today=20_000):
    with journal.transaction() as database:
        add_cookies(database, seen, today=today)
    return read_cookies(journal.path)


def test_counts_add_up(journal):
    add(journal, CookieSeen("a", "", "/", passed=2, removed=1), CookieSeen("a", arrived=5))
    rows = add(journal, CookieSeen("a", "", "/", passed=3, expired=4), CookieSeen("b", "x.example", "/"), today=20_003)
    assert [row[:7] for row in rows] == [
        ("a", "", "", 0, 0, 0, 5),
        ("a", "", "/", 5, 1, 4, 0),
        ("b", "x.example", "/", 0, 0, 0, 0),
    ]
    assert [row[8:] for row in rows] == [(20_000, 20_000), (20_000, 20_003), (20_003, 20_003)]
    assert read_counts(journal.path).cookies == {"names": 2, "passed": 5, "removed": 1, "expired": 4, "arrived": 5}


@pytest.mark.parametrize(
    ("lifetimes", "expected"),
    [
        ([None], None),
        ([None, None], None),
        ([None, 1.0], 1),  # a session first, a second later
        ([1.0, None], 1),
        ([DAY_S, 3 * DAY_S, 2 * DAY_S], 3),
        ([DAY_S + 1], 2),
        ([9_999_999_999_999_999.0], 115_740_740_741),
    ],
)
def test_the_longest_lifetime_counts(journal, lifetimes, expected):
    for lifetime in lifetimes:
        [row] = add(journal, CookieSeen("a", "", "/", passed=1, longest_s=lifetime))
    assert row.longest_days == expected


def test_what_does_not_fit_is_counted_together(journal):
    add(journal, *(CookieSeen(f"c{number}", arrived=1) for number in range(MAX_ROWS - 3)))
    rows = add(journal, *(CookieSeen(f"d{number}", arrived=2) for number in range(10)), CookieSeen("c0", arrived=1))
    assert len(rows) == MAX_ROWS
    found = {row.name: row.arrived for row in rows}
    assert (found["c0"], found["d0"], found["d1"], "d2" in found, found[OTHERS]) == (2, 2, 2, False, 16)
    assert len(add(journal, CookieSeen("e", arrived=1), CookieSeen("c1", arrived=1))) == MAX_ROWS


def test_cookies_and_events_are_committed_together(journal):
    journal.append(Encoded(0, b"", []), worker="w", counts={}, cookies=[CookieSeen("a", arrived=1)])
    assert [row.name for row in read_cookies(journal.path)] == ["a"]


def test_there_is_no_journal(tmp_path):
    with pytest.raises(JournalError, match="no journal"):
        read_cookies(tmp_path / "journal.db")
