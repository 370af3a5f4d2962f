"""Where the ledger is kept: transactions in a SQLite file or in PostgreSQL.

SQLite in rollback-journal mode: writers wait for each other anyway, the file is complete by itself, and each commit is
on the disk. A connection lasts one transaction: none is carried over a fork or outlives a file that was replaced.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, text

from centtrack.consent.ledger.bounded import OverdueError
from centtrack.consent.ledger.place import NoLedgerError
from centtrack.consent.ledger.tables import prepare
from centtrack.errors import LedgerError
from centtrack.folders import make_private_folder
from centtrack.locks import FileLock

AT_ONCE = 4
"""Transactions at a time in one process. Those that write wait for each other."""


Use = Literal["read", "write", "create"]
"""What a transaction is for: `read` sees one state of the whole; `create` writes, and makes file and tables before."""


class Database(Protocol):
    """Where the ledger is kept, as one process sees it."""

    def transaction(self, deadline: float, use: Use) -> AbstractContextManager[Connection]:
        """A transaction, which is taken back after the deadline.

        Args:
            deadline: in the terms of `time.monotonic()`.
            use: what it is for.
        """

    def close(self) -> None:
        """Close all connections."""


class SqliteDatabase:
    """A file, 0600 in a folder 0700, for one transaction at a time: under a file lock, which is fair.

    Args:
        path: the file. A link is refused.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.Lock()
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        self._engine = _sqlite_engine(path)

    @contextmanager
    def transaction(self, deadline: float, use: Use) -> Iterator[Connection]:
        """See `Database`."""
        if not self._threads.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise OverdueError
        try:
            self._check_file(may_create=use == "create")
            with self._lock:
                _touch(self._path, may_create=use == "create")
                with self._engine.begin() as connection:
                    prepare(connection, may_create=use == "create")
                    yield connection
                    _check_time(deadline)
        finally:
            self._threads.release()

    def close(self) -> None:
        """See `Database`. A transaction that is at work, or hangs, keeps the lock."""
        if self._threads.acquire(blocking=False):
            self._lock.close()
            self._threads.release()

    def _check_file(self, *, may_create: bool) -> None:
        if may_create:
            make_private_folder(self._path.absolute().parent)
        elif not self._path.exists():
            raise NoLedgerError("there is no such file: no choice was recorded here")
        elif not self._path.is_file():
            raise LedgerError("it is no file")


def _touch(path: Path, *, may_create: bool) -> None:
    """Make the file: SQLite would make it readable by all, and follow a link."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | (os.O_CREAT if may_create else 0)
    try:
        os.close(os.open(path, flags, 0o600))
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise LedgerError("it is a link: name the file itself") from None
        raise


def _sqlite_engine(path: Path) -> Engine:
    url = URL.create("sqlite", database=str(path))
    # Nobody else uses the file, so a database that is busy is one that another program has opened: no long wait.
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": 1.0})

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin where we say
        connection.text_factory = lambda data: data.decode(errors="replace")  # a damaged text is for verify to find
        for setting in ("journal_mode = truncate", "synchronous = full", "secure_delete = on"):
            connection.execute(f"pragma {setting}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("begin immediate")

    return engine


class PostgresDatabase:
    """Tables in PostgreSQL, for many hosts. Connections are kept, and tried before use: a restart is survived.

    Args:
        url: with the driver psycopg.
        timeout_s: for connecting.
    """

    def __init__(self, url: URL, timeout_s: float) -> None:
        milliseconds = str(max(1, int(timeout_s * 1_000)))
        # For a host that vanished: the kernel gives the connection up, and with it the thread that waits for it.
        options = {
            "connect_timeout": str(max(2, round(timeout_s))), "tcp_user_timeout": milliseconds,
            "keepalives_idle": "5", "keepalives_interval": "5", "keepalives_count": "3",
        }  # fmt: skip
        self._engine = create_engine(
            url,
            pool_size=AT_ONCE,
            max_overflow=0,
            pool_timeout=timeout_s,
            pool_pre_ping=True,
            hide_parameters=True,
            isolation_level="READ COMMITTED",  # whoever waited for the head reads it as it is by then
            connect_args={name: value for name, value in options.items() if name not in url.query},
        )
        self._reading = self._engine.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def transaction(self, deadline: float, use: Use) -> Iterator[Connection]:
        """See `Database`."""
        with (self._reading if use == "read" else self._engine).begin() as connection:
            milliseconds = max(1, int((deadline - time.monotonic()) * 1_000))
            connection.execute(_LIMITS, {"limit": f"{milliseconds}ms"})
            prepare(connection, may_create=use == "create")
            yield connection
            _check_time(deadline)

    def close(self) -> None:
        """See `Database`."""
        self._engine.dispose()


_LIMITS = text(
    "select set_config('statement_timeout', :limit, true), set_config('lock_timeout', :limit, true), "
    "set_config('idle_in_transaction_session_timeout', :limit, true)"
)


def _check_time(deadline: float) -> None:
    """Nobody waits any more, and was told that it failed: so it must not be done."""
    if time.monotonic() > deadline:
        raise OverdueError
