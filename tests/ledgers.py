"""Records for the ledger's tests, and what their worker processes do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from centtrack.consent.ledger.ledger import Ledger
from centtrack.consent.ledger.records import ConsentRecord, new_id

SECRET = b"an old secret of thirty-two bytes"
NEW_SECRET = b"a new secret of thirty-two bytes!"
TABLES = [f"centtrack_consent_{name}" for name in ("entry", "head", "text", "meta")]


def record(**given: Any) -> ConsentRecord:
    """A grant; what isn't given is plausible."""
    usual: dict[str, Any] = {
        "kind": "decision",
        "receipt": new_id(),
        "policy_version": "1",
        "policy_hash": "0123456789abcdef",
        "consent_hash": "fedcba9876543210",
        "text_hash": "",
        "language": "kk",
        "purposes": ("visits are counted",),
        "states": {"analytics": "given", "marketing": "refused"},
        "time": "2026-11-22T21:05Z",
        "method": "form",
        "valid_until": "2027-05-23",
        "withdrawal_method": "/consent",
        "jurisdiction": "KZ",
    }
    return ConsentRecord(**{**usual, **given})


def write(where: str | Path, count: int, written: Any = None) -> None:
    """Write some records; say so after each, if anybody wants to know."""
    ledger = Ledger(where, [SECRET], timeout_s=60)
    for _ in range(count):
        one = record()
        ledger.append(one)
        if written is not None:
            written.put(one.receipt)
    ledger.close()
