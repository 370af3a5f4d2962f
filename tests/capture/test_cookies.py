import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.capture.cookies import cookie_names, reduce_cookies
from centtrack.policy.levels import Cookies
from centtrack.policy.model import Cookie

REGISTRY = (
    Cookie(name="session", category="necessary"),
    Cookie(name="_ga*", category="analytics"),
    Cookie(name="theme", category="preferences"),
)


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
        ([b"Session=1"], {"unclassified": 1}, {"unclassified": 1}),  # names are exact
        ([b"session\xc2\xa0=1"], {"unclassified": 1}, {"unclassified": 1}),  # space and tab only are trimmed
        ([b"\tsession =1"], {"necessary": 1}, {"session": 1}),
        ([b"no pair; =;;"], {"unclassified": 1}, {"unclassified": 1}),
        ([b"a=b=c;session=x"], {"necessary": 1, "unclassified": 1}, {"session": 1, "unclassified": 1}),
    ],
)
def test_counts_and_names(lines, counts, names):
    assert reduce_cookies(lines, REGISTRY, Cookies.NONE) is None
    assert reduce_cookies(lines, REGISTRY, Cookies.COUNTS) == counts
    assert reduce_cookies(lines, REGISTRY, Cookies.NAMES) == names


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_only_words_of_the_policy_come_out(lines):
    assert set(reduce_cookies(lines, REGISTRY, Cookies.NAMES)) <= {"session", "_ga*", "theme", "unclassified"}
    assert all("=" not in name for name in cookie_names(lines))


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_names_and_counts_agree(lines):
    names, counts = (reduce_cookies(lines, REGISTRY, level) for level in (Cookies.NAMES, Cookies.COUNTS))
    assert sum(names.values()) == sum(counts.values())
