"""Checks a ledger's chain record by record, in bounded memory, and says in plain words what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from centtrack.consent.ledger.chain import FIRST, Head, Row, Seal, digest_of, link_of
from centtrack.consent.ledger.records import ConsentRecord, ErasureRecord, ShownText, read_record
from centtrack.errors import LedgerError

MAX_FINDINGS = 100
"""More are counted, not told: a ledger that was replaced as a whole would fill the memory."""

_TEXT, _BYTES = (str, type(None)), (bytes, type(None))
_TYPES: tuple[type | tuple[type, ...], ...] = (int, _TEXT, _TEXT, _TEXT, _BYTES, bytes, bytes, bytes)  # of the columns

Texts = Sequence[tuple[str, ShownText]]

What = Literal[
    "altered", "columns", "unreadable", "order", "removed", "inserted", "missing", "restored", "text", "head", "mac",
    "exported_head",
]  # fmt: skip


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong.

    Attributes:
        number: of the record; None if it is about the whole.
        what: for programs.
        words: for people.
    """

    number: int | None
    what: What
    words: str


class Verification(msgspec.Struct, frozen=True):
    """What a check came to.

    Attributes:
        records: how many there are, erased ones too.
        erased: how many were erased, and say so.
        head: the end of the chain as it was found.
        is_keyed: whether there was a secret to check the head with. Without, a chain that was rewritten as a whole
            can be found by an exported head only.
        findings: the first `MAX_FINDINGS`, by number; then those about the whole.
        found: how many there are.
    """

    records: int
    erased: int
    head: Head | None
    is_keyed: bool
    findings: tuple[Finding, ...]
    found: int

    @property
    def stands(self) -> bool:
        """Whether nothing was found."""
        return not self.found


