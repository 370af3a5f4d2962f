"""Which process is which."""

from __future__ import annotations

import os
from pathlib import Path


def start_of(pid: int) -> str:
    """When a process began, in the kernel's own terms, to tell it from a later one of the same id; "" if not known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def is_alive(pid: int, started: str) -> bool:
    """Whether that process runs still, and isn't a later one of the same id."""
    if started:
        return start_of(pid) == started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
