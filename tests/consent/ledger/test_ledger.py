"""The ledger on real databases: nothing is lost, and nothing is changed unseen."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from centtrack.consent.ledger import tables as ledger_tables
from centtrack.consent.ledger.chain import FIRST, Head, Seal, digest_of, link_of
from centtrack.consent.ledger.ledger import Ledger, open_ledger
from centtrack.consent.ledger.place import default_place
from centtrack.consent.ledger.records import ErasureRecord, ShownText, write_record
from centtrack.consent.ledger.stats import count_records
from centtrack.consent.ledger.verification import MAX_FINDINGS
from centtrack.errors import ConfigurationError, LedgerError, MissingExtraError
from databases import postgresql_server
from ledgers import NEW_SECRET, SECRET, TABLES, record, write
from processes import python, run_python
from servers import free_port
from waiting import eventually

SPAWN = multiprocessing.get_context("spawn")
WORKERS = 8
EACH = int(os.environ.get("CENTTRACK_TEST_LEDGER_RECORDS", "125"))  # a worker; 1000 for the figure in the docs


def drop_tables(url):
    import psycopg

    with psycopg.connect(url) as connection:
        for table in TABLES:
            connection.execute(f"drop table if exists {table}")


@pytest.fixture
def sqlite_where(tmp_path):
    return tmp_path / "state" / "shop" / "consent.db"


@pytest.fixture
def postgresql_where(postgresql_url):
    drop_tables(postgresql_url)
    return postgresql_url


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request):
    """Where a ledger is kept; nothing is there yet."""
    return request.getfixturevalue(f"{request.param}_where")


@pytest.fixture
def ledger(where):
    """A ledger with room for a slow machine."""
    made = Ledger(where, [SECRET], timeout_s=30)
    yield made
    made.close()


def filled(ledger, count=6):
    records = [record() for _ in range(count)]
    for one in records:
        ledger.append(one)
    return records


def execute(ledger, statement, **values):
    """What somebody does who can change the database, with the library or without."""
    with raw_connection(ledger) as connection:
        connection.execute(sa.text(statement), values)


@contextlib.contextmanager
def raw_connection(ledger):
    where = ledger._where
    url = sa.URL.create("sqlite", database=str(where)) if isinstance(where, Path) else where
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        yield connection


def whats(verification):
    return {finding.what for finding in verification.findings}


# What it keeps


def test_what_is_kept_is_found(ledger):
    shown = ShownText("May we count your visit?", "en")
    grant = record(text_hash=shown.hash)
    ledger.append(grant, shown)
    withdrawal = record(kind="withdrawal", receipt=grant.receipt, states={"analytics": "withdrawn"})
    ledger.append(withdrawal)
    ledger.append(record(receipt=None, states={"analytics": "refused"}))
    second = record(replaces=grant.receipt)
    third = record(replaces=second.receipt)
    ledger.append(second)
    ledger.append(third)
    assert ledger.find(grant.receipt) == [grant, withdrawal]
    assert ledger.find(third.receipt) == [grant, withdrawal, second, third]
    assert ledger.find("0" * 32) == []
    assert len(list(ledger.records())) == 5
    assert ledger.texts() == [(shown.hash, shown)]
    assert ledger.verify().stands
    assert ledger.head().number == 5


def test_a_text_is_kept_once(ledger):
    shown = ShownText("Сәлем", "kk")
    for _ in range(3):
        ledger.append(record(text_hash=shown.hash), shown)
    ledger.append(record(text_hash=shown.hash))
    assert len(ledger.texts()) == 1
    assert ledger.verify().stands


@pytest.mark.parametrize("shown", [None, ShownText("another", "en")])
def test_a_text_that_nobody_has_is_no_proof(ledger, shown):
    with pytest.raises(LedgerError, match="give the one that was shown"):
        ledger.append(record(text_hash="0" * 64), shown)
    ledger.append(record())
    assert ledger.head().number == 1


def test_what_is_no_record_is_not_kept(ledger):
    with pytest.raises(LedgerError):
        ledger.append(record(receipt="no id"))


def test_more_than_one_read_brings(ledger):
    """Rows are read some at a time."""
    records = [record() for _ in range(1_003)]
    with ledger._opened()[1].transaction(time.monotonic() + 60, "create") as connection:
        for one in records:
            head = ledger_tables.lock_head(connection, ledger._seal)
            ledger_tables.append(connection, head, one, write_record(one), ledger._seal)
    assert list(ledger.records()) == records
    verification = ledger.verify()
    assert (verification.stands, verification.records) == (True, 1_003)


# What is changed in it is found

CHANGES = {
    "body": "update centtrack_consent_entry set body = replace(body, 'given', 'refused') where number = 3",
    "body's spaces": "update centtrack_consent_entry set body = body || ' ' where number = 3",
    "receipt": "update centtrack_consent_entry set receipt = null where number = 3",
    "replaces": "update centtrack_consent_entry set replaces = receipt where number = 3",
    "salt": "update centtrack_consent_entry set salt = digest where number = 3",
    "digest": "update centtrack_consent_entry set digest = link where number = 3",
    "previous": "update centtrack_consent_entry set previous = link where number = 3",
    "link": "update centtrack_consent_entry set link = previous where number = 3",
    "number": "update centtrack_consent_entry set number = 30 where number = 3",
    "number of the last": "update centtrack_consent_entry set number = 7 where number = 6",
    "number below 1": "update centtrack_consent_entry set number = -3 where number = 3",
    "body gone": "update centtrack_consent_entry set body = null where number = 3",
    "erased by hand": "update centtrack_consent_entry set body = null, salt = null, receipt = null where number = 3",
    "removed": "delete from centtrack_consent_entry where number = 3",
    "first removed": "delete from centtrack_consent_entry where number = 1",
    "two removed": "delete from centtrack_consent_entry where number in (3, 4)",
    "tail cut": "delete from centtrack_consent_entry where number > 4",
    "all removed": "delete from centtrack_consent_entry",
    "head's number": "update centtrack_consent_head set number = 5",
    "head's link": f"update centtrack_consent_head set link = '{'0' * 64}'",
    "head's link is none": "update centtrack_consent_head set link = 'none'",
    "head's time": "update centtrack_consent_head set time = '2020-01-01T00:00Z'",
    "head's mac": f"update centtrack_consent_head set mac = '{'0' * 64}'",
    "head unsigned": "update centtrack_consent_head set mac = null",
    "head moved on": "update centtrack_consent_head set number = 9000000000000000000",
    "head gone": "delete from centtrack_consent_head",
    "doubled at the end": "insert into centtrack_consent_entry select 7, receipt, replaces, body, salt, digest, "
    "previous, link from centtrack_consent_entry where number = 3",
    "doubled as zero": "insert into centtrack_consent_entry select 0, receipt, replaces, body, salt, digest, "
    "previous, link from centtrack_consent_entry where number = 3",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found(ledger, change):
    filled(ledger)
    assert ledger.verify().stands
    execute(ledger, CHANGES[change])
    verification = ledger.verify()
    assert not verification.stands
    assert all(finding.words[0].isupper() for finding in verification.findings)
    assert verification.found <= 4  # one change isn't told of every record behind it


@pytest.mark.parametrize("change", ["salt", "digest", "previous", "link", "body", "removed", "tail cut"])
def test_most_changes_are_found_without_the_secret(where, ledger, change):
    filled(ledger)
    execute(ledger, CHANGES[change])
    verification = Ledger(where, timeout_s=30).verify()
    assert not verification.stands
    assert not verification.is_keyed


def test_two_that_changed_places(ledger):
    filled(ledger)
    for one, other in ((2, 100), (4, 2), (100, 4)):
        execute(ledger, "update centtrack_consent_entry set number = :new where number = :old", old=one, new=other)
    assert whats(ledger.verify()) == {"order"}


def test_one_that_was_inserted(ledger):
    """With a body, digest and link that fit, and those behind it moved up."""
    filled(ledger)
    for number in (6, 5, 4, 3):
        execute(
            ledger, "update centtrack_consent_entry set number = :new where number = :old", old=number, new=number + 1
        )
    body, salt = write_record(record(receipt=None)), bytes(16)
    with raw_connection(ledger) as connection:
        previous = connection.scalar(sa.text("select link from centtrack_consent_entry where number = 2"))
        digest = digest_of(salt, body)
        row = (3, None, None, body, salt, digest, bytes(previous), link_of(3, bytes(previous), digest))
        connection.execute(sa.insert(ledger_tables._entry), dict(zip(ledger_tables._entry.c.keys(), row, strict=True)))
    assert "order" in whats(ledger.verify())


def test_a_text_of_bytes(sqlite_where):
    ledger = Ledger(sqlite_where, [SECRET], timeout_s=30)
    shown = ShownText("May we count your visit?", "en")
    ledger.append(record(text_hash=shown.hash), shown)
    execute(ledger, "update centtrack_consent_text set text = x'00'")
    assert whats(ledger.verify()) == {"text"}


def test_a_text_that_was_changed(ledger):
    shown = ShownText("May we count your visit?", "en")
    ledger.append(record(text_hash=shown.hash), shown)
    execute(ledger, "update centtrack_consent_text set text = 'We count your visit.'")
    assert whats(ledger.verify()) == {"text"}
    execute(ledger, "delete from centtrack_consent_text")
    assert whats(ledger.verify()) == {"text"}


def test_a_text_whose_language_was_changed(ledger):
    shown = ShownText("May we count your visit?", "en")
    ledger.append(record(text_hash=shown.hash), shown)
    execute(ledger, "update centtrack_consent_text set language = 'kk'")
    assert whats(ledger.verify()) == {"text"}


def insert_text(ledger, shown):
    query = "insert into centtrack_consent_text values (:hash, :language, :text)"
    execute(ledger, query, hash=shown.hash, language=shown.language, text=shown.text)


def test_a_text_that_no_record_names(ledger):
    filled(ledger)
    insert_text(ledger, ShownText("May we sell your visit?", "en"))
    (finding,) = ledger.verify().findings
    assert (finding.what, finding.number) == ("text", None)
    assert finding.words == "Texts that no record names: 1. Erasures explain 0: inserted."


def test_a_text_whose_records_were_erased_stays(ledger):
    """It is the site's and not the visitor's; but each record that was erased explains one only."""
    shown = ShownText("May we count your visit?", "en")
    one = record(text_hash=shown.hash)
    ledger.append(one, shown)
    ledger.erase(one.receipt)
    assert ledger.texts() == [(shown.hash, shown)]
    assert ledger.verify().stands
    insert_text(ledger, ShownText("May we sell your visit?", "en"))
    assert whats(ledger.verify()) == {"text"}


def test_findings_come_in_order(ledger):
    shown = ShownText("May we count your visit?", "en")
    ledger.append(record(text_hash=shown.hash), shown)
    filled(ledger, 4)
    execute(ledger, "update centtrack_consent_entry set body = body || ' ' where number = 4")
    execute(ledger, "update centtrack_consent_entry set body = null, salt = null, receipt = null where number = 3")
    execute(ledger, "update centtrack_consent_text set text = 'We count your visit.'")
    execute(ledger, "update centtrack_consent_head set number = 3")
    assert [finding.number for finding in ledger.verify().findings] == [1, 3, 4, None]


def test_a_secret_that_is_missing_is_told_from_a_change(where, ledger):
    filled(ledger, 1)
    (finding,) = Ledger(where, [NEW_SECRET], timeout_s=30).verify().findings
    assert finding.words == (
        "The head isn't signed by the secrets given: either a secret is missing from $CENTTRACK_SECRET, or the chain "
        "was rewritten."
    )
    execute(ledger, "update centtrack_consent_head set mac = null")
    (finding,) = ledger.verify().findings
    assert finding.words.startswith("The head isn't signed at all: either no secret was set")


def rewrite(ledger, secrets, *, until=6):
    """Make the chain anew, with other records, by somebody who knows how it is made."""
    with raw_connection(ledger) as connection:
        connection.execute(sa.text("delete from centtrack_consent_entry"))
        link, seal = FIRST, Seal(secrets)
        head = seal.make_head(0, link, "2026-11-22T21:05Z")
        connection.execute(sa.text("update centtrack_consent_head set number = 0, link = :link"), {"link": head.link})
        for _ in range(until):
            one = record(states={"analytics": "given", "marketing": "given"})
            head = ledger_tables.append(connection, head, one, write_record(one), seal)


def test_a_chain_that_was_rewritten_without_the_secret(ledger):
    filled(ledger)
    rewrite(ledger, [])
    assert whats(ledger.verify()) == {"mac"}
    rewrite(ledger, [NEW_SECRET])
    assert whats(ledger.verify()) == {"mac"}


@pytest.mark.parametrize("until", [6, 9])
def test_a_chain_that_was_rewritten_with_the_secret(ledger, until):
    filled(ledger)
    exported = ledger.head()
    rewrite(ledger, [SECRET], until=until)
    assert ledger.verify().stands
    assert whats(ledger.verify(exported)) == {"exported_head"}


def test_a_tail_that_was_cut_with_its_head(ledger):
    """As by restoring an old backup."""
    filled(ledger, 4)
    with raw_connection(ledger) as connection:
        old = connection.execute(sa.text("select number, link, time, mac from centtrack_consent_head")).one()._asdict()
    filled(ledger, 2)
    exported = ledger.head()
    execute(ledger, "delete from centtrack_consent_entry where number > 4")
    execute(ledger, "update centtrack_consent_head set number = :number, link = :link, time = :time, mac = :mac", **old)
    assert ledger.verify().stands
    (finding,) = ledger.verify(exported).findings
    assert finding.words == "The exported head is of record 6, the chain ends at 4: cut."


def test_an_exported_head_stays_on_the_chain(ledger):
    records = filled(ledger)
    heads = [ledger.head()]
    ledger.erase(records[2].receipt)
    heads.append(ledger.head())
    filled(ledger, 3)
    assert all(ledger.verify(head).stands for head in heads)


@pytest.mark.parametrize(
    "change",
    [{"mac": None}, {"mac": "0" * 64}, {"link": "0" * 64}, {"number": 5}, {"number": 0}, {"number": 2**63 - 1}],
)
def test_an_exported_head_that_was_changed(ledger, change):
    filled(ledger)
    head = ledger.head()
    changed = Head(**{**{name: getattr(head, name) for name in head.__struct_fields__}, **change})
    assert whats(ledger.verify(changed)) == {"exported_head"}


def test_findings_are_told_up_to_a_limit(sqlite_where):
    ledger = Ledger(sqlite_where, [SECRET], timeout_s=30)
    filled(ledger, MAX_FINDINGS + 20)
    execute(ledger, "update centtrack_consent_entry set body = '{}'")
    verification = ledger.verify()
    assert (len(verification.findings), verification.found) == (MAX_FINDINGS, MAX_FINDINGS + 20)


def test_a_body_of_bytes_that_are_no_text(sqlite_where):
    ledger = Ledger(sqlite_where, [SECRET], timeout_s=30)
    filled(ledger)
    execute(ledger, "update centtrack_consent_entry set body = cast(x'ff00fe' as text) where number = 2")
    assert "altered" in whats(ledger.verify())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_value_of_any_row(data):
    """Whatever it is changed to."""
    column = data.draw(st.sampled_from(["receipt", "replaces", "body", "salt", "digest", "previous", "link"]))
    value = data.draw(st.none() | st.binary() | st.text() | st.integers(-(2**63), 2**63 - 1))
    place = {"value": value, "number": data.draw(st.integers(1, 4))}
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "consent.db", [SECRET], timeout_s=30)
        records = filled(ledger, 3)
        ledger.erase(records[1].receipt)
        query = f"select {column} from centtrack_consent_entry where number = :number"
        with raw_connection(ledger) as connection:
            before = connection.scalar(sa.text(query), place)
            with contextlib.suppress(sa.exc.IntegrityError):
                change = f"update centtrack_consent_entry set {column} = :value where number = :number"
                connection.execute(sa.text(change), place)
            after = connection.scalar(sa.text(query), place)
        assert ledger.verify().stands == (before == after)


# Erasing


def test_erased_is_said_and_the_chain_stands(ledger):
    records = filled(ledger)
    receipt = records[2].receipt
    ledger.append(record(kind="withdrawal", receipt=receipt, states={"analytics": "withdrawn"}))
    assert ledger.erase(receipt) == 2
    verification = ledger.verify()
    assert (verification.stands, verification.records, verification.erased) == (True, 8, 2)
    assert ledger.find(receipt) == []
    *kept, erasure = ledger.records()
    assert kept == [one for one in records if one.receipt != receipt]
    assert isinstance(erasure, ErasureRecord)
    assert erasure.erased == (3, 7)
    assert ledger.erase(receipt) == 0
    assert ledger.head().number == 8


def test_nothing_of_it_stays_in_the_file(sqlite_where):
    ledger = Ledger(sqlite_where, [SECRET], timeout_s=30)
    records = filled(ledger)
    assert records[2].receipt.encode() in sqlite_where.read_bytes()
    ledger.erase(records[2].receipt)
    left = b"".join(path.read_bytes() for path in sqlite_where.parent.iterdir())
    assert records[2].receipt.encode() not in left
    assert records[2].record_id.encode() not in left


def test_an_erased_one_that_got_a_body_again(ledger):
    records = filled(ledger)
    with raw_connection(ledger) as connection:
        old = connection.execute(
            sa.text("select body, salt, receipt from centtrack_consent_entry where number = 3")
        ).one()
    ledger.erase(records[2].receipt)
    change = "update centtrack_consent_entry set body = :body, salt = :salt, receipt = :receipt where number = 3"
    execute(ledger, change, **old._asdict())
    assert whats(ledger.verify()) == {"restored"}


# Secrets


def test_secrets_are_rotated(where):
    filled(Ledger(where, [SECRET], timeout_s=30))
    filled(Ledger(where, [SECRET, NEW_SECRET], timeout_s=30))
    assert Ledger(where, [NEW_SECRET], timeout_s=30).verify().stands
    assert whats(Ledger(where, [SECRET], timeout_s=30).verify()) == {"mac"}


def test_nobody_signs_what_somebody_else_wrote(ledger):
    """Or whoever rewrote the chain would only have to wait for the next visitor."""
    filled(ledger)
    rewrite(ledger, [])
    with pytest.raises(LedgerError, match="isn't signed by any of the secrets"):
        ledger.append(record())
    assert whats(ledger.verify()) == {"mac"}


def test_a_signed_ledger_is_not_written_without_a_secret(where, ledger):
    (one,) = filled(ledger, 1)
    without = Ledger(where, timeout_s=30)
    with pytest.raises(LedgerError, match="CENTTRACK_SECRET"):
        without.append(record())
    with pytest.raises(LedgerError, match="CENTTRACK_SECRET"):
        without.erase(one.receipt)
    verification = without.verify()
    assert (verification.stands, verification.is_keyed) == (True, False)


def test_without_any_secret(where):
    ledger = Ledger(where, timeout_s=30)
    filled(ledger)
    verification = ledger.verify(ledger.head())
    assert (verification.stands, verification.is_keyed, verification.head.mac) == (True, False, None)


# Many writers


@pytest.mark.timeout(600)
def test_many_processes_write_one_chain(where):
    workers = [SPAWN.Process(target=write, args=(where, EACH)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(550)
    assert [worker.exitcode for worker in workers] == [0] * WORKERS
    ledger = Ledger(where, [SECRET], timeout_s=30)
    verification = ledger.verify()
    assert (verification.findings, verification.records) == ((), WORKERS * EACH)
    assert len({one.record_id for one in ledger.records()}) == WORKERS * EACH
    ledger.close()


def test_many_threads_write_one_chain(ledger):
    threads = [threading.Thread(target=filled, args=(ledger, 15)) for _ in range(12)]
    for thread in threads:
        thread.start()
    verifications = [ledger.verify() for _ in range(10)]  # while they write
    for thread in threads:
        thread.join()
    assert all(verification.stands for verification in verifications)
    verification = ledger.verify()
    assert (verification.findings, verification.records) == ((), 12 * 15)


def test_verify_while_others_erase(ledger):
    records = filled(ledger, 30)
    threads = [threading.Thread(target=ledger.erase, args=(one.receipt,)) for one in records[::3]]
    for thread in threads:
        thread.start()
        assert ledger.verify().stands
    for thread in threads:
        thread.join()
    verification = ledger.verify()
    assert (verification.stands, verification.erased) == (True, 10)


def test_a_forked_process_writes_too(where, ledger):
    filled(ledger, 2)
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=filled, args=(ledger, 20)) for _ in range(3)]
    for child in children:
        child.start()
    filled(ledger, 20)
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    verification = ledger.verify()
    assert (verification.findings, verification.records) == ((), 82)


def test_a_writer_that_is_killed(where):
    """What it was told is kept is there, and the chain is whole."""
    written = SPAWN.Queue()
    worker = SPAWN.Process(target=write, args=(where, 1_000_000, written))
    worker.start()
    known = [written.get(timeout=60) for _ in range(50)]
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(30)
    ledger = Ledger(where, [SECRET], timeout_s=30)
    assert ledger.verify().stands
    assert all(ledger.find(receipt) for receipt in known)
    ledger.append(record())
    assert ledger.verify().stands
    ledger.close()


# Databases that are away or not what they should be


def test_files_are_the_owners_only(sqlite_where):
    old = os.umask(0)
    try:
        filled(Ledger(sqlite_where, [SECRET], timeout_s=30))
    finally:
        os.umask(old)
    assert {stat.S_IMODE(path.stat().st_mode) for path in sqlite_where.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(sqlite_where.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(sqlite_where.parent.parent.stat().st_mode) == 0o700


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "consent.db").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LedgerError, match="it is a link"):
        Ledger(tmp_path / "consent.db").append(record())
    assert not (tmp_path / "elsewhere").exists()


def test_reading_makes_nothing(where, sqlite_where):
    ledger = Ledger(where, [SECRET], timeout_s=30)
    assert ledger.find("0" * 32) == []
    for read in (ledger.head, ledger.verify, lambda: ledger.erase("0" * 32)):
        with pytest.raises(LedgerError, match=r"no such file|no ledger yet"):
            read()
    assert not sqlite_where.parent.exists()


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "consent.db").write_bytes(b"no database at all, but long enough to look at" * 50)
    with pytest.raises(LedgerError, match="not a database"):
        Ledger(tmp_path / "consent.db").append(record())


def test_a_folder_is_no_ledger(tmp_path):
    """And not one that is still to come, either."""
    with pytest.raises(LedgerError, match="it is no file"):
        Ledger(tmp_path).find("0" * 32)


def test_a_folder_that_can_not_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="file"):
        Ledger(tmp_path / "file" / "consent.db").append(record())


def test_a_file_that_was_removed_begins_anew(sqlite_where):
    ledger = Ledger(sqlite_where, [SECRET], timeout_s=30)
    filled(ledger)
    exported = ledger.head()
    sqlite_where.unlink()
    filled(ledger, 2)
    assert ledger.verify().records == 2
    assert whats(ledger.verify(exported)) == {"exported_head"}


def test_a_newer_version_is_refused(ledger):
    filled(ledger)
    execute(ledger, "update centtrack_consent_meta set version = 2")
    for use in (ledger.verify, ledger.head, lambda: ledger.append(record())):
        with pytest.raises(LedgerError, match="version 2, this centtrack knows 1: update centtrack"):
            use()


def test_another_program_that_holds_the_file(sqlite_where):
    """SQLite's own locks, which our file lock knows nothing of."""
    ledger, hasty = (Ledger(sqlite_where, [SECRET], timeout_s=seconds) for seconds in (30, 0.5))
    filled(ledger, 1)
    other = sqlite3.connect(sqlite_where, isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(LedgerError, match=r"no answer within 0.5 s|locked"):
        hasty.append(record())
    other.execute("rollback")
    other.close()
    eventually(lambda: _appends(hasty))
    assert ledger.verify().stands


def _appends(ledger):
    try:
        ledger.append(record())
    except LedgerError:
        return False
    return True


HOLDER = """
import sys
from pathlib import Path
from centtrack.locks import FileLock
lock = FileLock(Path(sys.argv[1]))
lock.acquire(blocking=True)
print("held", flush=True)
sys.stdin.readline()
"""


def test_a_writer_that_hangs_with_the_lock(sqlite_where):
    """Others give up in time; what they gave up isn't done later."""
    ledger = Ledger(sqlite_where, [SECRET], timeout_s=30)
    filled(ledger, 1)
    hasty = Ledger(sqlite_where, [SECRET], timeout_s=0.2)
    with python(HOLDER, sqlite_where.with_name("consent.db.lock")) as holder:
        assert holder.stdout.readline() == "held\n"
        for _ in range(6):
            with pytest.raises(LedgerError, match=r"no answer within 0.2 s"):
                hasty.append(record())
    eventually(lambda: not any(thread.name == "centtrack-ledger" for thread in threading.enumerate()))
    verification = ledger.verify()
    assert (verification.findings, verification.records) == ((), 1)


def test_a_server_that_never_answers():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ledger = Ledger(f"postgresql://officer:hunter2@127.0.0.1:{port}/consent", [SECRET], timeout_s=0.3)
        with pytest.raises(LedgerError, match="no answer within") as refused:
            ledger.append(record())
    assert "hunter2" not in f"{refused.value!r} {ledger!r} {ledger}"
    assert "officer" not in f"{refused.value!r} {ledger!r} {ledger}"


def test_nobody_listens():
    ledger = Ledger(f"postgresql://officer:hunter2@127.0.0.1:{free_port()}/consent", [SECRET], timeout_s=30)
    with pytest.raises(LedgerError, match=r"127.0.0.1:\d+: cannot connect: no server listens there$") as refused:
        ledger.append(record())
    assert refused.value.__cause__ is refused.value.__context__ is None  # a traceback would tell the password


def test_a_connection_that_hangs(postgresql_where):
    """The server's process of an open connection stands still, as on a host that froze."""
    ledger = Ledger(f"{postgresql_where}?application_name=hangs", [SECRET], timeout_s=1)
    eventually(lambda: _appends(ledger))
    with raw_connection(ledger) as connection:
        query = "select pid from pg_stat_activity where pid <> pg_backend_pid() and application_name = 'hangs'"
        pids = list(connection.scalars(sa.text(query)))
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(LedgerError, match="no answer within 1 s"):
            ledger.append(record())
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    eventually(lambda: _appends(ledger))
    assert Ledger(postgresql_where, [SECRET], timeout_s=30).verify().stands
    ledger.close()


def test_a_row_that_somebody_else_locked(postgresql_where):
    ledger = Ledger(postgresql_where, [SECRET], timeout_s=1)
    eventually(lambda: _appends(ledger))
    with raw_connection(ledger) as connection:
        connection.execute(sa.text("select 1 from centtrack_consent_head for update"))
        with pytest.raises(LedgerError, match=r"no answer within 1 s|holds a lock|took too long"):
            ledger.append(record())
    eventually(lambda: _appends(ledger))
    assert Ledger(postgresql_where, [SECRET], timeout_s=30).verify().stands
    ledger.close()


def test_a_server_that_is_stopped_and_started_again(monkeypatch):
    monkeypatch.delenv("CENTTRACK_TEST_POSTGRESQL_URL", raising=False)
    with postgresql_server() as url:
        ledger = Ledger(url, [SECRET], timeout_s=30)
        filled(ledger, 2)
        with raw_connection(ledger) as connection:
            data = Path(connection.scalar(sa.text("select current_setting('data_directory')")))
        options = " ".join((data / "postmaster.opts").read_text().split()[1:]).replace('"', "")
        control_postgresql(data, "-m", "immediate", "stop")
        try:
            with pytest.raises(LedgerError, match=r"no server listens|connection was lost|was stopped"):
                ledger.append(record())
        finally:
            control_postgresql(data, "-l", data.parent / "log", "-o", options, "start")
        eventually(lambda: _appends(ledger))
        verification = ledger.verify()
        assert (verification.findings, verification.records) == ((), 3)
        ledger.close()


def control_postgresql(data, *arguments):
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    program = str(binaries[-1] / "pg_ctl") if binaries else "pg_ctl"
    command = [*as_user, program, "-D", data, "-w", *arguments]
    subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


# Where it is


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "name a file"),
        ("mysql://officer:hunter2@host/db", "mysql:// isn't known"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("postgresql://officer:hunter2@host:port/db", "that is no URL"),
    ],
)
def test_what_is_refused_at_start(url, message):
    with pytest.raises(ConfigurationError, match=message) as refused:
        Ledger(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("module", "extra"), [("sqlalchemy", "consent"), ("psycopg", "postgresql")])