class ChainCheck:
    """Takes rows in order. Remembers hashes of texts, and numbers whose erasure is still to be seen.

    Args:
        seal: knows the secrets.
        exported: a head that must lie on the chain.
    """

    def __init__(self, seal: Seal, exported: Head | None = None) -> None:
        self.last = 0
        self.to_confirm: set[int] = set()  # said to be erased, but they had a body when their row was read
        self.text_of: dict[str, int] = {}  # hash → the first record that names it
        self._link = FIRST
        self._seal = seal
        self._exported = exported
        self._records = self._erased = self._found = 0
        self._missing: set[int] = set()
        self._findings: list[Finding] = []
        if exported is not None:
            self._check_exported(exported)

    def add(self, row: Row) -> None:
        """Check the next row."""
        self._records += 1
        if not all(isinstance(value, kind) for value, kind in zip(row, _TYPES, strict=True)):
            self._find(row.number, "altered", "holds a value of another type")
            self.last = row.number
            return
        self._check_place(row)
        if row.body is None:
            self._missing.add(row.number)
            if row.salt is not None or row.receipt is not None or row.replaces is not None:
                self._find(row.number, "columns", "is erased only in part")
        elif row.salt is None or digest_of(row.salt, row.body) != row.digest:
            self._find(row.number, "altered", "was altered: its digest doesn't fit")
        else:
            self._check_body(row, row.body)
        self.last, self._link = row.number, row.link

    def _check_place(self, row: Row) -> None:
        if row.number != self.last + 1:
            more = "" if row.number == self.last + 2 else f", and all up to {row.number - 1}"
            self._find(self.last + 1, "removed", f"was removed{more}")
        elif row.previous != self._link:
            self._find(row.number, "order", "doesn't follow on the one before: removed, inserted or put elsewhere")
        if row.link != link_of(row.number, row.previous, row.digest):
            self._find(row.number, "order", "isn't what stood at this number: its link doesn't fit")
        if self._exported and self._exported.number == row.number and self._exported.link != row.link.hex():
            self._find(row.number, "exported_head", "isn't the one that the exported head names: the chain is another")

    def _check_body(self, row: Row, body: str) -> None:
        try:
            record = read_record(body)
        except LedgerError as error:
            self._find(row.number, "unreadable", f"is in the chain, but {error}")
            return
        if isinstance(record, ErasureRecord):
            self._confirm(row.number, record)
        elif record.text_hash:
            self.text_of.setdefault(record.text_hash, row.number)
        named = (record.receipt, record.replaces) if isinstance(record, ConsentRecord) else (None, None)
        if (row.receipt, row.replaces) != named:
            self._find(row.number, "columns", "would be looked up by another receipt than its body has")

    def _confirm(self, number: int, record: ErasureRecord) -> None:
        for erased in record.erased:
            if erased in self._missing:
                self._missing.remove(erased)
                self._erased += 1
            elif erased < number:
                self.to_confirm.add(erased)

    def _check_exported(self, exported: Head) -> None:
        if exported.number == 0 and exported.link != FIRST.hex():
            self._find(0, "exported_head", "isn't the one that the exported head names")
        if self._seal.has_key and not self._seal.fits(exported):
            self._find(None, "exported_head", f"The exported head {_unsigned(exported)}")

    def finish(self, head: Head | None, *, total: int, texts: Texts, unerased: Iterable[int]) -> Verification:
        """What came of it.

        Args:
            head: the one that the ledger has.
            total: how many rows there are.
            texts: those that are kept, and the hashes that they are kept under.
            unerased: those of `to_confirm` that still have a body.
        """
        for number in sorted(self._missing):
            self._find(number, "missing", "lost what it said, and no record of an erasure names it")
        for number in sorted(unerased):
            self._find(number, "restored", "was erased, but has a body again")
        self._erased += len(self.to_confirm) - len(set(unerased))
        if total != self._records:
            self._find(None, "inserted", f"Records without a place, doubled or inserted: {total - self._records}.")
        self._check_texts(texts)
        self._check_head(head)
        findings = sorted(self._findings, key=lambda finding: (finding.number is None, finding.number or 0))
        return Verification(self._records, self._erased, head, self._seal.has_key, tuple(findings), self._found)

    def _check_texts(self, texts: Texts) -> None:
        sound = {text_hash for text_hash, shown in texts if _fits(shown, text_hash)}
        for missing in sorted(self.text_of.keys() - sound):
            self._find(self.text_of[missing], "text", f"was shown a text that isn't kept as it was: {missing}")
        # An erased record doesn't say any more which text it named. So each explains one, and one that was altered or
        # removed, which is a finding of its own, may explain more.
        unnamed = sum(text_hash not in self.text_of for text_hash, _ in texts)
        if unnamed > self._erased and not self._found:
            words = f"Texts that no record names: {unnamed}. Erasures explain {self._erased}: inserted."
            self._find(None, "text", words)

    def _check_head(self, head: Head | None) -> None:
        if head is None:
            self._find(None, "head", "The ledger has no head, or one that can't be read.")
        elif (head.number, head.link) != (self.last, self._link.hex()):
            self._find(None, "head", f"The head is of record {head.number}, the last one is {self.last}: cut or added.")
        elif self._seal.has_key and head.number and not self._seal.fits(head):
            self._find(None, "mac", f"The head {_unsigned(head)}")
        if self._exported is not None and self._exported.number > self.last:
            words = f"The exported head is of record {self._exported.number}, the chain ends at {self.last}: cut."
            self._find(None, "exported_head", words)

    def _find(self, number: int | None, what: What, words: str) -> None:
        self._found += 1
        if len(self._findings) < MAX_FINDINGS:
            self._findings.append(Finding(number, what, f"Record {number} {words}" if number is not None else words))


def _fits(shown: ShownText, text_hash: str) -> bool:
    return isinstance(shown.text, str) and isinstance(shown.language, str) and shown.hash == text_hash


def _unsigned(head: Head) -> str:
    """Most often it is no crime: so it says what to look at first."""
    if head.mac is None:
        return "isn't signed at all: either no secret was set when it was written, or the chain was rewritten."
    return (
        "isn't signed by the secrets given: either a secret is missing from $CENTTRACK_SECRET, or the chain was "
        "rewritten."
    )
