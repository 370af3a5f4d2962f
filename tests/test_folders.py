"""Names and rights of the folders of this user; which folders they are is tested with the journals."""

import os
import stat
from pathlib import Path

from centtrack.folders import make_private_folder, name_of_app


def test_a_name_tells_apps_apart():
    here = Path("/srv/shop")
    names = {name_of_app(here), name_of_app(here, "a"), name_of_app(here, "a", "b"), name_of_app(Path("/srv/2/shop"))}
    assert len(names) == 4
    assert name_of_app(here) == name_of_app(here)


def test_only_the_owner_reads_it(tmp_path):
    old = os.umask(0)
    try:
        make_private_folder(tmp_path / "a" / "b")
    finally:
        os.umask(old)
    make_private_folder(tmp_path / "a" / "b")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", tmp_path / "a" / "b")] == [0o700] * 2
