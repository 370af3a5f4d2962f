"""What a worker process does with salts."""

from __future__ import annotations

from typing import Any

from centtrack.visitor import salts as module
from waiting import eventually


def ask(location: str, day: int, answers: Any) -> None:
    """Ask for the salt of a day, until there is one, as a worker does.

    Args:
        location: as in `open_salts`.
        day: for all workers of a test the same, though it may be over while they start.
        answers: where the salt goes.
    """
    module._today = lambda later_s=0: day
    salts = module.open_salts(location)

    def salt() -> bytes | None:
        salts.refresh()
        return salts.salt_of(day)

    answers.put(eventually(salt))
