"""SQLite and fork: a connection must not be open while its process forks.

A child that opens the same file later finds SQLite's own state of the parent's connection, takes its locks for held,
and waits for ever. So connections are closed before a fork; the parent's open again at their next use.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

_PATIENCE_S = 1.0  # for all work in progress; then the fork goes on, since the app waits for it

_all: weakref.WeakSet[Forkable] = weakref.WeakSet()
_listing = threading.Lock()
_held: list[Forkable] = []

S = TypeVar("S", bound="Forkable")
P = ParamSpec("P")
T = TypeVar("T")


class Forkable:
    """Holds something that is closed while its process forks.

    Attributes:
        using: held while it is used.
    """

    def __init__(self) -> None:
        self.using = threading.RLock()
        with _listing:
            _all.add(self)

    def suspend(self) -> None:
        """Close what is open. Called before a fork."""

    def resume(self) -> None:
        """Open what was closed for a fork."""

    def forget(self) -> None:
        """In the child: what was closed for the fork stays closed."""


def alone(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Have a method run while no fork comes in between."""

    @functools.wraps(method)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self.using:
            self.resume()
            return method(self, *args, **kwargs)

    return run


def _suspend_all() -> None:
    _listing.acquire()
    until = time.monotonic() + _PATIENCE_S
    _held[:] = [one for one in list(_all) if one.using.acquire(timeout=max(0.0, until - time.monotonic()))]
    for one in _held:
        with contextlib.suppress(Exception):  # whatever it is, the app's fork goes on, and the others are closed, too
            one.suspend()


def _release_all() -> None:
    for one in _held:
        one.using.release()
    _held.clear()
    _listing.release()


def _forget_all() -> None:
    global _listing
    for one in list(_all):
        one.using = threading.RLock()  # the other threads, which may have held it, aren't there
        one.forget()
    _held.clear()
    _listing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_suspend_all, after_in_parent=_release_all, after_in_child=_forget_all)
