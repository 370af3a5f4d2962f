"""Records: canonical, and strict when they are read."""

import hashlib
import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.consent.ledger.records import (
    ErasureRecord,
    ShownText,
    current_minute,
    new_id,
    read_record,
    write_record,
)
from centtrack.errors import LedgerError
from ledgers import record


def test_what_is_written_is_read():
    for one in (record(), record(kind="withdrawal", states={"analytics": "withdrawn"}, replaces=new_id())):
        assert read_record(write_record(one)) == one
    erasure = ErasureRecord(erased=(3, 9), time=current_minute())
    assert read_record(write_record(erasure)) == erasure


def test_a_record_has_one_text():
    one = record(states={"marketing": "refused", "analytics": "given"})
    other = msgspec.structs.replace(one, states={"analytics": "given", "marketing": "refused"})
    assert write_record(one) == write_record(other)
    assert write_record(one) == json.dumps(json.loads(write_record(one)), sort_keys=True, separators=(",", ":"))


def test_no_address_and_no_browser():
    fields = set(json.loads(write_record(record())))
    assert fields == {
        "schema_version", "record_id", "kind", "receipt", "replaces", "policy_version", "policy_hash", "consent_hash",
        "text_hash", "language", "purposes", "states", "time", "method", "valid_until", "withdrawal_method",
        "jurisdiction",
    }  # fmt: skip


def test_the_time_is_to_the_minute():
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}Z", current_minute())


def test_ids_are_random():
    assert len({new_id() for _ in range(100)}) == 100
    assert re.fullmatch("[0-9a-f]{32}", new_id())


WRONG = [
    ("kind", "grant"),
    ("receipt", "A" * 32),
    ("receipt", "a" * 31),
    ("receipt", "a" * 32 + "\n"),
    ("receipt", 7),
    ("replaces", ""),
    ("record_id", None),
    ("policy_version", 1),
    ("policy_hash", "xyz"),
    ("consent_hash", ""),
    ("text_hash", "a" * 63),
    ("language", "k k"),
    ("purposes", "visits"),
    ("purposes", [1]),
    ("states", {}),
    ("states", {"analytics": "granted"}),
    ("states", {"analytics": True}),
    ("states", {"tracking": "given"}),
    ("time", "2026-11-22T21:05:07Z"),
    ("time", "2026-13-22T21:05Z"),
    ("time", "2026-11-22T21:05+05:00"),
    ("time", "٢٠٢٦-11-22T21:05Z"),
    ("method", "guess"),
    ("valid_until", "2027-02-30"),
    ("valid_until", None),
    ("withdrawal_method", None),
    ("jurisdiction", 7),
    ("address", "203.0.113.7"),
    ("schema_version", 2),
    ("schema_version", "1"),
]


@pytest.mark.parametrize(("field", "value"), WRONG, ids=lambda value: str(value)[:24])
def test_what_is_no_record(field, value):
    body = {**json.loads(write_record(record())), field: value}
    with pytest.raises(LedgerError):
        read_record(json.dumps(body))


def test_a_newer_schema_says_what_to_do():
    body = {**json.loads(write_record(record())), "schema_version": 2, "new": 1}
    with pytest.raises(LedgerError, match="schema version 2, this centtrack knows 1: update centtrack"):
        read_record(json.dumps(body))


@pytest.mark.parametrize("field", sorted(json.loads(write_record(record()))))
def test_a_field_is_missing(field):
    body = json.loads(write_record(record()))
    del body[field]
    try:
        read = read_record(json.dumps(body))
    except LedgerError:
        assert field not in {"receipt", "replaces", "jurisdiction", "record_id"}
    else:
        assert field in {"receipt", "replaces", "jurisdiction", "record_id"}, read


@pytest.mark.parametrize("erased", [[0], ["1"], None, 7])
def test_an_erasure_names_numbers(erased):
    body = {**json.loads(write_record(ErasureRecord(erased=(1,), time=current_minute()))), "erased": erased}
    with pytest.raises(LedgerError):
        read_record(json.dumps(body))


@given(st.text() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_anything_else_is_refused_in_one_way(body):
    with pytest.raises(LedgerError):
        read_record(body)


def test_a_record_that_could_not_be_read_again_is_not_written():
    for wrong in ({"receipt": "no id"}, {"time": "2026-11-22T21:05"}, {"purposes": ("\ud800",)}):
        with pytest.raises((LedgerError, ValueError)):
            write_record(record(**wrong))


def test_the_hash_of_a_text():
    """Of the language too: the same words may stand under another one."""
    assert ShownText("Hello", "en").hash == hashlib.sha256(b"en\0Hello").hexdigest()
    assert ShownText("Сәлем", "kk").hash == hashlib.sha256(b"kk\0" + "Сәлем".encode()).hexdigest()
