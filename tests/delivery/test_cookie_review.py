"""The inventory against the registry: what isn't as declared, and what is proposed."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack import PrivacyPolicy
from centtrack.delivery.cookie_review import CookieReview, review_cookies
from centtrack.delivery.journal.cookie_table import OTHERS, StoredCookie
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
        # without an attribute nobody knows the path of the request, or the host
        ([stored("sid", "", passed=1)], [{**SESSION, "path": "/shop"}], ()),
        ([stored("sid", "", "x.example", passed=1)], [{**SESSION, "domain": "x.example", "path": "/shop"}], ()),
        ([stored("sid", "", "x.example", passed=1)], [{**SESSION, "domain": "y.example"}], ("unclassified",)),
        # deleting needs no entry
        ([stored("old", expired=5)], [], ()),
        ([stored("old", expired=5), arrived("old", 9)], [], ("outside",)),
        ([stored("old", expired=5), arrived("old", 10)], [], ("unclassified", "outside")),
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


@pytest.mark.parametrize(
    ("name", "shown", "proposed"),
    [
        ("ivan@example.org", None, None),
        ("ivan%40corp", None, None),
        ("u_+77011234567", None, None),
        ("iin-840101300122", None, None),
        ("cart_8f14e45fceea167a5a36dedd4bea2543", None, None),
        ("remember_web_59ba36addc2b2f9401580f014c7f58ea4e30989d", "remember_web_*", "remember_web_*"),
        ("AWSALB", "AWSALB", "AWSALB"),
    ],
)
def test_names_that_look_personal_are_only_counted(name, shown, proposed):
    """Also if the app set them; what fits a well-known pattern is told by the pattern then."""
    review = review_cookies([stored(name, passed=3), arrived(name, 50)], policy())
    assert [cookie.name for cookie in review.cookies] == [shown] * bool(shown)
    assert [entry.name for entry in review.proposals] == [proposed] * bool(proposed)
    assert review.hidden == (shown is None)
    if shown != name:
        assert name not in repr(review)
        assert review_cookies([arrived(name, 50)], policy()) == CookieReview([], [], 1, is_full=False)


def test_a_personal_name_that_fits_a_pattern_of_the_registry_is_told_by_it():
    """It was seen before the pattern was written."""
    review = review_cookies([arrived("u_ivan@example.org", 1)], policy({"name": "u_*", "category": "necessary"}))
    assert ([cookie.name for cookie in review.cookies], review.hidden) == (["u_*"], 0)
    assert "ivan" not in repr(review)


def test_a_path_that_looks_personal_is_not_told():
    review = review_cookies([stored("x", "/users/ivan@example.org", passed=1)], policy())
    assert review.proposals[0].path is None
    assert "ivan" not in repr(review)


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
        # what visitors send, and the app never set: nothing necessary, and no pattern
        ([arrived("PHPSESSID", 50)], {"name": "PHPSESSID", "category": "unclassified"}),
        ([arrived("_evil_session", 50)], {"name": "_evil_session", "category": "unclassified"}),
        ([arrived("_ga_X", 50)], {"name": "_ga_X", "category": "analytics"}),
        ([arrived("*", 50)], {"name": "[*]", "category": "unclassified"}),
        ([stored("PHPSESSID", expired=5), arrived("PHPSESSID", 50)],
         {"name": "PHPSESSID", "category": "unclassified"}),
        ([stored("_ga_X", passed=1, days=9), arrived("_ga_Y", 50)],  # the app vouches for the pattern
         {"name": "_ga_*", "category": "analytics", "lifetime": 9}),
        ([stored("mine", "", "x.example", passed=1, days=395)],
         {"name": "mine", "category": "unclassified", "domain": "x.example", "lifetime": 395}),
        ([stored("cart[0]", passed=1)], {"name": "cart[[]0]", "category": "unclassified", "lifetime": 0}),
    ],
)  # fmt: skip
def test_what_is_proposed(rows, expected):
    [entry] = review_cookies(rows, policy()).proposals
    proposed = entry.model_dump(exclude_defaults=True)
    proposed.pop("purpose", None)
    assert proposed == expected


def test_what_is_declared_is_not_proposed():
    rows = [stored("sid", passed=1), stored("later", passed=1), arrived("x", 3), stored("", passed=1),
            stored("deleted", expired=9), stored("not,a=name", passed=1)]  # fmt: skip
    assert review_cookies(rows, policy(SESSION, {"name": "later", "category": "unclassified"})).proposals == []


NAMES = st.text(st.characters(max_codepoint=255), max_size=12)
ROWS = st.builds(
    stored, NAMES, st.sampled_from(["", "/", "/a", "/a[b]*"]), st.sampled_from(["", "x.example"]),
    passed=st.integers(0, 3), removed=st.integers(0, 3), expired=st.integers(0, 3), arrived=st.integers(0, 20),
    days=st.none() | st.integers(0, 10**9),
)  # fmt: skip


@given(st.lists(ROWS, max_size=8, unique_by=lambda row: row[:3]))
def test_what_was_proposed_is_declared_afterwards(rows):
    """Whatever the names: each proposal fits what it was made of, and the file stays valid."""
    proposals = review_cookies(rows, policy()).proposals
    after = PrivacyPolicy.parse("\n".join(map(write_entry, proposals)))
    assert review_cookies(rows, after).proposals == []


@given(st.lists(st.sampled_from(["PHPSESSID", "_x_session", "_ga_1", "_ga", "SESS*", "theme"]) | NAMES, max_size=8))
def test_visitors_alone_declare_nothing_necessary_and_no_pattern(names):
    proposals = review_cookies([arrived(name, 50) for name in set(names)], policy()).proposals
    assert all(entry.category != "necessary" for entry in proposals)
    assert all(any(fnmatchcase(name, entry.name) for name in names) for entry in proposals)
    assert not any(fnmatchcase("anything", entry.name) and "anything" not in names for entry in proposals)
    assert not any("*" in entry.name.replace("[*]", "") for entry in proposals)
