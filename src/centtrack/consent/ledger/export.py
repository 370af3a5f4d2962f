"""Records for others: JSON in the shape of ISO/IEC TS 27560:2023 consent records, and rows for a spreadsheet.

How fields map, by the standard's sections and names:

| here | there |
|---|---|
| schema_version, record_id | record header: `schema_version`, `record_id` |
| receipt | record header: `pii_principal_id`; a random id, null for a refusal |
| policy_version, policy_hash, consent_hash, text_hash | `pii_processing.privacy_notice` |
| language, purposes, jurisdiction | `pii_processing.language`, `purposes`, `jurisdiction` |
| withdrawal_method | `pii_processing.withdrawal_method` |
| states | `consent_events`: one a category, `event_state` in the words of the standard |
| time, method, valid_until | `event_time`, `event_type`, `validity_duration` of the event |
| replaces | `replaces`, which the standard doesn't have |

`lawful_basis` is `consent` always. Parties, data categories, storage and recipients stand in the policy that
`privacy_notice` names by hash; they aren't repeated in each record.
"""

from __future__ import annotations

from typing import Final

from centtrack.consent.ledger.records import ErasureRecord, Record, ShownText

CSV_COLUMNS: Final = (
    "record_id", "kind", "time", "receipt", "replaces", "states", "purposes", "method", "language", "valid_until",
    "policy_version", "policy_hash", "consent_hash", "text_hash", "withdrawal_method", "jurisdiction", "erased",
    "schema_version",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")


def make_document(record: Record) -> dict[str, object]:
    """A record in the shape of the standard, for JSON."""
    header = {"schema_version": record.schema_version, "record_id": record.record_id}
    if isinstance(record, ErasureRecord):
        event = {"event_time": record.time, "event_type": "erasure", "erased_records": record.erased}
        return {**header, "consent_events": [event]}
    return {
        **header,
        "pii_principal_id": record.receipt,
        "replaces": record.replaces,
        "pii_processing": {
            "privacy_notice": {
                "version": record.policy_version, "hash": record.policy_hash, "consent_hash": record.consent_hash,
                "text_hash": record.text_hash,
            },
            "language": record.language,
            "purposes": record.purposes,
            "lawful_basis": "consent",
            "withdrawal_method": record.withdrawal_method,
            "jurisdiction": record.jurisdiction,
        },
        "consent_events": [
            {
                "category": category, "event_state": state, "event_type": f"{record.kind} by {record.method}",
                "event_time": record.time, "validity_duration": {"until": record.valid_until},
            }
            for category, state in sorted(record.states.items())
        ],
    }  # fmt: skip


def make_text_document(text_hash: str, shown: ShownText) -> dict[str, object]:
    """A text that was shown, which records name by its hash."""
    return {"text_hash": text_hash, "language": shown.language, "text": shown.text}


def make_row(record: Record) -> list[str]:
    """A record as cells, in the order of `CSV_COLUMNS`; none of them runs as a formula."""
    return [_cell(getattr(record, column, None)) for column in CSV_COLUMNS]


def _cell(value: object) -> str:
    if isinstance(value, dict):
        value = "; ".join(f"{name}={one}" for name, one in sorted(value.items()))
    elif isinstance(value, tuple):
        value = "; ".join(map(str, value))
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
