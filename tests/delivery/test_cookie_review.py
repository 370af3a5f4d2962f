"""The inventory against the registry: what isn't as declared, and what is proposed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack import PrivacyPolicy
from centtrack.delivery.cookie_review import review_cookies
from centtrack.delivery.cookie_table import OTHERS, StoredCookie
from centtrack.policy.model import Document
from centtrack.policy.registry_file import write_entry

SESSION = {"name": "sid", "category": "necessary", "lifetime": 0}
GA = {"name": "_ga*", "category": "analytics", "lifetime": 30}


def policy(*entries, k=10):
    return PrivacyPolicy(Document.model_validate({"cookies": list(entries), "disclosure": {"k": k}}))


def stored(name, path="/", domain="", *, passed=0, removed=0, expired=0, arrived=0, days=None):
    return StoredCookie(name, domain, path, passed, removed, expired, arrived, days, 20_000, 20_001)


def arrived(name, count):
    return stored(name, "", arrived=count)


@pytest.mark.parametrize(
    ("rows", "entries", "remarks"),
    [
        # as declared
        ([stored("sid", passed=1)], [SESSION], ()),
        ([stored("_ga_X1", passed=1, days=30)], [GA], ()),
        ([stored("_ga_X1", passed=1, days=31)], [GA], ()),  # rounded up
        ([stored("sid", passed=1), arrived("sid", 5)], [SESSION], ()),
        ([stored("sid", removed=3, days=30)], [{**SESSION, "category": "marketing", "lifetime": 30}], ()),
        ([stored("sid", passed=1, days=400)], [{"name": "sid", "category": "necessary"}], ()),  # no lifetime is stated
        # not declared, or not judged
        ([stored("sid", passed=1)], [], ("unclassified",)),
        ([stored("sid", passed=1)], [{"name": "sid", "category": "unclassified"}], ("unclassified",)),
        ([stored("sid", "/a", passed=1)], [{**SESSION, "path": "/b"}], ("unclassified",)),
        ([stored("sid", domain="x.example", passed=1)], [{**SESSION, "domain": "y.example"}], ("unclassified",)),
        ([stored("sid", domain="x.example", passed=1)], [{**SESSION, "domain": "x.example"}], ()),
        ([stored("sid", passed=1)], [{**SESSION, "domain": "x.example"}], ()),  # of the host alone: which isn't known
        ([stored("sid", passed=1), stored("sid", "/a", passed=1)], [{**SESSION, "path": "/"}], ("unclassified",)),
        # from outside
        ([arrived("sid", 5)], [SESSION], ("outside",)),
        ([arrived("new", 10)], [], ("unclassified", "outside")),
        ([stored("_ga_X1", removed=4), arrived("_ga_X1", 2)], [GA], ("outside",)),
        # longer than declared
        ([stored("sid", passed=1, days=1)], [SESSION], ("longer_lived",)),
        ([stored("_ga_X1", passed=1, days=32)], [GA], ("longer_lived",)),
        ([stored("_ga_X1", passed=1, days=401)], [GA], ("longer_lived", "beyond_400_days")),
        ([stored("sid", passed=1, days=401)], [{"name": "sid", "category": "necessary"}], ("beyond_400_days",)),
        ([stored("_ga_X1", passed=1, days=730)], [{**GA, "lifetime": 400}], ("beyond_400_days",)),  # which is cut
        # ours
        ([stored("__Host-centtrack", passed=1, days=999), arrived("__Host-centtrack", 5)], [], ("beyond_400_days",)),
    ],
)
def test_remarks(rows, entries, remarks):
    review = review_cookies(rows, policy(*entries))
    [cookie] = review.cookies
    if cookie.name != "__Host-centtrack":
        assert cookie.remarks == remarks
    else:
        assert cookie.remarks == ()
    assert review.has_findings == bool({"unclassified", "outside", "longer_lived"} & set(cookie.remarks))


def test_a_cookie_is_summed_up_by_its_name():
    rows = [stored("sid", "/a", "x.example", passed=2, days=1), stored("sid", removed=3), arrived("sid", 7)]
    [cookie] = review_cookies(rows, policy()).cookies
    assert (cookie.seen, cookie.blocked, cookie.arrived, cookie.longest_days) == (2, 3, 7, 1)
    assert (cookie.domains, cookie.paths, cookie.last_seen) == (("x.example",), ("/", "/a"), "2024-10-05")


def test_what_visitors_may_have_made_up_is_only_counted():
    rows = [arrived("ivan@example.org", 9), arrived("many", 10), arrived("sid", 1), stored("set", passed=1)]
    review = review_cookies(rows, policy(SESSION))
    assert [cookie.name for cookie in review.cookies] == ["many", "set", "sid"]
    assert review.hidden == 1
    assert "ivan@example.org" not in repr(review)


def test_what_was_never_seen_and_what_had_no_room():
    review = review_cookies([arrived(OTHERS, 99)], policy(SESSION, GA))
    assert (review.cookies, review.never_seen, review.is_full) == ([], ["sid", "_ga*"], True)
    assert review_cookies([stored("_ga", passed=1)], policy(SESSION, GA)).never_seen == ["sid"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([stored("PHPSESSID", passed=1)], {"name": "PHPSESSID", "category": "necessary", "lifetime": 0}),
        ([stored("_ga_X", passed=1, days=9), stored("_ga_Y", removed=1, days=8)],
         {"name": "_ga_*", "category": "analytics", "lifetime": 9}),
        ([stored("mine", "/shop", "x.example", passed=1, days=800)],
         {"name": "mine", "category": "unclassified", "domain": "x.example", "path": "/shop", "lifetime": 400}),
        ([stored("mine", "/shop", passed=1), stored("mine", passed=1)],
         {"name": "mine", "category": "unclassified", "lifetime": 0}),
        ([arrived("mine", 50)], {"name": "mine", "category": "unclassified"}),  # nobody knows how long it lives
        ([stored("cart[0]", passed=1)], {"name": "cart[[]0]", "category": "unclassified", "lifetime": 0}),
    ],
)  # fmt: skip
def test_what_is_proposed(rows, expected):
    [entry] = review_cookies(rows, policy()).proposals
    proposed = entry.model_dump(exclude_defaults=True)
    proposed.pop("purpose", None)
    assert proposed == expected


def test_what_is_declared_is_not_proposed():
    rows = [stored("sid", passed=1), stored("later", passed=1), arrived("x", 3), stored("", passed=1)]
    assert review_cookies(rows, policy(SESSION, {"name": "later", "category": "unclassified"})).proposals == []


NAMES = st.text(st.characters(max_codepoint=255), max_size=12)
ROWS = st.builds(
    stored, NAMES, st.sampled_from(["", "/", "/a", "/a[b]*"]), st.sampled_from(["", "x.example"]),
    passed=st.integers(0, 3), removed=st.integers(0, 3), arrived=st.integers(0, 20),
    days=st.none() | st.integers(0, 10**9),
)  # fmt: skip


@given(st.lists(ROWS, max_size=8, unique_by=lambda row: row[:3]))
def test_what_was_proposed_is_declared_afterwards(rows):
    """Whatever the names: each proposal fits what it was made of, and the file stays valid."""
    proposals = review_cookies(rows, policy()).proposals
    after = PrivacyPolicy.parse("\n".join(map(write_entry, proposals)))
    assert review_cookies(rows, after).proposals == []
