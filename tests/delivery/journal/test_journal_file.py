"""The journal's file: made, opened, shared by processes; and what isn't a journal is left alone."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.journal.journal_file import JournalGoneError
from centtrack.delivery.journal.label import read_label
from centtrack.delivery.journal.schema import VERSION
from centtrack.delivery.records import Encoded
from centtrack.errors import JournalError
from journals import ACCEPTED, accept, append_batches


def test_its_folder_and_files_are_the_owners_only(tmp_path):
    before = os.umask(0)
    try:
        journal = Journal(tmp_path / "state" / "journal.db")
        journal.open()
        accept(journal, b"a")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "state").iterdir()}
        journal.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert modes == {
        "journal.db": 0o600,
        "journal.db-wal": 0o600,
        "journal.db-shm": 0o600,
        "journal.db.lock": 0o600,
        "journal.db.reserve": 0o600,
    }


def test_it_is_not_opened_through_a_symbolic_link(tmp_path, path):
    path.symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(OSError, match="symbolic"):
        Journal(path).open()
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_newer_version_is_refused_and_kept(opened, path):
    journal = opened()
    accept(journal, b"precious")
    journal.database.pragma("user_version", VERSION + 1)
    journal.close()
    before = path.read_bytes()
    for open_it in (Journal(path).open, Journal(path).open_existing, lambda: read_counts(path)):
        with pytest.raises(JournalError, match="update centtrack, or name another file with journal="):
            open_it()
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"my notes\n" * 1_000, b"SQLite format 3\0" + b"x" * 5_000])
def test_a_file_that_is_no_database_is_refused_and_kept(path, content):
    path.write_bytes(content)
    for open_it in (Journal(path).open, Journal(path).open_existing):
        with pytest.raises(JournalError, match="not a journal"):
            open_it()
    assert path.read_bytes() == content


@pytest.mark.parametrize("version", [0, VERSION])
def test_a_database_of_another_program_is_refused_and_kept(path, version):
    with sqlite3.connect(path) as database:
        database.execute("create table customer (name text)")
        database.execute(f"pragma user_version = {version}")
    database.close()
    before = path.read_bytes()
    for open_it in (Journal(path).open, Journal(path).open_existing, lambda: read_counts(path)):
        with pytest.raises(JournalError, match="not a journal"):
            open_it()
    assert path.read_bytes() == before


def test_one_that_is_not_there_is_not_made_by_reading(path):
    with pytest.raises(JournalError, match="no journal"):
        Journal(path).open_existing()
    assert list(path.parent.iterdir()) == []


def test_it_says_that_it_is_not_open(path):
    with pytest.raises(JournalError, match="not open"):
        Journal(path).has_pending("s")


def test_its_id_stays(opened):
    first, second = opened(), opened()
    assert first.id == second.id != ""


def test_several_processes_create_it_and_append_at_once(opened, path):
    processes, batches = 4, 200
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        pool.starmap(append_batches, [(path, f"w{number}", batches) for number in range(processes)])
        pool.close()
        pool.join()
    counts = read_counts(path)
    assert {worker.name: worker.accepted for worker in counts.workers} == {f"w{n}": batches for n in range(processes)}
    journal = opened()
    found = [row[0].decode() for row in journal.database.execute("select events from batch order by sequence")]
    expected = [f"w{worker}/{number}" for worker in range(processes) for number in range(batches)]
    assert sorted(found) == sorted(expected)
    for worker in range(processes):  # each one's in its order
        assert [one for one in found if one.startswith(f"w{worker}/")] == [f"w{worker}/{n}" for n in range(batches)]


def test_a_failed_transaction_leaves_nothing(opened):
    journal = opened()
    with pytest.raises(apsw.Error):
        journal.append(Encoded(2, b"a", [(None, "id", b"b")]), worker="w", counts={ACCEPTED: 2})
    assert read_counts(journal.path).sinks == []
    assert journal.database.execute("select count(*) from batch").get == 0


@pytest.mark.parametrize("content", [None, b"", b"their lock, not ours"])
@pytest.mark.parametrize("name", ["README.md", "notes.db"])
def test_no_lock_file_stays_behind_for_what_is_no_journal(tmp_path, name, content):
    """`journal="README.md"` is a slip; a lock file of another program beside it stays as it is."""
    path, lock = tmp_path / name, tmp_path / f"{name}.lock"
    path.write_bytes(b"my notes\n" * 1_000)
    if content is not None:
        lock.write_bytes(content)
    for open_it in (Journal(path).open, Journal(path).open_existing):
        with pytest.raises(JournalError, match="not a journal"):
            open_it()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        name: b"my notes\n" * 1_000, **({} if content is None else {lock.name: content})
    }  # fmt: skip


def test_no_lock_file_stays_behind_when_several_try(path):
    path.write_bytes(b"my notes\n" * 1_000)

    def try_it(_):
        with pytest.raises(JournalError, match="not a journal"):
            Journal(path).open()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(try_it, range(40)))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_files_whose_names_differ_in_their_ends_are_apart(tmp_path):
    """A journal by the name of settings is a slip: they stay, though a journal lies beside them."""
    Journal(tmp_path / "app.db").open()
    (tmp_path / "app.toml").write_text("[settings]\n" * 500)
    with pytest.raises(JournalError, match="not a journal"):
        Journal(tmp_path / "app.toml").open()
    assert (tmp_path / "app.toml").read_text() == "[settings]\n" * 500
    assert list(tmp_path.glob("*.corrupt-*")) == []


@pytest.mark.parametrize("name", ["j.lock", "j", "журнал 1.db", "a\nb"])
def test_names_it_may_have(tmp_path, name):
    path = tmp_path / name
    for _ in range(2):
        journal = Journal(path)
        journal.open()
        accept(journal, b"a")
        journal.close()
    assert read_label(tmp_path / f"{name}.lock").journal_id == journal.id
    assert [worker.accepted for worker in read_counts(path).workers] == [2]


@pytest.mark.parametrize(("is_synced", "synchronous"), [(False, 1), (True, 2)])
def test_whether_a_commit_waits_for_the_disk(opened, is_synced, synchronous):
    assert opened(is_synced=is_synced).database.pragma("synchronous") == synchronous


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists its locks")
def test_opening_it_twice_in_a_process_keeps_the_locks_of_the_first(opened, path):
    """A process that closes a file loses all its locks on it, those of SQLite's other connections included."""

    def locks():
        lines = Path("/proc/locks").read_text().splitlines()
        return [line.split()[1:] for line in lines if f":{path.stat().st_ino} " in line]

    opened()
    before = locks()
    opened()
    assert before == locks() != []


@pytest.mark.parametrize("is_replaced", [False, True])
def test_one_that_was_removed_takes_nothing_more(opened, path, is_replaced):
    journal = opened()
    journal.register("s")
    path.rename(path.with_name("elsewhere.db"))
    if is_replaced:
        opened()
    for change in (lambda: accept(journal, b"a"), lambda: journal.advance("s", 1, 0)):
        with pytest.raises(JournalGoneError):
            change()
    journal.close()
    journal.open()
    accept(journal, b"b")
    assert sum(worker.accepted for worker in read_counts(path).workers) == 1
    assert read_counts(path).set_aside == []  # somebody's wish, no damage
