"""The consent ledger: append-only records of choices, chained, in SQLite or PostgreSQL.

Needs the extra `consent`, and for PostgreSQL `postgresql`; both are imported when a ledger is made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from centtrack.consent.ledger.bounded import BoundedCalls, OverdueError
from centtrack.consent.ledger.chain import Head, Row, Seal
from centtrack.consent.ledger.place import NoLedgerError, default_place, describe_place, read_place
from centtrack.consent.ledger.reasons import describe_failure
from centtrack.consent.ledger.records import ConsentRecord, Record, ShownText, read_record, write_record
from centtrack.consent.ledger.verification import ChainCheck, Verification
from centtrack.errors import ConfigurationError, LedgerError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

    from centtrack.consent.ledger.databases import Database, Use

_ROWS = 500  # read at a time

T = TypeVar("T")


class Ledger:
    """Where choices are proved. Threads and forked processes may share one; nothing is opened before it is used.

    Args:
        url: `postgresql://…`, `sqlite:///…`, or the path of a SQLite file.
        secrets: sign the end of the chain; oldest to newest: the newest signs, all verify.
        timeout_s: seconds after which an operation is given up, also if the database hangs. Reading the whole takes
            several. One that was given up at the very moment of its commit may have been done.

    Raises:
        ConfigurationError: if the URL is wrong.
        MissingExtraError: if SQLAlchemy or the driver isn't installed.
    """

    _process: tuple[int, BoundedCalls, Database] | None = None
    _inherited: tuple[int, BoundedCalls, Database] | None = None

    def __init__(self, url: str | Path, secrets: Sequence[bytes] = (), *, timeout_s: float = 3.0) -> None:
        self._where = read_place(url)
        self._name = f"the ledger {describe_place(self._where)}"
        self._seal = Seal(secrets)
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"<Ledger {describe_place(self._where)}>"

    def __del__(self) -> None:
        self.close()

    def append(self, record: ConsentRecord, shown: ShownText | None = None) -> None:
        """Keep a choice, at the end of the chain. When this returns, it is on the disk.

        Args:
            record: the choice.
            shown: the text that the record names by its hash; needed until the ledger has it.

        Raises:
            LedgerError: if it isn't kept.
        """
        from centtrack.consent.ledger import tables

        body = write_record(record)

        def work(connection: Connection) -> None:
            head = tables.lock_head(connection, self._seal)
            tables.keep_text(connection, record.text_hash, shown)
            tables.append(connection, head, record, body, self._seal)

        self._run(work, "create")

    def find(self, receipt: str) -> list[ConsentRecord]:
        """What is kept under a receipt: its grant, its withdrawal, and the choices it replaced; oldest first.

        Nothing, if there is no ledger yet.

        Raises:
            LedgerError: if the ledger can't be read.
        """
        from centtrack.consent.ledger.tables import load_bodies

        try:
            bodies = self._run(lambda connection: load_bodies(connection, receipt), "read")
        except NoLedgerError:
            return []
        records = [read_record(body) for body in bodies]
        return [record for record in records if isinstance(record, ConsentRecord)]

    def records(self) -> Iterator[Record]:
        """All records that aren't erased, in order, and those that tell of erasures. They aren't verified.

        Raises:
            LedgerError: if the ledger or a record can't be read.
        """
        for row in self._rows():
            if row.body is not None:
                yield read_record(row.body)

    def texts(self) -> list[tuple[str, ShownText]]:
        """The texts that were shown, and the hashes they are kept under.

        Raises:
            LedgerError: if the ledger can't be read.
        """
        from centtrack.consent.ledger.tables import load_texts

        return self._run(load_texts, "read")

    def head(self) -> Head:
        """The end of the chain, as it is.

        Raises:
            LedgerError: if the ledger can't be read.
        """
        from centtrack.consent.ledger.tables import load_head

        return self._run(load_head, "read")

    def verify(self, head: Head | None = None) -> Verification:
        """Check every record, the chain and its head. Writers go on meanwhile.

        Args:
            head: one that was kept elsewhere: it must lie on the chain. Finds a tail that was cut, and a chain that
                was rewritten as a whole, also by somebody who knows the secret.

        Raises:
            LedgerError: if the ledger can't be read.
        """
        check = ChainCheck(self._seal, head)
        while (verification := self._run(lambda connection: _check_next(connection, check), "read")) is None:
            pass
        return verification

    def erase(self, receipt: str) -> int:
        """Erase what is kept under a receipt, and add a record of that, which doesn't name it. The chain stands.

        Returns:
            How many records were erased: those that `find` gives.

        Raises:
            LedgerError: if nothing was erased because the ledger can't be written.
        """
        from centtrack.consent.ledger.tables import erase

        return self._run(lambda connection: erase(connection, receipt, self._seal), "write")

    def close(self) -> None:
        """Close all connections. The next use opens new ones."""
        process, self._process = self._process, None
        if process is not None and process[0] == os.getpid():
            process[2].close()

    def _rows(self) -> Iterator[Row]:
        from centtrack.consent.ledger.tables import load_rows

        last = 0
        while rows := self._run(partial(load_rows, after=last, at_most=_ROWS), "read"):
            yield from rows
            last = rows[-1].number

    def _run(self, work: Callable[[Connection], T], use: Use) -> T:
        try:
            calls, database = self._opened()

            def in_transaction(deadline: float) -> T:
                with database.transaction(deadline, use) as connection:
                    return work(connection)

            return calls.run(in_transaction, self._timeout_s)
        except ConfigurationError:
            raise
        except OverdueError:
            kind, reason = LedgerError, f"no answer within {self._timeout_s:g} s"
        except Exception as error:  # noqa: BLE001 - a driver raises what it likes; callers are told one kind of error
            kind = NoLedgerError if isinstance(error, NoLedgerError) else LedgerError
            reason = describe_failure(error)
        raise kind(f"{self._name}: {reason}")  # without a cause: a traceback would tell the password

    def _opened(self) -> tuple[BoundedCalls, Database]:
        """What this process works with. After a fork the parent's is left alone: its locks and sockets are not ours."""
        process = self._process
        if process is None or process[0] != os.getpid():
            self._inherited = process  # kept: if it were destroyed here, its sockets would be closed
            process = self._process = _open(self._where, self._timeout_s)
        return process[1:]


