"""Salts in a file that only its owner can read, shared by the workers of a host under a lock."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from centtrack.errors import ConfigurationError
from centtrack.locks import FileLock

_LINE = "{day} {salt}\n"
_MAX_BYTES = 4_096


class SaltFile:
    """A file of lines: day, and salt in hex.

    Args:
        path: where. It is made, with a lock file beside it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path.with_name(path.name + ".lock"))

    def __str__(self) -> str:
        return f"the file {self._path}"

    def agree(self, day: int, proposed: bytes, *, oldest: int) -> bytes:
        """The salt of a day, the same for all who ask. Salts of days before the oldest are overwritten.

        Raises:
            ConfigurationError: if somebody else could read or change the file.
            OSError: if it can't be read or written.
        """
        with self._lock, _opened(self._path) as descriptor:
            salts = _read(descriptor)
            kept = {one: salt for one, salt in salts.items() if one >= oldest}
            kept.setdefault(day, proposed)
            if kept != salts:
                _overwrite(descriptor, kept)
            return kept[day]


def purge_salts(path: Path, *, oldest: int) -> None:
    """Destroy the old salts of a file that nobody may use any more. Does nothing while somebody does.

    Args:
        path: the file; it needn't be there.
        oldest: salts of days before this one go.

    Raises:
        ConfigurationError, OSError: as `SaltFile.agree` does.
    """
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        if path.exists() and lock.acquire(blocking=False):
            with _opened(path) as descriptor:
                salts = _read(descriptor)
                kept = {day: salt for day, salt in salts.items() if day >= oldest}
                if kept != salts:
                    _overwrite(descriptor, kept)
    finally:
        lock.close()


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        _refuse_if_shared(descriptor, path)
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse_if_shared(descriptor: int, path: Path) -> None:
    found = os.fstat(descriptor)
    if sys.platform != "win32" and (stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid != os.geteuid()):
        raise ConfigurationError(
            f"{path} holds salts, and must belong to this user and be readable by nobody else: chmod 600 {path}"
        )


def _read(descriptor: int) -> dict[int, bytes]:
    """Day → salt. Lines that are no salts are left out, so a damaged file starts anew."""
    salts: dict[int, bytes] = {}
    for line in os.pread(descriptor, _MAX_BYTES, 0).decode("ascii", errors="replace").splitlines():
        day, _, salt = line.partition(" ")
        if day.isascii() and day.isdigit() and len(salt) == 64 and set(salt) <= set("0123456789abcdef"):
            salts[int(day)] = bytes.fromhex(salt)
    return salts


def _overwrite(descriptor: int, salts: dict[int, bytes]) -> None:
    """Write in place, over what was there: a new file would leave the old bytes on the disk.

    On disks and file systems that never write in place the old bytes may stay until they are reused.
    """
    size = os.fstat(descriptor).st_size
    if size:
        os.pwrite(descriptor, b"\0" * size, 0)
        os.fsync(descriptor)
    os.ftruncate(descriptor, 0)
    lines = "".join(_LINE.format(day=day, salt=salt.hex()) for day, salt in sorted(salts.items()))
    os.pwrite(descriptor, lines.encode(), 0)
    os.fsync(descriptor)
