"""What the ledger keeps of a choice: no address, no browser, nothing that another choice could be linked by."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from typing import Annotated, Literal

import msgspec

from centtrack.consent.state import CATEGORIES
from centtrack.errors import LedgerError

SCHEMA_VERSION = 1
STATES = ("given", "refused", "withdrawn")

Id = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
"""A random id: 32 hex digits, see `new_id`."""
Minute = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}Z\Z")]
Day = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")]
Hash = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16,64}\Z")]
TextHash = Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{64})?\Z")]
Language = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9-]{0,35}\Z")]


def new_id() -> str:
    """A random id: 32 hex digits."""
    return secrets.token_hex(16)


def current_minute() -> str:
    """Now, UTC, to the minute: `2026-11-22T21:05Z`. A second could tell which request a choice came with."""
    return f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%MZ}"


class ConsentRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One choice. Fields follow ISO/IEC TS 27560 where it has them.

    Attributes:
        kind: `decision` or `withdrawal`.
        receipt: of the grant, minted with it; of a withdrawal, the one withdrawn; None for a refusal.
        replaces: receipt of the grant that this choice takes the place of.
        policy_version: as the policy states it.
        policy_hash: of all that the policy says.
        consent_hash: of what consent depends on.
        text_hash: of the text that was shown, see `ShownText.hash`; the ledger keeps it once; "" if none was.
        language: of that text.
        purposes: what was asked for.
        states: category → `given`, `refused` or `withdrawn`.
        time: UTC, to the minute: `2026-11-22T21:05Z`.
        method: how it was said: `form`, `banner` or `api`.
        valid_until: last day of the choice.
        withdrawal_method: path of the page where it can be withdrawn.
        jurisdiction: whose law applies, as in `KZ`.
        record_id: of this record alone.
        schema_version: of these fields.
    """

    kind: Literal["decision", "withdrawal"]
    receipt: Id | None = None
    replaces: Id | None = None
    policy_version: str
    policy_hash: Hash
    consent_hash: Hash
    text_hash: TextHash
    language: Language
    purposes: tuple[str, ...]
    states: dict[str, str]
    time: Minute
    method: Literal["form", "banner", "api"]
    valid_until: Day
    withdrawal_method: str
    jurisdiction: str | None = None
    record_id: Id = msgspec.field(default_factory=new_id)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if not self.states:
            raise ValueError("a choice is about one category at least")
        for category, state in self.states.items():
            if category not in CATEGORIES or state not in STATES:
                raise ValueError(f"states: categories are {', '.join(CATEGORIES)}; states {', '.join(STATES)}")
        dt.datetime.fromisoformat(self.time)
        dt.date.fromisoformat(self.valid_until)


class ErasureRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Says that records were erased, so that one whose body is gone without it is found.

    Attributes:
        kind: `erasure`.
        erased: numbers of the records, not what they said.
        time: UTC, to the minute.
        record_id: of this record alone.
        schema_version: of these fields.
    """

    kind: Literal["erasure"] = "erasure"
    erased: tuple[Annotated[int, msgspec.Meta(ge=1)], ...]
    time: Minute
    record_id: Id = msgspec.field(default_factory=new_id)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        dt.datetime.fromisoformat(self.time)


Record = ConsentRecord | ErasureRecord


class ShownText(msgspec.Struct, frozen=True):
    """What a visitor was shown.

    Attributes:
        text: all of it.
        language: its language.
    """

    text: str
    language: str

    @property
    def hash(self) -> str:
        """SHA-256 of the language, a zero byte and the text, in UTF-8; hexadecimal."""
        return hashlib.sha256(f"{self.language}\0{self.text}".encode()).hexdigest()


class _Header(msgspec.Struct):
    kind: str
    schema_version: int


_encoder = msgspec.json.Encoder(order="sorted")
_header = msgspec.json.Decoder(_Header)
_decoders: dict[str, msgspec.json.Decoder[ConsentRecord] | msgspec.json.Decoder[ErasureRecord]] = {
    "decision": msgspec.json.Decoder(ConsentRecord),
    "withdrawal": msgspec.json.Decoder(ConsentRecord),
    "erasure": msgspec.json.Decoder(ErasureRecord),
}


def write_record(record: Record) -> str:
    """A record as canonical JSON: keys sorted, no spaces, so that one record has one text.

    Raises:
        LedgerError: if it couldn't be read again.
    """
    try:
        body = _encoder.encode(record).decode()
    except (TypeError, UnicodeError) as error:
        raise LedgerError(f"a record can't be kept: {error}") from None
    read_record(body)
    return body


def read_record(body: str) -> Record:
    """The record that a text stands for. Strict: an unknown field, state or format is an error.

    Raises:
        LedgerError: if it is none, or a newer version wrote it.
    """
    try:
        header = _header.decode(body)
        if header.schema_version != SCHEMA_VERSION:
            raise LedgerError(
                f"a record has schema version {header.schema_version}, this centtrack knows {SCHEMA_VERSION}: "
                "update centtrack"
            )
        if header.kind not in _decoders:
            raise LedgerError("a record is of no kind that this centtrack knows")
        return _decoders[header.kind].decode(body)
    except (msgspec.DecodeError, UnicodeError, TypeError) as error:
        raise LedgerError(f"a record can't be read: {error}") from None
