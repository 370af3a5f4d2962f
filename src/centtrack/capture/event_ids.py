"""Random ids, a handful drawn at a time: each draw from the system gives up the interpreter's lock."""

from __future__ import annotations

import os

_DRAWN = 1_024
_pool: list[str] = []


def random_id() -> str:
    """A UUIDv4 (RFC 9562, 5.4). Unpredictable, so that the order of ids can't be told afterwards."""
    while True:
        try:
            digits = _pool.pop()
        except IndexError:
            drawn = os.urandom(16 * _DRAWN).hex()
            _pool.extend(drawn[start : start + 32] for start in range(0, len(drawn), 32))
        else:
            variant = "89ab"[int(digits[16], 16) & 3]
            return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.clear)  # or parent and child would give the same ids
