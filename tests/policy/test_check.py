"""What an officer is warned of, though the policy is valid."""

from fnmatch import fnmatchcase
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.policy import PrivacyPolicy
from centtrack.policy.check import find_warnings

DECLARED = '[consent]\ngate = "declared"\n'
THIRD = '[[sinks]]\nname = "s"\nparty = "third"\n'
ENFORCED = '[consent]\ngate = "enforce"\n'


def entry(name, category="necessary", **more):
    """A table of the registry: `entry("_ga*", "analytics", lifetime=30)`."""
    values = {"name": name, "category": category, **more}
    rows = (f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in values.items())
    return "\n".join(["[[cookies]]", *rows, ""])


def warnings_of(text):
    return find_warnings(PrivacyPolicy.parse(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # how visitors are asked
        ('[consent]\nmode = "implied"\n', ["nobody chose", "never unlocks marketing", "every report"]),
        ("[consent]\ngpc = []\n", ["consent.gpc is empty", "/.well-known/gpc.json"]),
        ('[controller]\nsite = ["shop.kz"]\n[consent]\ndomain = "example.kz"\n', ["consent.domain", "example.kz"]),
        ('[controller]\nsite = ["notshop.kz"]\n[consent]\ndomain = "shop.kz"\n', ["consent.domain", "shop.kz"]),
        # the gate
        (ENFORCED, ["without [[cookies]]", "every cookie of the app is removed"]),
        ('[consent]\ngate = "observe"\n', ["none is removed"]),
        (entry("session"), ["none is removed"]),
        ("[consent]\nhide = true\n", ["consent.hide has no effect"]),
        # sinks
        (THIRD, ['"s" is a third party\'s', "every column", "`fields`"]),
        ('[recipients]\nundeclared_sinks = "refuse"\n', ["without [[sinks]]", "every sink"]),
        (
            '[limits.default]\npage = "path"\n[recipients]\npersonal_data_in = ["KZ"]\n[[sinks]]\nname = "s"\n',
            ["the app refuses this one", "path", "KZ only"],
        ),
        (
            '[limits.default]\npage = "path"\nbrowser = "family"\n[recipients]\nundeclared_sinks = "refuse"\n'
            '[[sinks]]\nname = "s"\nfields = ["os"]\n',
            ["none gets anything of page:"],
        ),
        # the registry
        (DECLARED + entry("a", "unclassified") + entry("b", "unclassified"), ['"a", "b"', "unclassified"]),
        (DECLARED + entry("a", "marketing") + entry("b", "preferences"), ['"a", "b"', "no purpose"]),
        (DECLARED + entry("_ga", "analytics", purpose="visits", lifetime=391), ['"_ga"', "13 months"]),
        # shadowed
        (DECLARED + entry("_ga*") + entry("_ga_main"), ['"_ga_main" never counts', '"_ga*" stands before']),
        (DECLARED + entry("_ga*") + entry("_ga_*"), ['"_ga_*" never counts']),
        (DECLARED + entry("a[bc]") + entry("ab"), ['"ab" never counts']),
        (DECLARED + entry("a") + entry("a", path="/shop"), ['"a" never counts']),
        (DECLARED + entry("a", domain="*.shop.kz") + entry("a", domain="my.shop.kz"), ['"a" never counts']),
        (DECLARED + entry("a", domain=".Shop.kz") + entry("a", domain="shop.kz"), ['"a" never counts']),
    ],
)
def test_one_warning(text, words):
    [warning] = warnings_of(text)
    assert [word for word in words if word not in warning] == []


@pytest.mark.parametrize(
    "text",
    [
        "",  # nobody has said anything: that the gate observes is no news
        DECLARED,
        ENFORCED + entry("session"),
        f"{THIRD}fields = []\n",
        f'[limits.default]\npage = "path"\n[recipients]\npersonal_data_in = ["KZ"]\n{THIRD}fields = ["route"]\n',
        '[recipients]\nundeclared_sinks = "refuse"\n[[sinks]]\nname = "s"\n',
        '[consent]\ndomain = "shop.kz"\n',  # no site is given, so nobody knows
        '[controller]\nsite = ["shop.kz", "other.kz"]\n[consent]\ndomain = "shop.kz"\n',
        '[controller]\nsite = ["My.Shop.kz"]\n[consent]\ndomain = "shop.kz"\n',
        '[consent]\ngate = "declared"\nhide = true\n',
        DECLARED + entry("session", lifetime=400),  # necessary: nobody is asked
        DECLARED + entry("_ga", "analytics", purpose="visits", lifetime=390),
        DECLARED + entry("_ga_main") + entry("_ga*"),  # the name first, then the rest
        DECLARED + entry("a", path="/shop") + entry("a"),
        DECLARED + entry("a", path="/shop") + entry("a", path="/help"),
        DECLARED + entry("a*", domain="shop.kz") + entry("ab", domain="other.kz"),
        DECLARED + entry("a?") + entry("a*"),  # fits more than the first
        DECLARED + entry("*a*") + entry("[ab]"),
        DECLARED + entry("A*") + entry("ab"),  # names are exact
    ],
)
def test_no_warning(text):
    assert warnings_of(text) == []


PATTERNS = st.text("ab*?[]!", min_size=1, max_size=4)
NAMES = ["".join(letters) for length in (1, 2, 3) for letters in product("ab[", repeat=length)]


@given(before=PATTERNS, pattern=PATTERNS)
def test_no_entry_that_counts_is_called_idle(before, pattern):
    counts = any(fnmatchcase(name, pattern) and not fnmatchcase(name, before) for name in NAMES)
    cookies = [{"name": name, "category": "necessary"} for name in (before, pattern)]
    warnings = find_warnings(PrivacyPolicy.parse(DECLARED).changed(cookies=cookies))
    assert not (counts and warnings)
