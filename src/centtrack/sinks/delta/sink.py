"""`delta:PATH_OR_URL` writes a Delta Lake table, on disk or in an object store, partitioned by date."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from centtrack.errors import ConfigurationError, MissingExtraError, Rejected, RetryLater
from centtrack.event import Event
from centtrack.locks import FileLock, no_fork
from centtrack.logs import report
from centtrack.sinks.base import Batch
from centtrack.sinks.delta import object_store
from centtrack.sinks.delta.location import table_location
from centtrack.sinks.delta.streams import StreamEnds
from centtrack.sinks.finding import Finding

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

try:
    import deltalake
    from deltalake.exceptions import CommitFailedError, DeltaError, DeltaProtocolError, SchemaMismatchError
except ImportError:
    deltalake = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

_ATTEMPTS = 5  # while others commit, each of up to 16 by deltalake itself; then the delivery tries again
_COMPACT_EVERY = 100  # commits: with one file a commit, each takes longer than the one before
_RETENTION_H = 168  # readers may still be on files of a week ago


class DeltaSink:
    """Appends batches as commits; a batch that is sent twice changes nothing, from whichever process.

    Each commit carries the batch's stream and number as a Delta transaction. deltalake itself accepts the same one
    twice, so the table's last number is read before each write, through the object that then writes. If another writer
    commits to the same stream in between, that is a conflict by Delta's rules, and the number is read again.
    """

    linger_s = 1.0
    timeout_s = None  # clients of object stores time out by themselves, and what a disk does can't be ended

    def __init__(self, url: str) -> None:
        if deltalake is None:
            raise MissingExtraError("The delta: sink", "delta")
        self.location = table_location(url)
        self.name = f"delta:{self.location}"
        self._is_local = Path(self.location).is_absolute()
        self._options = None if self._is_local else object_store.OPTIONS
        if not self._is_local:
            self.linger_s = 10.0  # a file a commit, that nobody joins there
        self._table: DeltaTable | None = None
        self._ends = StreamEnds()
        self._commits = 0

    def open(self) -> None:
        """Open the table; create it if there is none, and add the columns that it doesn't have yet.

        Raises:
            ConfigurationError: if it can't be written by this version, or the object store isn't safe to write to.
            RetryLater: if it can't be reached.
        """
        with _told_safely(self.name):
            self._opened()

    def _opened(self) -> DeltaTable:
        if self._table is None:
            self._make_ready()
            self._ends = StreamEnds()
            with self._maintenance():
                self._table = self._created_or_another_did()
        return self._table

    def _created_or_another_did(self) -> DeltaTable:
        """In an object store many hosts may make one table, or add its columns, at once: the first does it."""
        for _ in range(_ATTEMPTS):
            with suppress(CommitFailedError):
                return self._created()
        return self._created()

    def _make_ready(self) -> None:
        if self._is_local:
            Path(self.location).mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            with no_fork():
                from centtrack.sinks.delta.probe import prove_conditional
            prove_conditional(self.location)

    def _created(self) -> DeltaTable:
        with no_fork():
            from centtrack.schema.arrow import event_schema
            from centtrack.sinks.delta import columns

        table = deltalake.DeltaTable.create(
            self.location,
            schema=deltalake.Schema.from_arrow(event_schema()),
            mode="ignore",
            partition_by=["date"],
            configuration=dict(columns.STATISTICS),
            storage_options=self._options,
        )
        if difference := columns.find_difference(table):
            raise ConfigurationError(
                f"{self.name} is a table that events can't be written to: {difference}. {_ELSEWHERE}"
            )
        columns.add_missing_columns(table)
        columns.keep_log_impersonal(table)
        return table

    def write(self, events: Sequence[Event]) -> None:
        """Append a batch, unless the table has it already.

        Raises:
            Rejected: if a value is beyond what its column can hold.
            ConfigurationError: if the table isn't one of events.
            OverlapError: if the table has the beginning of it; only where the batch says which its first event is.
            RetryLater: if it can't be written.
        """
        with _told_safely(self.name):
            self._write(events)

    def _write(self, events: Sequence[Event]) -> None:
        table = self._opened()
        for _ in range(_ATTEMPTS):
            table.update_incremental()
            if self._ends.has(events, table):
                return
            version = table.version()
            try:
                _append(table, events)
            except CommitFailedError:
                table.update_incremental()
                if table.version() == version:
                    raise  # nobody was first
            else:
                self._ends.note(events, table, version)
                self._commits += 1
                if self._commits >= _COMPACT_EVERY and self._is_local:
                    self._compact_if_possible()
                return
        raise RetryLater(f"can't write {self.name}: other writers were first, {_ATTEMPTS} times")

    def last_sequence(self, stream: str) -> int | None:
        """The number of the last batch of a stream that the table has; None if it has none.

        Raises:
            ConfigurationError: as `open()`.
            RetryLater: if it can't be reached.
        """
        with _told_safely(self.name):
            table = self._opened()
            table.update_incremental()
            return self._ends.end_of(stream, table)

    def _compact_if_possible(self) -> None:
        """What goes wrong in it, as when rows are deleted meanwhile, is no failure of the batch: the table has it."""
        self._commits = 0
        try:
            self.compact()
        except (DeltaError, OSError) as error:
            problem = object_store.told(self.name, error, "join files of")
            message = "%s. Delivery goes on; it is tried again after %s batches"
            report(logger, logging.WARNING, "lake_not_compacted", message, problem, _COMPACT_EVERY, sink=self.name)

    def compact(self) -> None:
        """Join small files, and remove those that nobody reads any more; then reopen.

        One process at a time: deltalake doesn't notice that another compaction took the same files away, and doubles
        their rows (tried). In an object store there is no lock to take, so this isn't done there by itself.
        """
        with self._maintenance():
            table = deltalake.DeltaTable(self.location, storage_options=self._options)
            table.optimize.compact()
            table.vacuum(retention_hours=_RETENTION_H, dry_run=False)
        self._table = deltalake.DeltaTable(self.location, storage_options=self._options)

    def check(self) -> Iterator[Finding]:
        """What is in the way of writing, if anything."""
        from centtrack.sinks.delta.check import check_lake

        yield from check_lake(self.name, self.location, self._options)

    def _maintenance(self) -> AbstractContextManager[object]:
        """The table's own lock, beside its log; Delta readers pass over names that begin with an underscore."""
        return FileLock(Path(self.location) / "_centtrack.lock") if self._is_local else nullcontext()

    def close(self) -> None:
        """Forget the table."""
        self._table = None


