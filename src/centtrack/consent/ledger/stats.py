"""What a ledger's records come to: how many chose what, by month, language, method and version of the policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from centtrack.consent.ledger.records import ConsentRecord, ErasureRecord, Record


@dataclass(frozen=True, slots=True)
class Answers:
    """What was decided about one category.

    Attributes:
        given: how often it was granted.
        refused: how often it wasn't.
    """

    given: int
    refused: int

    @property
    def acceptance(self) -> float:
        """Share of the decisions that granted it, 0 to 1."""
        return self.given / (self.given + self.refused) if self.given + self.refused else 0.0


@dataclass(slots=True)
class LedgerStats:
    """Totals over all records that aren't erased.

    Attributes:
        decisions: choices made.
        withdrawals: choices taken back.
        erasures: how often records were erased.
        erased: how many records that was.
        answers: category → what was decided about it. Withdrawals aren't in it.
        by: method, language, month and policy (its version) → value → decisions.
        policies: version → consent hash → decisions. More than one hash: the policy was changed, and its version not.
    """

    decisions: int = 0
    withdrawals: int = 0
    erasures: int = 0
    erased: int = 0
    answers: Mapping[str, Answers] = field(default_factory=dict)
    by: dict[str, Counter[str]] = field(default_factory=dict)
    policies: dict[str, Counter[str]] = field(default_factory=dict)


def count_records(records: Iterable[Record]) -> LedgerStats:
    """The totals of some records, in one pass."""
    stats = LedgerStats(by={name: Counter() for name in ("method", "language", "month", "policy")})
    states: Counter[tuple[str, str]] = Counter()
    for record in records:
        if isinstance(record, ErasureRecord):
            stats.erasures += 1
            stats.erased += len(record.erased)
        elif record.kind == "withdrawal":
            stats.withdrawals += 1
        else:
            stats.decisions += 1
            states.update(record.states.items())
            stats.policies.setdefault(record.policy_version, Counter())[record.consent_hash] += 1
            for name, value in _groups(record):
                stats.by[name][value] += 1
    categories = sorted({category for category, _ in states})
    # A decision that leaves out what was granted before says "withdrawn" of it: that is no grant, either.
    stats.answers = {
        category: Answers(states[category, "given"], states[category, "refused"] + states[category, "withdrawn"])
        for category in categories
    }
    return stats


def _groups(record: ConsentRecord) -> tuple[tuple[str, str], ...]:
    return (
        ("method", record.method),
        ("language", record.language),
        ("month", record.time[:7]),
        ("policy", record.policy_version),
    )
