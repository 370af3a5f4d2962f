"""The journal's file: one SQLite database in WAL mode, shared by the worker processes of a host.

All write under a short file lock, which is fair and keeps any two connections from writing or checkpointing at once.
Through apsw, which carries a current SQLite: the one that Python links may have the WAL-reset bug.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import apsw

from centtrack.delivery.journal.forking import Forkable
from centtrack.delivery.journal.label import Label
from centtrack.delivery.journal.place import JournalPlace
from centtrack.delivery.journal.reserve import Reserve
from centtrack.delivery.journal.salvage import read_salvage, write_salvage
from centtrack.delivery.journal.schema import APPLICATION_ID, VERSION, create, read_id, upgrade
from centtrack.delivery.journal.set_aside import JournalDamagedError, is_damage
from centtrack.errors import JournalError
from centtrack.folders import make_private_folder

_BUSY_TIMEOUT_MS = 5_000
_MAX_WAL = 4_200_000  # bytes; SQLite empties it at 1,000 pages, but leaves it as large as it ever was

_MAX_VERSION = 1_000  # more than there will ever be

T = TypeVar("T")


class JournalGoneError(JournalError):
    """The journal's file is no longer where it was; opening it again makes a new one."""


class JournalFile(Forkable):
    """One connection to the journal, for one thread.

    Args:
        path: the database file. Its folder is made, readable by its owner only.
        is_synced: whether a commit waits until the disk has it.
    """

    def __init__(self, path: Path, *, is_synced: bool = False) -> None:
        super().__init__()
        self.path = path
        self.id = ""
        self.place = JournalPlace(path)
        self.lock = self.place.lock
        self.reserve = Reserve(path)
        self._is_synced = is_synced
        self._database: apsw.Connection | None = None
        self._file: os.stat_result | None = None
        self._is_suspended = False

    @property
    def database(self) -> apsw.Connection:
        """The open connection."""
        if self._database is None:
            raise JournalError(f"journal {self.path} is not open")
        return self._database

    def open(self) -> None:
        """Open the database, and create it if there is none. A damaged one is set aside.

        Raises:
            JournalError: if a newer version wrote it, or it isn't a journal.
            OSError, apsw.Error: if the file can't be made or opened.
        """
        make_private_folder(self.path.parent)
        with self.using, self.place.locked():
            label = self.place.prepare()
            try:
                self._connect(label, may_create=True)
            except (apsw.Error, JournalDamagedError) as error:
                if not (is_damage(error) and label.journal_id):
                    raise
                self._connect(self.place.move_aside(error), may_create=True)

    def open_existing(self) -> None:
        """Open a database that must exist, as for reading its status.

        Raises:
            JournalError: if there is none, or as `open` does.
        """
        if not self.path.is_file():
            raise JournalError(f"no journal at {self.path}")
        with self.using, self.place.locked():
            self._connect(self.place.read_label(), may_create=False)

    def _connect(self, label: Label, *, may_create: bool) -> None:
        if may_create:
            self.place.make_file()
        database = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)  # the place made it
        try:
            database.set_busy_timeout(_BUSY_TIMEOUT_MS)
            self._prepare(database, label, may_create=may_create)
        except BaseException as error:
            database.close()
            if isinstance(error, apsw.NotADBError) and not label.journal_id:
                raise JournalError(f"{self.path} is not a journal: not a SQLite database") from None
            raise
        self._database = database
        self._file = self.path.stat()
        if label.journal_id != self.id:
            self.place.complete(self.id)

    def _prepare(self, database: apsw.Connection, label: Label, *, may_create: bool) -> None:
        version: Any = database.pragma("user_version")
        is_ours = database.pragma("application_id") == APPLICATION_ID
        is_empty = not database.execute("select exists (select 1 from sqlite_schema)").get
        if not is_ours and not (may_create and is_empty and version == 0):
            if not label.journal_id or read_id(database) != label.journal_id:
                raise JournalError(f"{self.path} is not a journal: some other program's database")
            database.pragma("application_id", APPLICATION_ID)  # a bit of it has flipped, and SQLite doesn't look at it
        if not 0 <= version <= _MAX_VERSION or _has_lost_its_format(database):
            raise JournalDamagedError(f"journal {self.path} is damaged in its header")
        if version > VERSION:
            raise JournalError(
                f"journal {self.path} has version {version}, this centtrack knows {VERSION}: "
                "update centtrack, or name another file with journal="
            )
        if version == 0:
            self._create(database, label.aside)
        elif version < VERSION:
            upgrade(database, version)
        # NORMAL survives a kill of the process; a power cut may take the last ms. FULL waits for the disk.
        database.pragma("synchronous", 2 if self._is_synced else 1)
        database.pragma("fullfsync", int(self._is_synced))  # of macOS, whose fsync doesn't wait for it
        database.pragma("secure_delete", "fast")  # zeros in the pages that stay; see free_pages.py for the others
        database.pragma("journal_size_limit", _MAX_WAL)
        self.id = read_id(database)
        if not self.id:
            raise JournalDamagedError(f"journal {self.path} is damaged: it has no id")

    def _create(self, database: apsw.Connection, aside: str) -> None:
        """Make the tables, with what can be read of a journal that was just set aside."""
        if not aside:
            create(database)
            return
        salvage = read_salvage(self.path.with_name(aside))
        create(database, partial(write_salvage, salvage=salvage, aside=aside))

    def close(self) -> None:
        """Close the connection. Does nothing if it isn't open."""
        with self.using:
            self._is_suspended = False
            database, self._database = self._database, None
            if database is not None:
                with contextlib.ExitStack() as held:
                    with contextlib.suppress(OSError):  # its folder may be gone
                        held.enter_context(self.lock)
                    database.close()
                self.lock.close()

    def suspend(self) -> None:
        """Close the connection before a fork, waiting for no other process: the log stays, and is read again."""
        database, self._database = self._database, None
        if database is not None:
            self._is_suspended = True
            database.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            database.close()
            self.lock.close()

    def resume(self) -> None:
        """Open again what was closed for a fork.

        Raises:
            JournalGoneError: if the file was removed or replaced since.
        """
        if self._is_suspended:
            with self.place.locked():
                self._check_in_place()
                self._connect(self.place.read_label(), may_create=False)
            self._is_suspended = False  # not before: what fails is tried again at the next use

    def forget(self) -> None:
        """In the child of a fork: it is closed, and nothing of it opens again by itself."""
        self._is_suspended = False

    def set_aside(self, error: Exception) -> None:
        """Move the journal out of the way, since it is damaged, and close it; opening it again makes a new one.

        Does nothing but close if another process was first, or has upgraded it. See `is_damage` in set_aside.py.

        Args:
            error: what showed that it is damaged.

        Raises:
            OSError: if it can't be moved.
        """
        with self.using, self.lock:
            if self._is_in_place() and not self._is_newer():
                self.place.move_aside(error)
        self.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """A write transaction, alone among all processes of the host.

        Raises:
            JournalGoneError: if the file was removed or replaced: what is written to it nobody would read.
        """
        with self.using:
            self.resume()
            with self._alone_on_host() as database:
                yield database

    @contextlib.contextmanager
    def _alone_on_host(self) -> Iterator[apsw.Connection]:
        database = self.database
        with self.lock:
            self._check_in_place()
            database.execute("begin immediate")
            try:
                yield database
                database.execute("commit")
            except BaseException:
                if database.in_transaction:
                    database.execute("rollback")
                raise

    def insist(self, work: Callable[[apsw.Connection], T]) -> T:
        """Do this in a transaction: on a full disk with the room that the reserve gives. For what makes room.

        Raises:
            JournalGoneError: as `transaction` does.
            apsw.Error: if it doesn't work that way, either.
        """
        try:
            with self.transaction() as database:
                return work(database)
        except (apsw.FullError, apsw.IOError):
            if not self.reserve.release():
                raise
        with self.transaction() as database:
            return work(database)

    def _is_newer(self) -> bool:
        """Whether a process of a newer version has changed the tables meanwhile."""
        try:
            return int(self.database.pragma("user_version")) > VERSION
        except (apsw.Error, JournalError):
            return False

    def _check_in_place(self) -> None:
        if not self._is_in_place():
            raise JournalGoneError(f"journal {self.path} was removed or replaced while in use")

    def _is_in_place(self) -> bool:
        try:
            return self._file is not None and os.path.samestat(self._file, self.path.stat())
        except FileNotFoundError:
            return False


def _has_lost_its_format(database: apsw.Connection) -> bool:
    """Whether the file says that a format is needed to write to it which isn't known (file format, 1.3.3)."""
    if not database.readonly("main"):
        return False
    _, header = database.read("main", 0, 0, 100)
    return header[18] not in {1, 2}
