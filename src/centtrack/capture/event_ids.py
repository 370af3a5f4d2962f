"""Random ids, a handful drawn at a time: each draw from the system gives up the interpreter's lock."""

from __future__ import annotations

import os

_DRAWN = 1_024
# Of all ids at once: the bits that are random, and those that say version 4 and the variant.
_FREE = int("ffffffffffff0fff3fffffffffffffff" * _DRAWN, 16)
_VERSION_4 = int("00000000000040008000000000000000" * _DRAWN, 16)
_pool: list[str] = []


def random_id() -> str:
    """A UUIDv4 (RFC 9562, 5.4). Unpredictable, so that the order of ids can't be told afterwards."""
    while True:
        try:
            digits = _pool.pop()
        except IndexError:
            number = int.from_bytes(os.urandom(16 * _DRAWN)) & _FREE | _VERSION_4
            drawn = f"{number:0{32 * _DRAWN}x}"
            _pool.extend(drawn[start : start + 32] for start in range(0, len(drawn), 32))
        else:
            return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.clear)  # or parent and child would give the same ids
