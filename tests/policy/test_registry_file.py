"""Entries of the registry, appended to a policy file that somebody wrote by hand."""

from __future__ import annotations

import stat

import pytest

from centtrack import PrivacyPolicy
from centtrack.errors import ConfigurationError, PolicyError
from centtrack.policy.model import Cookie
from centtrack.policy.registry_file import append_cookies

ENTRIES = [
    Cookie(name="sid", category="necessary", lifetime=0, purpose={"en": "Visit", "ru": "Посещение", "kk": "Келу"}),
    Cookie(name="odd\\<>#", category="unclassified", domain="x.example", path="/shop", lifetime=7),
]
BY_HAND = """# Our policy. Ask legal before changing it.
version   =   "7"   # spaced oddly

[[cookies]]   # the first
name = "old"
category = 'necessary'

[bots]
record = "label"
# the end, without a line's end"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "privacy.toml"


@pytest.mark.parametrize("text", [BY_HAND, BY_HAND + "\n", BY_HAND.replace("\n", "\r\n"), ""], ids=len)
def test_what_stands_there_stays_byte_for_byte(file, text):
    file.write_bytes(text.encode())
    appended = append_cookies(file, ENTRIES)
    after = file.read_bytes()
    assert after.startswith(text.encode())
    assert (b"\r\n" in after) == ("\r\n" in text)
    assert after.replace(b"\r\n", b"\n").decode().endswith(appended)
    found = PrivacyPolicy.load(file).document
    assert list(found.cookies[-2:]) == ENTRIES
    assert found.version == ("7" if text else "1")


def test_what_is_written(file):
    file.write_text("")
    assert (
        append_cookies(file, ENTRIES)
        == """# Proposed from a list of well-known cookies: check it.
[[cookies]]
name = "sid"
category = "necessary"
purpose = { en = "Visit", ru = "Посещение", kk = "Келу" }
lifetime = 0

# Nobody has judged this one yet: what is it for? Until then it counts as unknown.
[[cookies]]
name = "odd\\\\<>#"
category = "unclassified"
domain = "x.example"
path = "/shop"
purpose = ""
lifetime = 7
"""
    )


@pytest.mark.parametrize(
    ("text", "commented"),
    [
        ("# Our policy — ask §5\n", True),
        ('version = "9" # spaced\n[purposes]\nanalytics = "Улучшать сервис"\n', True),  # a text, no comment
        ("# Наша политика\n", False),
        ('version = "9"  # Біздің саясат\n', False),
    ],
)
def test_no_english_comment_in_a_file_of_another_language(file, text, commented):
    file.write_text(text, encoding="utf-8")
    assert ("#" in append_cookies(file, ENTRIES[:1])) is commented


def test_mode_and_link_stay(tmp_path, file):
    file.write_text(BY_HAND)
    file.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    append_cookies(link, ENTRIES)
    assert (link.is_symlink(), stat.S_IMODE(file.stat().st_mode)) == (True, 0o640)
    assert len(PrivacyPolicy.load(file).document.cookies) == 3
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link.toml", "privacy.toml"]


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ('version = "1"\ncookies = []\n', ConfigurationError, "line 2: the registry stands in one value"),
        ('cookies = [{ name = "a", category = "necessary" }]\n', ConfigurationError, 'name = "sid"'),
        ('versoin = "1"\n', PolicyError, 'Did you mean "version"'),
        (None, ConfigurationError, "can't read"),
    ],
)
def test_what_cannot_be_appended_to_is_left_as_it_is(file, text, error, says):
    if text is not None:
        file.write_text(text)
    with pytest.raises(error, match=says):
        append_cookies(file, ENTRIES)
    assert (file.read_text() if file.exists() else None) == text
    assert len(list(file.parent.iterdir())) == (text is not None)
