"""Where a journal's file lies: beside its lock file, which says which journal it is, and what was set aside."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from centtrack.delivery.journal.label import Label, read_label, write_label
from centtrack.delivery.journal.set_aside import JournalDamagedError, move_aside, name_aside
from centtrack.errors import JournalError
from centtrack.locks import FileLock
from centtrack.logs import describe, report

logger = logging.getLogger(__name__)


class JournalPlace:
    """The place of a journal.

    Args:
        path: the database file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = FileLock(path.with_name(f"{path.name}.lock"))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock; if what is there isn't a journal, no lock file stays behind that was made for it."""
        found = self._stamp_of_lock()
        with self.lock:
            try:
                yield
            except JournalError:
                with contextlib.suppress(OSError):
                    if self._stamp_of_lock() != found and not self.lock.path.stat().st_size:
                        self.lock.path.unlink()
                raise

    def _stamp_of_lock(self) -> tuple[int, ...] | None:
        """Which file the lock is; a later one may have the same inode. None if there is none."""
        try:
            stat = self.lock.path.stat()
        except OSError:
            return None
        return (stat.st_dev, stat.st_ino, stat.st_ctime_ns)

    def read_label(self) -> Label:
        """What the lock file says."""
        return read_label(self.lock.path)

    def prepare(self) -> Label:
        """Go on with what an earlier process left half done; what the lock file says then. The lock is held."""
        label = self.read_label()
        if label.aside:
            move_aside(self.path, self.path.with_name(label.aside))
        elif label.journal_id and not self.path.exists():
            label = Label()  # somebody removed it
            write_label(self.lock.path, label)
        elif label.journal_id and not self.path.stat().st_size:
            label = self.move_aside(JournalDamagedError("the file was emptied"))
        return label

    def make_file(self) -> None:
        """Make the file: SQLite would make it readable by all; the WAL's files take over the mode of this one.

        One that exists isn't opened: closing it would drop the locks of this process's other connections.

        Raises:
            OSError: if that isn't possible, or there is a symbolic link.
        """
        if self.path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(self.path))
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def complete(self, journal_id: str) -> None:
        """Note which journal is there now, complete."""
        with contextlib.suppress(OSError):  # on a full disk, say; the next process writes it
            write_label(self.lock.path, Label(journal_id))

    def move_aside(self, error: Exception) -> Label:
        """Move a damaged journal out of the way. The lock is held.

        Raises:
            OSError: if that isn't possible.
        """
        aside = name_aside(self.path)
        label = Label(aside=aside.name)
        write_label(self.lock.path, label)  # first: whoever finds this half done can go on
        move_aside(self.path, aside)
        why = describe(error)
        message = "journal %s is damaged (%s): it was set aside as %s, and a new one begins"
        values = (self.path, why, aside.name)
        report(logger, logging.ERROR, "journal_set_aside", message, *values, path=str(self.path), reason=why)
        return label
