"""The journal's file: one SQLite database in WAL mode, shared by the worker processes of a host.

All write under a short file lock, which is fair and keeps any two connections from writing or checkpointing at once.
Through apsw, which carries a current SQLite: the one that Python links may have the WAL-reset bug.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from centtrack.delivery.schema import APPLICATION_ID, VERSION, create, upgrade
from centtrack.errors import JournalError
from centtrack.folders import make_private_folder
from centtrack.locks import FileLock

_BUSY_TIMEOUT_MS = 5_000


class JournalGoneError(JournalError):
    """The journal's file is no longer where it was; opening it again makes a new one."""


class JournalFile:
    """One connection to the journal, for one thread.

    Args:
        path: the database file. Its folder is made, readable by its owner only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = ""
        self.lock = FileLock(path.with_suffix(".lock"))
        self._database: apsw.Connection | None = None
        self._file: os.stat_result | None = None

    @property
    def database(self) -> apsw.Connection:
        """The open connection."""
        if self._database is None:
            raise JournalError(f"journal {self.path} is not open")
        return self._database

    def open(self) -> None:
        """Open the database, and create it if there is none.

        Raises:
            JournalError: if a newer version wrote it, or it isn't a journal.
            OSError, apsw.Error: if the file can't be made or opened.
        """
        make_private_folder(self.path.parent)
        with self.lock:
            # SQLite would create it readable by all; the WAL's files take over the mode of this one.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))
            self._connect(may_create=True)

    def open_existing(self) -> None:
        """Open a database that must exist, as for reading its status.

        Raises:
            JournalError: if there is none, or as `open` does.
        """
        if not self.path.is_file():
            raise JournalError(f"no journal at {self.path}")
        with self.lock:
            self._connect(may_create=False)

    def _connect(self, *, may_create: bool) -> None:
        database = apsw.Connection(str(self.path))
        try:
            database.set_busy_timeout(_BUSY_TIMEOUT_MS)
            self._prepare(database, may_create=may_create)
        except apsw.NotADBError:
            database.close()
            raise JournalError(f"{self.path} is not a journal: not a SQLite database") from None
        except BaseException:
            database.close()
            raise
        self._database = database
        self._file = self.path.stat()

    def _prepare(self, database: apsw.Connection, *, may_create: bool) -> None:
        version: Any = database.pragma("user_version")
        is_ours = database.pragma("application_id") == APPLICATION_ID
        is_empty = not database.execute("select exists (select 1 from sqlite_schema)").get
        if not is_ours and not (may_create and is_empty and version == 0):
            raise JournalError(f"{self.path} is not a journal: some other program's database")
        if version > VERSION:
            raise JournalError(
                f"journal {self.path} has version {version}, this centtrack knows {VERSION}: "
                "update centtrack, or name another file with journal="
            )
        if version == 0:
            create(database)
        elif version < VERSION:
            upgrade(database, version)
        database.pragma("synchronous", 1)  # NORMAL: survives a kill of the process; a power cut may take the last ms
        database.pragma("secure_delete", 0)
        self.id = str(database.execute("select value from meta where key = 'id'").get)

    def close(self) -> None:
        """Close the connection. Does nothing if it isn't open."""
        database, self._database = self._database, None
        if database is not None:
            with self.lock:
                database.close()
            self.lock.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """A write transaction, alone among all processes of the host.

        Raises:
            JournalGoneError: if the file was removed or replaced: what is written to it nobody would read.
        """
        database = self.database
        with self.lock:
            if not self._is_in_place():
                raise JournalGoneError(f"journal {self.path} was removed or replaced while in use")
            database.execute("begin immediate")
            try:
                yield database
                database.execute("commit")
            except BaseException:
                if database.in_transaction:
                    database.execute("rollback")
                raise

    def _is_in_place(self) -> bool:
        try:
            return self._file is not None and os.path.samestat(self._file, self.path.stat())
        except FileNotFoundError:
            return False
