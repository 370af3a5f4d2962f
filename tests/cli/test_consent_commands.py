"""`consent verify`, `export`, `erase` and `stats`."""

import contextlib
import csv
import io
import json
import sqlite3
import stat

import pytest

from centtrack.consent.ledger.ledger import Ledger
from centtrack.consent.ledger.place import default_place
from centtrack.consent.ledger.records import ShownText
from ledgers import NEW_SECRET, SECRET, record

SHOWN = ShownText("May we count your visit?", "en")


@pytest.fixture
def path(tmp_path):
    """Where the only ledger of this user is, of an app in another folder."""
    return tmp_path / "state" / "centtrack" / "consent" / "shop-1.db"


@pytest.fixture
def records(path, monkeypatch):
    """What is in it: a grant, a refusal, a grant with a withdrawal."""
    monkeypatch.setenv("CENTTRACK_SECRET", f"{SECRET.decode()}, {NEW_SECRET.decode()}")
    monkeypatch.delenv("CENTTRACK_LEDGER", raising=False)
    ledger = Ledger(path, [SECRET], timeout_s=30)
    grant = record(text_hash=SHOWN.hash, purposes=('=HYPERLINK("http://evil.example")',))
    refusal = record(receipt=None, states={"analytics": "refused", "marketing": "refused"}, language="ru")
    other = record(jurisdiction="-1+1")
    withdrawal = record(kind="withdrawal", receipt=other.receipt, states={"analytics": "withdrawn"})
    kept = [grant, refusal, other, withdrawal]
    for one in kept:
        ledger.append(one, SHOWN)
    ledger.close()
    return kept


def change(path, statement):
    with sqlite3.connect(path) as database:
        database.execute(statement)
    database.close()


def test_verify(cli, records):
    verified = cli("consent", "verify")
    assert (verified.code, verified.out) == (0, "The chain stands. 4 records, 0 of them erased.\n")


def test_verify_without_the_secret_says_so(cli, records, monkeypatch):
    monkeypatch.delenv("CENTTRACK_SECRET")
    verified = cli("consent", "verify")
    assert verified.code == 0
    assert "who signed the head wasn't checked" in verified.out


def test_verify_finds(cli, records, path):
    change(path, "delete from centtrack_consent_entry where number = 2")
    verified = cli("consent", "verify", "--write-head", "head.json")
    assert verified.code == 1
    assert verified.out == "Record 2 was removed\nThe ledger doesn't stand. 3 records, 0 of them erased; 1 finding.\n"


def test_a_head_that_is_kept_elsewhere(cli, records, path, tmp_path):
    old = path.read_bytes()
    assert cli("consent", "erase", records[0].receipt).code == 0
    written = cli("consent", "verify", "--write-head", "head.json")
    assert "The head of record 5 is in head.json." in written.out
    assert stat.S_IMODE((tmp_path / "head.json").stat().st_mode) == 0o600
    verified = cli("consent", "verify", "--head", "head.json")
    assert (verified.code, "the exported head of record 5 lies on it" in verified.out) == (0, True)
    path.write_bytes(old)
    assert cli("consent", "verify").code == 0
    cut = cli("consent", "verify", "--head", "head.json")
    assert (cut.code, "the chain ends at 4: cut." in cut.out) == (1, True)


def test_a_head_is_not_overwritten_by_that_of_another_chain(cli, records, path, tmp_path):
    """It may be the only trace of what was cut."""
    old = path.read_bytes()
    assert cli("consent", "erase", records[0].receipt).code == 0
    assert cli("consent", "verify", "--write-head", "head.json").code == 0
    kept = (tmp_path / "head.json").read_text()
    path.write_bytes(old)
    cut = cli("consent", "verify", "--write-head", "head.json")
    assert (cut.code, "the chain ends at 4: cut." in cut.out) == (1, True)
    assert "head.json is left as it is: it doesn't lie on the chain." in cut.out
    assert (tmp_path / "head.json").read_text() == kept


def test_a_head_gives_way_to_a_newer_one(cli, records, tmp_path):
    assert cli("consent", "verify", "--write-head", "head.json").code == 0
    assert cli("consent", "erase", records[0].receipt).code == 0
    newer = cli("consent", "verify", "--write-head", "head.json", "--head", "head.json")
    assert (newer.code, json.loads((tmp_path / "head.json").read_text())["number"]) == (0, 5)