def open_ledger(where: str | Path | None, *, secrets: Sequence[bytes] = ()) -> Ledger:
    """The ledger of an app.

    Args:
        where: a URL or the path of a file; None: see `default_place`.
        secrets: oldest to newest.

    Raises:
        ConfigurationError, MissingExtraError: as `Ledger` does.
    """
    return Ledger(where or default_place(), secrets)


def _open(where: Path | URL, timeout_s: float) -> tuple[int, BoundedCalls, Database]:
    from centtrack.consent.ledger.databases import AT_ONCE, PostgresDatabase, SqliteDatabase

    database = SqliteDatabase(where) if isinstance(where, Path) else PostgresDatabase(where, timeout_s)
    return os.getpid(), BoundedCalls(AT_ONCE), database


def _check_next(connection: Connection, check: ChainCheck) -> Verification | None:
    """Check some more rows; with the last ones, also what can be said of the whole at that moment."""
    from centtrack.consent.ledger import tables

    rows = tables.load_rows(connection, after=check.last, at_most=_ROWS)
    for row in rows:
        check.add(row)
    if len(rows) == _ROWS:
        return None
    try:
        head = tables.load_head(connection)
    except LedgerError:
        head = None
    return check.finish(
        head,
        total=tables.count_rows(connection),
        texts=tables.load_texts(connection),
        unerased=tables.with_body(connection, sorted(check.to_confirm)[:_ROWS]),
    )
