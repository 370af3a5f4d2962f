import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.capture.cookies import CookieRegistry, cookie_names
from centtrack.policy.levels import Cookies
from centtrack.policy.model import Cookie

REGISTRY = (
    Cookie(name="session", category="necessary"),
    Cookie(name="_ga*", category="analytics"),
    Cookie(name="theme", category="preferences"),
)


def reduced(lines, level):
    """As the lines of a request's header are counted: joined, as RFC 9113, 8.2.3 has it."""
    return CookieRegistry(REGISTRY).reduce(b"; ".join(lines), level)


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
    assert reduced(lines, Cookies.NONE) is None
    assert reduced(lines, Cookies.COUNTS) == counts
    assert reduced(lines, Cookies.NAMES) == names


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_only_words_of_the_policy_come_out(lines):
    assert set(reduced(lines, Cookies.NAMES)) <= {"session", "_ga*", "theme", "unclassified"}
    assert all(b"=" not in name for name in cookie_names(b"; ".join(lines)))


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_names_and_counts_agree(lines):
    names, counts = (reduced(lines, level) for level in (Cookies.NAMES, Cookies.COUNTS))
    assert sum(names.values()) == sum(counts.values())
