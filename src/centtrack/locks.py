"""Locks between processes that the kernel frees when their holder dies.

`flock` on a descriptor that closes on exec: `fcntl.lockf` is lost when any descriptor of the file is closed.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

if sys.platform != "win32":
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

_all_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()
_opening = threading.RLock()  # held while a descriptor is made or closed, so that no fork comes in between
_importing = threading.RLock()  # held for longer, so it is another one


class FileLock:
    """An exclusive lock on a file of its own, for one thread at a time.

    Attributes:
        path: the file. It is made, and stays.
        is_held: whether this object holds the lock.
    """

    is_held = False
    _descriptor: int | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: os.stat_result | None = None
        _all_locks.add(self)

    def acquire(self, *, blocking: bool) -> bool:
        """Take the lock; False if it is taken and `blocking` isn't set.

        Raises:
            OSError: if the file can't be opened.
        """
        while True:
            descriptor = self._open()
            if not _lock(descriptor, blocking=blocking):
                return False
            if self._is_in_place():
                self.is_held = True
                return True
            _unlock(descriptor)  # somebody replaced the file meanwhile: that lock protects nothing
            self.close()

    def release(self) -> None:
        """Give the lock back. Does nothing if it isn't held."""
        if self.is_held and self._descriptor is not None:
            self.is_held = False
            _unlock(self._descriptor)  # said, not left to closing: a child may have a copy of the descriptor

    def close(self) -> None:
        """Give the lock back, and close the file, which stays open between one use and the next."""
        self.release()
        with _opening:
            self._forget()

    def _open(self) -> int:
        with _opening:
            # Noted before it is locked: a child that is forked while this waits must find it, and close its copy.
            if self._descriptor is None:
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
                self._descriptor = os.open(self.path, flags, 0o600)
                self._file = os.fstat(self._descriptor)
            return self._descriptor

    def _is_in_place(self) -> bool:
        try:
            return self._file is not None and os.path.samestat(self._file, self.path.stat())
        except FileNotFoundError:
            return False

    def _forget(self) -> None:
        self.is_held = False
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()

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


@contextlib.contextmanager
def no_fork() -> Iterator[None]:
    """Let no fork come in between; it waits.

    For imports in a thread: a child would find the module's lock held by a thread that it doesn't have, and wait for
    ever when it imports it too.
    """
    with _importing:
        yield


def _close_in_child() -> None:
    """Close the copies, without unlocking: that would take the lock from the living parent."""
    for lock in list(_all_locks):
        lock._forget()
    _resume()


def _hold() -> None:
    _importing.acquire()
    _opening.acquire()


def _resume() -> None:
    _opening.release()
    _importing.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold, after_in_parent=_resume, after_in_child=_close_in_child)
