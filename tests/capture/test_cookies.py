import tracemalloc
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.capture.capture import Capture
from centtrack.capture.cookies import CookieCounter
from centtrack.consent.registry import CookieRegistry
from centtrack.cookies import read_names
from centtrack.policy import PrivacyPolicy
from centtrack.policy.levels import Cookies
from centtrack.policy.model import Cookie

REGISTRY = (
    Cookie(name="session", category="necessary"),
    Cookie(name="_ga*", category="analytics"),
    Cookie(name="theme", category="preferences"),
    Cookie(name="new_*", category="unclassified"),
)


def counter(entries=REGISTRY):
    return CookieCounter(CookieRegistry(entries))


def reduced(lines, level):
    """As the lines of a request's header are counted: joined, as RFC 9113, 8.2.3 has it."""
    return counter().reduce(read_names(b"; ".join(lines)), level)


@pytest.mark.parametrize(
    ("lines", "counts", "names"),
    [
        ([], {}, {}),
        ([b"session=secret"], {"necessary": 1}, {"session": 1}),
        ([b"_ga=1; _ga_ABC123=2"], {"analytics": 2}, {"_ga*": 2}),  # the entry's name, not the cookie's
        (
            [b"session=1; theme=2", b"_ga=3"],
            {"analytics": 1, "necessary": 1, "preferences": 1},
            {"_ga*": 1, "session": 1, "theme": 1},
        ),
        ([b"ivan@example.com=1"], {"unclassified": 1}, {"unclassified": 1}),  # a name could be anything
        ([b"new_b=1"], {"unclassified": 1}, {"unclassified": 1}),  # nobody has judged it
        ([b"Session=1"], {"unclassified": 1}, {"unclassified": 1}),  # names are exact
        ([b"session\xc2\xa0=1"], {"unclassified": 1}, {"unclassified": 1}),  # space and tab only are trimmed
        ([b"\tsession =1"], {"necessary": 1}, {"session": 1}),
        ([b"no pair; =;;"], {"unclassified": 1}, {"unclassified": 1}),
        ([b"a=b=c;session=x"], {"necessary": 1, "unclassified": 1}, {"session": 1, "unclassified": 1}),
    ],
)
def test_counts_and_names(lines, counts, names):
    assert reduced(lines, Cookies.NONE) is None
    assert reduced(lines, Cookies.COUNTS) == counts
    assert reduced(lines, Cookies.NAMES) == names


def test_our_own_cookies_are_known(observation):
    levels = '[limits.default]\ncookies = "names"\n[limits.consented]\nvisitor = "cookie"\n'
    capture = Capture(PrivacyPolicy.parse(levels))
    capture.warm()
    cookies = b"__Host-centtrack=1; __Host-centtrack-visitor=2; centtrack-other=3"
    event = capture.capture(observation(headers=[(b"cookie", cookies)]))
    assert event.cookies == {"__Host-centtrack": 1, "__Host-centtrack-visitor": 1, "unclassified": 1}


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_only_words_of_the_policy_come_out(lines):
    assert set(reduced(lines, Cookies.NAMES)) <= {"session", "_ga*", "theme", "unclassified"}


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_names_and_counts_agree(lines):
    names, counts = (reduced(lines, level) for level in (Cookies.NAMES, Cookies.COUNTS))
    assert sum(names.values()) == sum(counts.values())


@pytest.mark.parametrize(
    ("order", "names"),
    [
        (("_ga_main", "_ga*"), {"_ga*": 1, "_ga_main": 1}),
        (("_ga*", "_ga_main"), {"_ga*": 2}),
        (("_g?_*", "_g[ab]_*"), {"_g?_*": 2}),
    ],
)
def test_the_first_entry_that_fits_counts(order, names):
    """A glob that stands before a name takes that name, too."""
    entries = [Cookie(name=name, category="analytics") for name in order]
    assert counter(entries).reduce(read_names(b"_ga_main=1; _ga_x=1"), Cookies.NAMES) == names


@given(st.lists(st.text("ab*?[]!-", min_size=1, max_size=4), max_size=5), st.text("ab*?[]!-", max_size=4))
def test_globs_mean_what_the_shell_means(globs, name):
    entries = [Cookie(name=glob, category="analytics") for glob in globs]
    fits = next((glob for glob in globs if name == glob or fnmatchcase(name, glob)), "unclassified")
    assert counter(entries).reduce(read_names(f"{name}=1".encode()), Cookies.NAMES) == {fits: 1}


def test_names_behind_the_hundredth_are_not_looked_at():
    header = b"; ".join([b"a=1"] * 99 + [b"session=1"] + [b"session=1"] * 30)
    assert reduced([header], Cookies.COUNTS) == {"necessary": 1, "unclassified": 129}


@pytest.mark.parametrize("name", [b"a" * 100, b"a"], ids=["long", "short"])
def test_names_are_counted_alike_whether_they_are_remembered_or_not(name):
    header = b"; ".join(name + b"%d=1" % number for number in range(50)) + b"; theme=1"
    cookies = counter()
    for _ in range(2):
        assert cookies.reduce(read_names(header), Cookies.COUNTS) == {"preferences": 1, "unclassified": 50}


def test_caches_stay_small_whatever_is_sent():
    cookies = counter()
    tracemalloc.start()
    try:
        for number in range(1_100):
            cookies.reduce(
                read_names(b";".join(b"name-%d-%d=1" % (number, other) for other in range(150))), Cookies.COUNTS
            )
            cookies.reduce(read_names(b";".join(b"n%d-%d=1" % (number, other) for other in range(60))), Cookies.COUNTS)
        assert tracemalloc.get_traced_memory()[0] < 4_000_000
    finally:
        tracemalloc.stop()
