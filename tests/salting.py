"""What a worker process does with salts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from centtrack.visitor.salts import open_salts


def ask(location: str, days: Sequence[int], answers: Any) -> None:
    """Ask for the salts of some days."""
    salts = open_salts(location)
    answers.put([salts.salt_of(day) for day in days])