def test_a_file_that_holds_no_head_is_not_overwritten(cli, records, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    refused = cli("consent", "verify", "--write-head", "notes.txt")
    assert (refused.code, "--write-head: notes.txt: this is no head" in refused.err) == (2, True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_secret_that_is_missing(cli, records, monkeypatch):
    monkeypatch.setenv("CENTTRACK_SECRET", NEW_SECRET.decode())
    verified = cli("consent", "verify")
    assert verified.code == 1
    assert "either a secret is missing from $CENTTRACK_SECRET, or the chain was rewritten." in verified.out
    assert "The chain is whole, but who signed its head isn't known." in verified.out


@pytest.mark.parametrize(("content", "message"), [(None, "can't be read"), ("{}", "no head of a ledger")])
def test_a_head_that_is_none(cli, records, tmp_path, content, message):
    if content is not None:
        (tmp_path / "head.json").write_text(content)
    verified = cli("consent", "verify", "--head", "head.json")
    assert (verified.code, message in verified.err) == (2, True)


def test_export(cli, records, tmp_path):
    lines = [json.loads(line) for line in cli("consent", "export").out.splitlines()]
    assert [line["record_id"] for line in lines] == [one.record_id for one in records]
    assert lines[0]["pii_principal_id"] == records[0].receipt
    assert lines[0]["pii_processing"]["privacy_notice"]["text_hash"] == SHOWN.hash
    events = {event["category"]: event["event_state"] for event in lines[0]["consent_events"]}
    assert events == {"analytics": "given", "marketing": "refused"}
    assert cli("consent", "export", "--output", "consents.jsonl").out == ""
    assert len((tmp_path / "consents.jsonl").read_text().splitlines()) == 4
    assert stat.S_IMODE((tmp_path / "consents.jsonl").stat().st_mode) == 0o600


def test_export_with_texts(cli, records):
    first, *others = cli("consent", "export", "--texts").out.splitlines()
    assert json.loads(first) == {"text_hash": SHOWN.hash, "language": "en", "text": SHOWN.text}
    assert len(others) == 4
    refused = cli("consent", "export", "--texts", "--format", "csv")
    assert (refused.code, "--format jsonl" in refused.err) == (2, True)


def test_a_spreadsheet_runs_nothing(cli, records):
    cli("consent", "erase", records[1].record_id)
    header, *rows = csv.reader(io.StringIO(cli("consent", "export", "--format", "csv").out))
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    assert cells[0]["purposes"] == '\'=HYPERLINK("http://evil.example")'
    assert cells[2]["jurisdiction"] == "'-1+1"
    assert cells[0]["states"] == "analytics=given; marketing=refused"
    assert cells[1]["receipt"] == ""
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\0"))]


def test_erase(cli, records):
    erased = cli("consent", "erase", records[2].receipt)
    assert (erased.code, erased.out.startswith("Erased: 2 records.")) == (0, True)
    assert "The visitor's browser still holds the choice" in erased.out
    again = cli("consent", "erase", records[2].receipt.upper())
    assert (again.code, again.out) == (1, "Nothing is kept under this receipt.\n")
    assert cli("consent", "verify").out == "The chain stands. 5 records, 2 of them erased.\n"
    *_, last = cli("consent", "export").out.splitlines()
    assert json.loads(last)["consent_events"][0]["erased_records"] == [3, 4]


@pytest.mark.parametrize("receipt", ["xyz", "", "a" * 31, "a" * 33, "a" * 32 + "\n", "%" * 32])
def test_erase_what_is_no_receipt(cli, records, receipt):
    refused = cli("consent", "erase", receipt)
    assert (refused.code, "a receipt has 32 hex digits" in refused.err) == (2, True)


def test_erase_without_the_secret(cli, records, monkeypatch):
    monkeypatch.delenv("CENTTRACK_SECRET")
    refused = cli("consent", "erase", records[0].receipt)
    assert (refused.code, "Set $CENTTRACK_SECRET" in refused.err) == (3, True)


def test_stats(cli, records):
    shown = cli("consent", "stats").out
    for expected in ("3 decisions, 1 withdrawal, 0 records erased", "66.7%", "kk 2, ru 1", "2026-11 3"):
        assert expected in shown
    stats = json.loads(cli("consent", "stats", "--json").out)
    assert stats["answers"]["analytics"] == {"given": 2, "refused": 1, "acceptance": 0.6667}
    assert stats["by"] == {
        "method": {"form": 3}, "language": {"kk": 2, "ru": 1}, "month": {"2026-11": 3}, "policy": {"1": 3},
    }  # fmt: skip
    assert stats["policies"] == {"1": {"fedcba9876543210": 3}}


def test_stats_of_one_version_of_two_policies(cli, records, path):
    with contextlib.closing(Ledger(path, [SECRET, NEW_SECRET], timeout_s=30)) as ledger:
        ledger.append(record(consent_hash="0" * 16))
    assert "policy  1 (2 different policies: 00000000 1, fedcba98 3) 4\n" in cli("consent", "stats").out


def test_which_ledger(cli, records, path, tmp_path, monkeypatch):
    other = path.with_name("blog-2.db")
    other.write_bytes(path.read_bytes())
    several = cli("consent", "verify")
    assert several.code == 2
    assert str(path) in several.err
    assert str(other) in several.err
    assert cli("consent", "verify", "--ledger", path).code == 0
    assert cli("consent", "verify", "--ledger", f"sqlite:///{path}").code == 0
    monkeypatch.setenv("CENTTRACK_LEDGER", str(other))
    assert cli("consent", "verify").code == 0


def test_the_ledger_of_the_app_in_this_folder_comes_first(cli, records):
    with contextlib.closing(Ledger(default_place(), [SECRET], timeout_s=30)) as ledger:
        ledger.append(record())
    assert cli("consent", "verify").out.startswith("The chain stands. 1 record, ")


@pytest.mark.parametrize("command", [["verify"], ["stats"], ["export"], ["erase", "a" * 32]])
def test_no_ledger(cli, tmp_path, command):
    none = cli("consent", *command)
    assert (none.code, "no ledger in" in none.err) == (3, True)
    missing = cli("consent", *command, "--ledger", "missing.db")
    assert (missing.code, missing.out) == (3, "")
    assert missing.err == "the ledger missing.db: there is no such file: no choice was recorded here\n"
    assert not (tmp_path / "missing.db").exists()


def test_wrong_use(cli, records, monkeypatch):
    refused = cli("consent", "verify", "--ledger", "mysql://u:hunter2@host/db")
    assert (refused.code, "isn't known" in refused.err, "hunter2" in refused.err) == (2, True, False)
    monkeypatch.setenv("CENTTRACK_SECRET", "short")
    assert cli("consent", "verify").code == 2
