"""Locks between processes that the kernel frees when their holder dies.

`flock` on a descriptor that closes on exec: `fcntl.lockf` is lost when any descriptor of the file is closed. After a
fork the child closes its copy and never unlocks: that would take the lock from its living parent.
"""

from __future__ import annotations

import os
import sys
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

if sys.platform != "win32":
    from fcntl import LOCK_EX, LOCK_NB, flock

_open_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


class FileLock:
    """An exclusive lock on a file of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        _open_locks.add(self)

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self, *, blocking: bool) -> bool:
        """Take the lock; False if it is taken and `blocking` isn't set.

        Raises:
            OSError: if the file can't be opened.
        """
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
            if not _lock(descriptor, blocking=blocking):
                os.close(descriptor)
                return False
            if _is_same_file(descriptor, self.path):
                self._descriptor = descriptor
                return True
            os.close(descriptor)  # somebody replaced the file meanwhile: that lock protects nothing

    def release(self) -> None:
        """Give the lock back. Does nothing if it isn't held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        self.acquire(blocking=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def _lock(descriptor: int, *, blocking: bool) -> bool:
    if sys.platform != "win32":  # on Windows there is a single process, and nothing to exclude
        try:
            flock(descriptor, LOCK_EX | (0 if blocking else LOCK_NB))
        except BlockingIOError:
            return False
    return True


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _close_in_child() -> None:
    for lock in list(_open_locks):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