_ELSEWHERE = "Name another folder"


@contextmanager
def _told_safely(name: str) -> Iterator[None]:
    """Errors in words that hold no values of events, and no credentials."""
    try:
        yield
    except (SchemaMismatchError, DeltaProtocolError) as error:
        raise ConfigurationError(
            f"{name} is a table that events can't be written to ({type(error).__name__}): it has other columns, or "
            f"needs a newer deltalake. {_ELSEWHERE}"
        ) from None
    except (DeltaError, OSError) as error:
        raise object_store.told(name, error) from None


def _append(table: DeltaTable, events: Sequence[Event]) -> None:
    """Commit a batch on top of the table as it is loaded. Waits for no other writer, and loses to none unnoticed."""
    transactions = []
    if isinstance(events, Batch) and events.stream:
        transactions = [deltalake.Transaction(events.stream, events.sequence)]
    deltalake.write_deltalake(
        table,
        _as_table(events, table),
        mode="append",
        commit_properties=deltalake.CommitProperties(app_transactions=transactions),
    )


def _as_table(events: Sequence[Event], table: DeltaTable) -> pa.Table:
    from centtrack.schema.arrow import join_parts
    from centtrack.sinks.delta.columns import fitted

    batch = events if isinstance(events, Batch) else Batch(events)
    try:
        return fitted(join_parts(batch.parts()), table)
    except (OverflowError, TypeError, ValueError) as error:  # Arrow's errors about values are ValueErrors or TypeErrors
        raise Rejected(f"a value does not fit its column: {type(error).__name__}") from error
