"""`delta:PATH_OR_URL` writes a Delta Lake table, on disk or in an object store, partitioned by date."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from centtrack.errors import ConfigurationError, MissingExtraError, Rejected, RetryLater
from centtrack.event import Event
from centtrack.locks import FileLock, no_fork
from centtrack.sinks.base import Batch

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

try:
    import deltalake
    from deltalake.exceptions import DeltaError, DeltaProtocolError, SchemaMismatchError
except ImportError:
    deltalake = None  # type: ignore[assignment]

_SECRETS = re.compile(r"(?<=//)[^/@\s]*@|\?\S*")  # where URLs hold passwords and signatures
_SHOWN = 200  # characters of what an object store said
_URL = re.compile(r"^[a-z0-9+]+://")
_COMPACT_EVERY = 100  # commits: with one file a commit, each takes longer than the one before
_RETENTION_H = 168  # readers may still be on files of a week ago
_STATISTICS = "date,time"  # nothing personal into the log, where no deletion of rows reaches it


class DeltaSink:
    """Appends batches as commits; a batch that is sent twice changes nothing.

    Each commit carries the batch's stream and number as a Delta transaction. deltalake itself accepts the same one
    twice, so the table's last number is read before each write, through the object that then writes.
    """

    linger_s = 1.0
    timeout_s = None  # two commits of one batch at once could both find it new; clients of object stores time out

    def __init__(self, url: str) -> None:
        if deltalake is None:
            raise MissingExtraError("The delta: sink", "delta")
        self.location = table_location(url)
        self.name = f"delta:{_without_credentials(self.location)}"
        self._is_local = not _URL.match(self.location)
        self._table: DeltaTable | None = None
        self._commits = 0

    def open(self) -> None:
        """Open the table; create it if there is none.

        Raises:
            ConfigurationError: if what is there can't be written by this version.
            RetryLater: if it can't be reached.
        """
        with _told_safely(self.name):
            self._open()

    def _open(self) -> None:
        with no_fork():
            from centtrack.sinks.arrow import event_schema

        if self._is_local:
            Path(self.location).mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._maintenance():
            self._table = deltalake.DeltaTable.create(
                self.location,
                schema=deltalake.Schema.from_arrow(event_schema()),
                mode="ignore",
                partition_by=["date"],
                configuration={"delta.dataSkippingStatsColumns": _STATISTICS},
            )

    def write(self, events: Sequence[Event]) -> None:
        """Append a batch, unless the table has it already.

        Raises:
            Rejected: if a value is beyond what its column can hold.
            ConfigurationError: if the table isn't one of events.
            RetryLater: if it can't be written.
        """
        with _told_safely(self.name):
            self._write(events)

    def _write(self, events: Sequence[Event]) -> None:
        if self._table is None:
            self._open()
        table = self._table
        assert table is not None  # noqa: S101 - for the type checker: _open() made it
        table.update_incremental()
        transactions = []
        if isinstance(events, Batch) and events.stream:
            done = table.transaction_version(events.stream)
            if done is not None and done >= events.sequence:
                return
            transactions = [deltalake.Transaction(events.stream, events.sequence)]
        deltalake.write_deltalake(
            table,
            _as_table(events),
            mode="append",
            commit_properties=deltalake.CommitProperties(app_transactions=transactions),
        )
        self._commits += 1
        if self._commits >= _COMPACT_EVERY and self._is_local:
            self.compact()

    def compact(self) -> None:
        """Join small files, and remove those that nobody reads any more; then reopen.

        One process at a time: deltalake doesn't notice that another compaction took the same files away, and doubles
        their rows (tried). In an object store there is no lock to take, so this isn't done there by itself.
        """
        with self._maintenance():
            table = deltalake.DeltaTable(self.location)
            table.optimize.compact()
            table.vacuum(retention_hours=_RETENTION_H, dry_run=False)
        self._table = deltalake.DeltaTable(self.location)
        self._commits = 0

    def _maintenance(self) -> AbstractContextManager[object]:
        """The table's own lock, beside its log; Delta readers pass over names that begin with an underscore."""
        return FileLock(Path(self.location) / "_centtrack.lock") if self._is_local else nullcontext()

    def close(self) -> None:
        """Forget the table."""
        self._table = None


@contextmanager
def _told_safely(name: str) -> Iterator[None]:
    """Errors in words that hold no values of events; those of the storage tell what it said."""
    try:
        yield
    except (SchemaMismatchError, DeltaProtocolError) as error:
        raise ConfigurationError(
            f"{name} is a table that events can't be written to ({type(error).__name__}): it has other columns, or "
            "needs a newer deltalake. Name another folder"
        ) from error
    except DeltaError as error:
        raise RetryLater(f"can't write {name}: {type(error).__name__}") from error
    except OSError as error:
        said = error.strerror or _SECRETS.sub("", str(error).partition("\n")[0])[:_SHOWN]
        raise RetryLater(f"can't write {name}: {said}") from error


def _as_table(events: Sequence[Event]) -> pa.Table:
    from centtrack.sinks.arrow import event_table

    try:
        return event_table(events)
    except (OverflowError, TypeError, ValueError) as error:  # Arrow's errors about values are ValueErrors or TypeErrors
        raise Rejected(f"a value does not fit its column: {type(error).__name__}") from error


def _without_credentials(location: str) -> str:
    scheme, separator, rest = location.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else location


def table_location(url: str) -> str:
    """The location in a `delta:` URL: an absolute path, or the URL of an object store.

    Raises:
        ConfigurationError: if there is none.
    """
    location = url.removeprefix("delta:")
    if not location:
        raise ConfigurationError('"delta:" needs a folder or an object store\'s URL, as in delta:./telemetry')
    return location if _URL.match(location) else str(Path(location).expanduser().absolute())
