"""Reading what a sink has stored, through DuckDB. Nothing is fetched from the network but the lake itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from centtrack.errors import CenttrackError, ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.dataset as ds

TABLE = "events"


class LakeError(CenttrackError):
    """The lake can't be read, or a query on it is wrong."""


def open_lake(url: str) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection whose table `events` is the lake as it is now.

    Args:
        url: a sink's URL, as it is given to the middleware: `delta:…` or `jsonl:…`.

    Raises:
        ConfigurationError: if that sink can't be read back.
        LakeError: if there is nothing yet.
        MissingExtraError: if DuckDB isn't installed.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingExtraError("Reading a lake", "reports") from None
    scheme, _, target = url.partition(":")
    connection = duckdb.connect()
    connection.execute("set autoinstall_known_extensions = false; set autoload_known_extensions = false")
    connection.execute("set timezone = 'UTC'")
    if scheme == "delta":
        connection.register(TABLE, _delta_dataset(url))
    elif scheme == "jsonl" and target != "-":
        _register_lines(connection, Path(target).expanduser())
    else:
        raise ConfigurationError(f'"{url}" can\'t be read back; give a delta: or jsonl: URL')
    connection.execute("set enable_external_access = false")  # a query reads the lake, and no other file
    return connection


def fetch(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """The result of a query. Through Arrow: DuckDB's own times need a package more.

    Raises:
        LakeError: if the query is wrong.
    """
    import duckdb

    try:
        relation = connection.sql(sql)
        if relation is None:
            raise LakeError("that statement gives no rows; ask with select")
        return relation.to_arrow_table()
    except duckdb.Error as error:
        raise LakeError(str(error)) from None


def _delta_dataset(url: str) -> ds.Dataset:
    import pyarrow as pa
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    from centtrack.schema.arrow import with_all_columns
    from centtrack.sinks.delta import table_location
    from centtrack.sinks.delta.object_store import told

    location = table_location(url)
    try:
        table = DeltaTable(location)
        return table.to_pyarrow_dataset(schema=with_all_columns(pa.schema(table.schema())))
    except TableNotFoundError:
        raise LakeError(f"there is no lake at {location} yet: nothing was delivered there") from None
    except (DeltaError, OSError) as error:
        raise LakeError(str(told(f"delta:{location}", error, "read"))) from None


def _register_lines(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    import msgspec

    from centtrack.event import Event
    from centtrack.schema.arrow import event_table

    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise LakeError(f"there is no file {path} yet: nothing was delivered there") from None
    except OSError as error:
        raise LakeError(f"can't read {path}: {error.strerror}") from None
    whole = data[: data.rfind(b"\n") + 1]  # the last line may be half written
    try:
        events = msgspec.json.Decoder(Event).decode_lines(whole)
    except msgspec.DecodeError as error:
        raise LakeError(f"{path} holds lines that are no events: {error}") from None
    connection.register(TABLE, event_table(events))
