"""The reserve file: a full disk doesn't keep the journal from being emptied."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.journal.quota import JournalFullError
from centtrack.delivery.journal.reserve import SIZE, Reserve, free_bytes
from centtrack.delivery.records import Limits
from journals import accept


def test_it_takes_real_room_and_gives_it_back(tmp_path):
    reserve = Reserve(tmp_path / "journal.db")
    reserve.make(0)
    file = tmp_path / "journal.db.reserve"
    assert reserve.is_there
    assert file.stat().st_blocks * 512 >= SIZE
    assert [reserve.release(), reserve.release()] == [True, False]
    assert not reserve.is_there


def test_it_is_not_made_at_the_cost_of_what_must_stay_free(tmp_path):
    reserve = Reserve(tmp_path / "journal.db")
    reserve.make(2**60)
    assert list(tmp_path.iterdir()) == []


def test_one_that_was_half_made_is_completed(tmp_path):
    (tmp_path / "journal.db.reserve").write_bytes(b"x")
    reserve = Reserve(tmp_path / "journal.db")
    assert not reserve.is_there
    reserve.make(0)
    assert reserve.is_there


def test_a_folder_that_is_gone_is_no_trouble(tmp_path):
    reserve = Reserve(tmp_path / "gone" / "journal.db")
    reserve.make(0)
    assert not reserve.release()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 24 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("no disk may be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    """Fill a disk to the last byte."""
    file = folder / "somebody-elses"
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as stream:
        while stream.write(bytes(65_536)):
            pass
    assert free_bytes(folder) == 0
    return file


@pytest.mark.parametrize("min_free", [0, 1_000_000])
def test_a_full_disk_is_emptied_by_delivery(small_disk, min_free):
    """New events are refused, accepted ones are delivered, and it goes on when there is room again."""
    path = small_disk / "journal.db"
    journal = Journal(path, limits=Limits(min_free=min_free))
    journal.open()
    journal.register("s")
    accepted = 0
    with contextlib.suppress(JournalFullError, apsw.FullError):
        while accepted < 50:
            accept(journal, b"x" * 100_000)
            accepted += 1
    journal.database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)  # to write to it again takes room
    in_the_way = fill(small_disk)
    with pytest.raises((JournalFullError, apsw.FullError)):
        accept(journal, b"x" * 100_000)
    while stored := journal.next_batch("s", 1):
        journal.advance("s", stored.last, stored.total)
    [sink] = read_counts(path).sinks
    assert (sink.delivered, sink.pending, sink.closes) == (accepted, 0, True)
    assert not journal.reserve.is_there  # it was what made room
    in_the_way.unlink()
    journal.housekeep("s", None)
    assert (small_disk / "journal.db.reserve").stat().st_size == SIZE
    accept(journal, b"x" * 100_000)
    assert read_counts(path).closes
    journal.close()
