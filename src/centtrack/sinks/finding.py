"""What `centtrack sink check` finds out about a sink."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that was looked at. A sink's `check()` yields these, and raises nothing for what it finds.

    Attributes:
        what: in plain words, as in "reaches the server" or "table event is there".
        problem: what is wrong with it; None if it is as it should be. Without credentials.
        fix: a statement or command that mends it, to be copied; None if there is none.
    """

    what: str
    problem: str | None = None
    fix: str | None = None
