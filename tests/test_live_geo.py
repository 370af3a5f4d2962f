"""A geo database that is replaced while the app runs."""

import shutil

import pytest

from asgi import Recording, body, sending, start
from centtrack import PrivacyPolicy
from centtrack.testing import make_scope
from mmdb import rename_mmdb, write_mmdb
from waiting import eventually

HERE = "203.0.113.0/24"


def named(city):
    return {HERE: {"country_code": "KZ", "state1": "Somewhere", "city": city}}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site whose recorder looks at its database with every batch, and visits to it."""
    monkeypatch.setattr("centtrack.geo.databases._CHECK_EVERY_S", 0.0)
    database = write_mmdb(tmp_path / "geo.mmdb", named("Before"))
    policy = PrivacyPolicy.parse(
        f'[limits.default]\ngeo = "city"\ntime = "second"\n[geo]\ndatabases = ["{database}"]\nmin_population = 0'
    )
    recording = Recording(tmp_path, sending(start(), body(b"x")), policy=policy)

    def visit():
        seen = len(recording.sink.events)
        recording.serve(make_scope(client=("203.0.113.7", 1)))
        return eventually(lambda: recording.sink.events[seen:])[0].city

    yield visit, database
    recording.close()


def test_a_new_file_is_in_use_without_a_restart(site):
    visit, database = site
    assert visit() == "Before"
    rename_mmdb(database, named("After"))
    assert eventually(lambda: visit() == "After")


@pytest.mark.parametrize("harm", ["damaged", "in place", "gone"])
def test_a_broken_one_leaves_the_old_in_use(site, harm, caplog):
    visit, database = site
    assert visit() == "Before"
    if harm == "damaged":
        whole = database.read_bytes()
        (database.parent / "half").write_bytes(whole[: len(whole) // 2])
        shutil.move(database.parent / "half", database)
    elif harm == "in place":
        database.write_bytes(b"")
    else:
        database.unlink()
    assert [visit() for _ in range(5)] == ["Before"] * 5
    assert eventually(lambda: visit() and "stays in use" in caplog.text)
