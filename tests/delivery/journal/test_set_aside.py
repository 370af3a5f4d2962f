"""A damaged journal: set aside, counted, and a new one begins. What others own is left alone."""

from __future__ import annotations

import contextlib
import os
import random
import shutil

import apsw
import pytest

from centtrack.delivery import clock
from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.journal.journal_file import JournalGoneError
from centtrack.delivery.journal.label import Label, read_label, write_label
from centtrack.delivery.journal.schema import APPLICATION_ID, VERSION
from centtrack.delivery.journal.set_aside import JournalDamagedError, is_damage, name_aside
from centtrack.errors import JournalError
from journals import EXCLUDED, OFFERED, accept, hold

PAGE = 4_096
LONG = os.environ.get("CENTTRACK_FAULTS") == "long"


def fill(path, events=400):
    """A journal that was in use: two sinks, what was delivered, withheld, refused and what waits."""
    journal = Journal(path)
    journal.open()
    journal.begin_worker("w", os.getpid())
    for sink in ("fast", "slow"):
        journal.register(sink)
    for number in range(events):
        accept(journal, b"%05d" % number + b"x" * 400)
    accept(journal, counts={OFFERED: 2, EXCLUDED: 2})
    hold(journal, 2**40, {"id": b"held"})
    first = journal.next_batch("fast", 100)
    journal.advance("fast", first.last, 90, [("rejected: bad", b"bad letter")] * 4, {"consent": 6})
    journal.note_error("slow", "OSError: down")
    return journal


def open_anew(path):
    """What a process does that starts with what is there."""
    journal = Journal(path)
    journal.open()
    return journal