def test_an_extra_that_is_missing_is_named(module, extra):
    source = """
import sys
sys.modules[sys.argv[1]] = None
from centtrack.consent.ledger.ledger import Ledger
try:
    Ledger("postgresql://host/database")
except Exception as error:
    print(type(error).__name__, error.extra)
"""
    assert run_python(source, module).strip() == f"{MissingExtraError.__name__} {extra}"


def test_the_ledger_of_an_app(tmp_path, monkeypatch):
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    ledgers = tmp_path / "state" / "centtrack" / "consent"
    assert re.fullmatch(rf"<Ledger {ledgers}/shop-[0-9a-f]{{8}}\.db>", repr(open_ledger(None)))
    assert default_place(tmp_path / "shop") == default_place()
    assert default_place(tmp_path / "blog" / "shop") != default_place()
    monkeypatch.setenv("CENTTRACK_LEDGER", str(tmp_path / "other.db"))
    assert repr(open_ledger(None)) == f"<Ledger {tmp_path / 'other.db'}>"
    assert repr(open_ledger(f"sqlite:///{tmp_path}/a.db")) == f"<Ledger {tmp_path / 'a.db'}>"
    assert repr(open_ledger("postgres://u:p@db/x")) == "<Ledger in PostgreSQL at db>"
    assert repr(open_ledger("postgres://u:p@db:6432/x")) == "<Ledger in PostgreSQL at db:6432>"


