"""Locks between processes that the kernel frees when their holder dies.

`flock` on a descriptor that closes on exec: `fcntl.lockf` is lost when any descriptor of the file is closed.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

if sys.platform != "win32":
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

_all_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()
_opening = threading.Lock()  # held while a descriptor is made or closed, so that no fork comes in between


class FileLock:
    """An exclusive lock on a file of its own, for one thread at a time.

    Attributes:
        path: the file. It is made, and stays.
        is_held: whether this object holds the lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_held = False
        self._descriptor: int | None = None
        _all_locks.add(self)

    def acquire(self, *, blocking: bool) -> bool:
        """Take the lock; False if it is taken and `blocking` isn't set.

        Raises:
            OSError: if the file can't be opened.
        """
        while True:
            with _opening:
                # Noted before it is locked: a child that is forked while this waits must find it, and close its copy.
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
                self._descriptor = os.open(self.path, flags, 0o600)
            try:
                if not _lock(self._descriptor, blocking=blocking):
                    self._close()
                    return False
            except BaseException:
                self._close()
                raise
            if _is_same_file(self._descriptor, self.path):
                self.is_held = True
                return True
            self.release()  # somebody replaced the file meanwhile: that lock protects nothing

    def release(self) -> None:
        """Give the lock back. Does nothing if it isn't held."""
        if self._descriptor is not None:
            _unlock(self._descriptor)  # not only closed: a child may have been forked before it could close its copy
            self._close()

    def _close(self) -> None:
        with _opening:
            self.is_held = False
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


def _unlock(descriptor: int) -> None:
    if sys.platform != "win32":
        flock(descriptor, LOCK_UN)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _close_in_child() -> None:
    """Close the copies, without unlocking: that would take the lock from the living parent."""
    _opening.release()
    for lock in list(_all_locks):
        lock._close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_opening.acquire, after_in_parent=_opening.release, after_in_child=_close_in_child)
