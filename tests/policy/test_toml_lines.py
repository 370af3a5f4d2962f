import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.policy import PROFILES
from centtrack.policy.policy import profile_text
from centtrack.policy.toml_lines import key_lines

TEXT = '''\
# a comment with a = 1 and [b]
version = "1"
limits.default.ip = "none"

[geo]   # where
databases = [
  "a.mmdb",  # min_population = 3
  "[b].mmdb",
]
min_population = 5
[[cookies]]
name = "a"
purpose = """
name = "not a key"
[not.a.table]
"""
[[cookies]]
"name" = "b"
[ limits . 'consented' ]
  ip = "none"
[[events]]
name = "e"
[events.properties]
price = "number"
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("version",), 2),
        (("limits", "default", "ip"), 3),
        (("geo",), 5),
        (("geo", "databases"), 6),
        (("geo", "min_population"), 10),
        (("cookies", 0), 11),
        (("cookies", 0, "name"), 12),
        (("cookies", 0, "purpose"), 13),
        (("cookies", 1, "name"), 18),
        (("limits", "consented", "ip"), 20),
        (("events", 0, "name"), 22),
        (("events", 0, "properties", "price"), 24),
    ],
)
def test_where_a_key_stands(key, line):
    assert key_lines(TEXT)[key] == line


def test_what_is_text_is_no_key():
    found = key_lines(TEXT)
    assert ("not", "a", "table") not in found
    assert not [key for key in found if "min_population" in key and key != ("geo", "min_population")]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85"])
def test_only_line_feeds_end_a_line(mark):
    """An editor counts these as part of the line, and so does TOML."""
    assert key_lines(f'# a{mark}b\nversion = "1"\n')[("version",)] == 2


def test_line_ends_of_windows():
    assert key_lines('version = "1"\r\n[geo]\r\nlanguage = "ru"\r\n')[("geo", "language")] == 3


@pytest.mark.parametrize("profile", PROFILES)
@given(blank=st.integers(0, 20))
def test_lines_above_move_all_keys_down(profile, blank):
    text = profile_text(profile)
    moved = key_lines("\n" * blank + text)
    assert moved == {key: line + blank for key, line in key_lines(text).items()}