def damage(path, start=PAGE, stop=None):
    """Overwrite pages. All connections are closed, so that the log is in the file."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * ((stop or path.stat().st_size) - start))


def sinks(path):
    return {sink.name: sink for sink in read_counts(path).sinks}


def asides(path):
    """Files that were set aside, without their logs."""
    return sorted(
        file.name for file in path.parent.iterdir() if ".corrupt-" in file.name and file.suffix[-4:] != "-wal"
    )


def is_usable(journal):
    journal.register("new")
    accept(journal, b"a")
    return journal.next_batch("new", 10).lines == b"a\n"


# What becomes of it


def test_one_that_is_garbage_is_set_aside_when_it_is_opened(path):
    fill(path).close()
    old_id = read_label(path.with_name("journal.db.lock")).journal_id
    damage(path, 0)
    before = path.read_bytes()
    journal = open_anew(path)
    assert is_usable(journal)
    journal.close()
    [aside] = asides(path)
    assert (path.parent / aside).read_bytes() == before
    assert aside.startswith("journal.db.corrupt-2")
    assert [(one.name, one.events) for one in read_counts(path).set_aside] == [(aside, None)]
    assert read_counts(path).closes
    assert old_id != journal.id == read_label(path.with_name("journal.db.lock")).journal_id


def test_one_that_was_emptied_is_set_aside_when_it_is_opened(path):
    fill(path).close()
    os.truncate(path, 0)
    journal = open_anew(path)
    assert is_usable(journal)
    journal.close()
    assert len(asides(path)) == 1
    assert [one.events for one in read_counts(path).set_aside] == [None]


@pytest.mark.parametrize("offset", [0, 16, 18], ids=["magic", "page_size", "format"])
def test_damage_in_the_header(path, offset):
    fill(path).close()
    damage(path, offset, offset + 2)
    journal = open_anew(path)
    assert is_usable(journal)
    journal.close()
    assert len(asides(path)) == 1


def test_another_application_id_is_mended(path):
    """It says whose the file is, and so does the lock file: what is in it is whole."""
    fill(path).close()
    old_id = read_label(path.with_name("journal.db.lock")).journal_id
    before = read_counts(path)
    damage(path, 68, 72)
    assert read_counts(path) == before
    with contextlib.closing(open_anew(path)) as journal:
        assert journal.id == old_id
        assert journal.database.pragma("application_id") == APPLICATION_ID
    assert asides(path) == []


def test_any_bit_of_the_header_may_flip(tmp_path, path):
    """It is usable still, or said to be damaged; versions that may come one day are refused."""
    fill(path, 20).close()
    before, refused = path.read_bytes(), {}
    for bit in range(800):
        other = tmp_path / str(bit) / path.name
        other.parent.mkdir()
        other.write_bytes(flipped(before, bit))
        shutil.copy(path.with_name("journal.db.lock"), other.parent)  # it says that this is a journal
        if reason := refusal(other):
            refused[VERSION ^ 1 << 8 * (63 - bit // 8) + bit % 8] = reason
    assert refused.keys() == {VERSION ^ 1 << place for place in range(2, 10)}
    assert all("update centtrack" in reason for reason in refused.values())


def refusal(path):
    """Why a journal can't be used, if that isn't noticed as damage."""
    try:
        with contextlib.closing(open_anew(path)) as journal:
            return None if asides(path) or is_usable(journal) else "unusable"
    except (JournalError, apsw.Error) as error:
        return None if is_damage(error) else str(error)


def flipped(data, bit):
    """One bit changed."""
    place = bit // 8
    return data[:place] + bytes([data[place] ^ 1 << bit % 8]) + data[place + 1 :]


def test_while_it_is_in_use(path):
    """The one that finds the damage sets it aside; the others see that it is gone, and open the new one."""
    first = fill(path)
    other = open_anew(path)
    first.set_aside(apsw.CorruptError("database disk image is malformed"))
    with pytest.raises(JournalGoneError):
        accept(other, b"not accepted")
    other.set_aside(apsw.CorruptError("seen at the same moment"))  # too late: nothing happens
    for journal in (first, other):
        journal.open()
    assert first.id == other.id
    assert is_usable(other)
    for journal in (first, other):
        journal.close()
    assert len(asides(path)) == 1
    assert read_counts(path).closes


def test_its_counters_go_on(path):
    journal = fill(path, 400)
    journal.set_aside(apsw.CorruptError(""))
    journal.open()
    counts = read_counts(path)
    assert counts.closes
    assert {worker.name: (worker.offered, worker.accepted, worker.dropped) for worker in counts.workers} == {
        "w": (403, 401, {"excluded": 2})
    }
    fast, slow = counts.sinks
    assert (fast.accepted, fast.delivered, fast.withheld, fast.dead_lettered) == (401, 90, {"consent": 6}, 4)
    assert (fast.lost, fast.pending, fast.retries) == ({"corrupt": 301}, 0, 0)
    assert (slow.accepted, slow.delivered, slow.lost, slow.retries) == (401, 0, {"corrupt": 401}, 1)
    assert [one.events for one in counts.set_aside] == [401]
    accept(journal, b"after")
    assert [sink.pending for sink in read_counts(path).sinks] == [1, 1]
    journal.end_worker("w")
    assert read_counts(path).closes
    journal.close()


def test_the_sinks_go_on_where_the_new_one_begins(path):
    journal = fill(path)
    journal.next_batch("slow", 100)  # and its bounds are stored
    journal.set_aside(apsw.CorruptError(""))
    journal.open()
    accept(journal, b"after")
    for sink in ("fast", "slow"):
        stored = journal.next_batch(sink, 100)
        assert (stored.lines, stored.repeated) == (b"after\n", False)
        journal.advance(sink, stored.last, 1)
    assert read_counts(path).closes
    journal.close()


def test_a_second_time(path):
    journal = fill(path)
    journal.set_aside(apsw.CorruptError(""))
    journal.open()
    accept(journal, b"a", b"b")
    journal.set_aside(apsw.CorruptError(""))
    journal.open()
    counts = read_counts(path)
    assert counts.closes
    assert [one.events for one in counts.set_aside] == [401, 2]
    assert {sink.lost["corrupt"] for sink in counts.sinks} == {303, 403}
    journal.close()


def test_a_killed_process_left_it_half_done(path):
    """At each step: the next one to open it goes on there, and nothing is forgotten."""
    lock = path.with_name("journal.db.lock")
    for step in range(4):
        journal = fill(path, 20)
        aside = name_aside(path)
        if step >= 0:
            write_label(lock, Label(aside=aside.name))
        if step >= 1:
            path.rename(aside)
        if step >= 2:
            path.with_name("journal.db-wal").rename(aside.with_name(aside.name + "-wal"))
        if step >= 3:
            path.touch()
        journal.close()
        journal = open_anew(path)
        counts = read_counts(path)
        assert counts.closes
        assert counts.set_aside[-1].name == aside.name
        assert counts.set_aside[-1].events is not None, step
        assert read_label(lock).journal_id == journal.id
        journal.close()
        for file in path.parent.iterdir():
            file.unlink()


def test_every_byte_of_it_may_be_another(path):
    """Truncated anywhere, bits flipped anywhere: used as it is or set aside, and what is delivered was once written."""
    chance = random.Random(random.random())
    for _ in range(600 if LONG else 60):
        fill(path, 60).close()
        size = path.stat().st_size
        if chance.random() < 0.3:
            os.truncate(path, chance.randrange(size))
        else:
            data = bytearray(path.read_bytes())
            for _ in range(chance.choice([1, 20, 400])):
                at = chance.randrange(100, size)  # the header is a test of its own: its version may get newer
                data[at] ^= 1 << chance.randrange(8)
            path.write_bytes(data)
        _use_until_over(path)
        for file in path.parent.iterdir():
            file.unlink()


def _use_until_over(path):
    """What recorder and deliverer do with a journal, setting it aside when it is damaged."""
    written = [b"%05d" % number + b"x" * 400 for number in range(60)]
    for _ in range(3):
        journal = Journal(path)
        try:
            journal.open()
            journal.register("fast")
            accept(journal, b"new")
            journal.release(2**41)
            while stored := journal.next_batch("fast", 25):
                lines = stored.lines.splitlines()
                assert set(lines) <= {*written, b"new", b"held"}  # nothing that was never written
                journal.advance("fast", stored.last, len(lines), lost={"damaged": stored.damaged})
            journal.tidy()
            return
        except (apsw.Error, JournalDamagedError) as error:
            if is_damage(error):
                journal.set_aside(error)
            else:
                raise
        finally:
            journal.close()
    pytest.fail("it is damaged again and again")


# What is no damage


def test_a_file_that_never_was_ours_is_refused_and_kept(path):
    path.write_bytes(b"\xff" * 9_000)
    path.with_name("journal.db.lock").touch()
    with pytest.raises(JournalError, match="not a journal"):
        Journal(path).open()
    assert path.read_bytes() == b"\xff" * 9_000
    assert asides(path) == []


def test_a_database_that_took_its_place_is_refused_and_kept(path):
    fill(path).close()
    path.unlink()
    database = apsw.Connection(str(path))
    database.execute("create table customer (name text)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match="some other program's database"):
        Journal(path).open()
    assert (path.read_bytes(), asides(path)) == (before, [])


def test_one_that_a_newer_version_upgraded_meanwhile_is_refused_and_kept(path):
    """Its tables may have other names then, which looks like damage to those that run still."""
    journal = fill(path)
    journal.database.pragma("user_version", VERSION + 1)
    journal.set_aside(apsw.SQLError("no such table: batch"))
    assert asides(path) == []
    with pytest.raises(JournalError, match="update centtrack"):
        journal.open()


def test_reading_its_counters_moves_nothing(path):
    fill(path).close()
    damage(path, 0)
    with pytest.raises(JournalError):
        read_counts(path)
    assert asides(path) == []


def test_one_that_was_removed_is_somebodys_wish(path):
    fill(path).close()
    path.unlink()
    journal = open_anew(path)
    journal.close()
    counts = read_counts(path)
    assert (counts.workers, counts.set_aside) == ([], [])


def test_one_that_was_being_made_when_its_process_was_killed(path):
    path.touch()
    open_anew(path).close()
    assert asides(path) == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (apsw.CorruptError("malformed"), True),
        (apsw.NotADBError("file is not a database"), True),
        (apsw.SQLError("no such table: batch"), True),
        (JournalDamagedError("no id"), True),
        (apsw.SQLError("near x: syntax error"), False),
        (apsw.FullError("database or disk is full"), False),
        (apsw.IOError("disk I/O error"), False),
        (apsw.ReadOnlyError("attempt to write a readonly database"), False),
        (JournalGoneError("removed"), False),
        (OSError("no space"), False),
    ],
)
def test_what_is_damage(error, expected):
    assert is_damage(error) is expected


def test_names_do_not_collide(path, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: 86_400.0)
    found = []
    for _ in range(3):
        found.append(name_aside(path))
        found[-1].touch()
    assert [file.name for file in found] == [f"journal.db.corrupt-19700102-000000{end}" for end in ("", "-2", "-3")]


# The lock file's text


def test_a_label_comes_back(path):
    path.touch()
    for label in (Label("abc"), Label(aside="journal.db.corrupt-20260101-000000"), Label("d" * 32), Label()):
        write_label(path, label)
        assert read_label(path) == label


@pytest.mark.parametrize("label", [Label("abc"), Label(aside="a.db.corrupt-20260101-000000")])
def test_a_label_of_another_journal_does_not_count(tmp_path, label):
    """Somebody copied or renamed files: it is written anew."""
    (tmp_path / "a.db.lock").touch()
    write_label(tmp_path / "a.db.lock", label)
    assert read_label(tmp_path / "a.db.lock") == label
    (tmp_path / "a.db.lock").rename(tmp_path / "b.db.lock")
    assert read_label(tmp_path / "b.db.lock") == Label()
    write_label(tmp_path / "b.db.lock", Label("def"))
    assert read_label(tmp_path / "b.db.lock") == Label("def")


@pytest.mark.parametrize("text", [b"their lock\n", b"journal \n", b"aside ../x.corrupt-1\n", b"\xff\xfe" * 900])
def test_a_label_is_not_written_into_somebody_elses_file(path, text):
    path.write_bytes(text)
    write_label(path, Label("abc"))
    assert (path.read_bytes(), read_label(path)) == (text, Label())


def test_a_missing_label_is_empty(path):
    assert read_label(path) == Label()
