"""A file that keeps room on the disk: on a full one SQLite can't even delete, unless something gives way."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

SIZE = 6_000_000
"""Bytes: SQLite's log is emptied at 4.1 MB; then another 1 MB, and something to spare."""


class Reserve:
    """The reserve of a journal.

    Args:
        journal: the database file; the reserve lies beside it.
    """

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(f"{journal.name}.reserve")

    @property
    def is_there(self) -> bool:
        """Whether it is whole."""
        try:
            return self._path.stat().st_size >= SIZE
        except OSError:
            return False

    def make(self, min_free: int) -> None:
        """Make it, if it isn't there and the disk has room. Does nothing if that fails: the next time will do.

        Args:
            min_free: what must stay free besides, in bytes.
        """
        try:
            if not self.is_there and free_bytes(self._path.parent) >= min_free + SIZE:
                self._allocate()
        except OSError:
            self.release()

    def _allocate(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(self._path, flags, 0o600)
        try:
            if sys.platform == "linux":
                os.posix_fallocate(descriptor, 0, SIZE)
            else:  # a file that is only made longer takes no room
                os.write(descriptor, bytes(SIZE))
        finally:
            os.close(descriptor)

    def release(self) -> bool:
        """Give the room away; False if there is none to give."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


def free_bytes(folder: Path) -> int:
    """What a disk has left for this user.

    Raises:
        OSError: if the folder is gone.
    """
    return shutil.disk_usage(folder).free