# Counting


def test_counts(sqlite_where):
    ledger = Ledger(sqlite_where, [SECRET], timeout_s=30)
    ledger.append(record(states={"analytics": "given", "marketing": "refused"}))
    ledger.append(record(states={"analytics": "refused", "marketing": "refused"}, receipt=None, method="banner"))
    ledger.append(
        record(states={"analytics": "given", "marketing": "withdrawn"}, language="ru", time="2026-12-01T00:00Z")
    )
    ledger.append(record(kind="withdrawal", states={"analytics": "withdrawn"}))
    gone = record()
    ledger.append(gone)
    ledger.erase(gone.receipt)
    stats = count_records(ledger.records())
    assert (stats.decisions, stats.withdrawals, stats.erasures, stats.erased) == (3, 1, 1, 1)
    assert (stats.answers["analytics"].given, stats.answers["analytics"].acceptance) == (2, 2 / 3)
    assert (stats.answers["marketing"].refused, stats.answers["marketing"].acceptance) == (3, 0)
    assert stats.by == {
        "method": {"form": 2, "banner": 1},
        "language": {"kk": 2, "ru": 1},
        "month": {"2026-11": 2, "2026-12": 1},
        "policy": {"1": 3},
    }


def test_one_version_of_two_policies(sqlite_where):
    ledger = Ledger(sqlite_where, [SECRET], timeout_s=30)
    for consent_hash in ("a" * 16, "b" * 16, "b" * 16):
        ledger.append(record(consent_hash=consent_hash))
    ledger.append(record(policy_version="2", consent_hash="c" * 16))
    stats = count_records(ledger.records())
    assert stats.by["policy"] == {"1": 3, "2": 1}
    assert stats.policies == {"1": {"a" * 16: 1, "b" * 16: 2}, "2": {"c" * 16: 1}}
