"""Where journals are kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from centtrack.delivery.paths import default_journal, known_journals
from centtrack.folders import state_folder

SHOP = Path("/srv/shop")


@pytest.mark.skipif(sys.platform != "linux", reason="the variable is Linux's")
def test_the_state_folder_is_where_the_system_wants_it(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "centtrack"


def test_all_workers_of_an_app_share_one():
    first = default_journal("privacy.toml", ["delta:/a", "memory:"], here=SHOP)
    assert default_journal("privacy.toml", ["memory:", "delta:/a"], here=SHOP) == first
    assert first.name == "journal.db"
    assert first.parent.parent == state_folder()
    assert first.parent.name.startswith("shop-")


@pytest.mark.parametrize(
    ("policy", "sinks", "here"),
    [
        ("other.toml", ["memory:"], SHOP),
        ("privacy.toml", ["memory:", "delta:/a"], SHOP),
        ("privacy.toml", ["memory:"], Path("/home/me/shop")),
    ],
    ids=["policy", "sinks", "working directory"],
)
def test_each_app_has_its_own(policy, sinks, here):
    assert default_journal(policy, sinks, here=here) != default_journal("privacy.toml", ["memory:"], here=SHOP)


@pytest.mark.parametrize(
    ("here", "name"),
    [
        ("/srv/shop", "shop-"),
        ("/", "app-"),
        ("/srv/Мой сайт", "app-"),
        ("/srv/a b..c", "a-b-c-"),
        ("/" + "x" * 200, "x" * 32 + "-"),
    ],
)
def test_its_folder_has_a_name_that_any_file_system_takes(here, name):
    folder = default_journal("p", [], here=Path(here)).parent.name
    assert folder.startswith(name)
    assert len(folder) < 64
    assert folder.isascii()


def test_nothing_secret_is_in_its_name():
    journal = default_journal("privacy.toml", ["kafka://user:hunter2@host/topic"], here=SHOP)
    assert "hunter2" not in str(journal)


def test_known_journals_come_with_the_last_used_first():
    assert known_journals() == []
    paths = [default_journal("p", [], here=Path(f"/srv/{name}")) for name in ("old", "new", "middle")]
    for path, used in zip(paths, (1_000, 3_000, 2_000), strict=True):
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (used, used))
    assert known_journals() == [paths[1], paths[2], paths[0]]
