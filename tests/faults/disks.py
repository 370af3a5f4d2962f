"""Small disks, which fill up and become read-only."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_PAGE = 4_096


class SmallDisk:
    """A file system of its own, in memory.

    Attributes:
        folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    @property
    def free_bytes(self) -> int:
        """What is free."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Use what is free, but for so many bytes, while others use it, too."""
        step = self.free_bytes
        with self._filler.open("ab") as file:
            while step >= _PAGE and (left := self.free_bytes - leave) > 0:
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), min(step, left))
                except OSError:
                    step //= 2

    def empty(self) -> None:
        """Give back what `fill` took."""
        self._filler.unlink(missing_ok=True)

    def set_writable(self, is_writable: bool) -> None:
        """Allow writing or not. Only possible while no file is open for writing."""
        _run("mount", "-o", f"remount,{'rw' if is_writable else 'ro'}", self.folder)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[SmallDisk]:
    """Mount a small disk until the end of the block; skips the test where that isn't allowed.

    Args:
        folder: where to.
        size: in bytes.
    """
    folder.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={size}", "centtrack-test", folder)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount")
    try:
        yield SmallDisk(folder)
    finally:
        _run("umount", "--lazy", folder)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)
