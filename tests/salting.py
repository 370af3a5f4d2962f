"""What a worker process does with salts."""

from __future__ import annotations

import time
from typing import Any

from centtrack.visitor.salts import open_salts


def ask(location: str, answers: Any) -> None:
    """Ask for the salt of the day."""
    salts = open_salts(location)
    salts.refresh()
    answers.put(salts.salt_of(int(time.time() // 86_400)))
