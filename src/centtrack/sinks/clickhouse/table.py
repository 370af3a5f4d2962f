"""The table that the sink writes to: what a URL says of it, what is there, and what is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, Self

from centtrack.errors import ConfigurationError
from centtrack.schema.clickhouse import (
    MAX_RETENTION_DAYS,
    add_missing_columns,
    column_type,
    create_table,
    quote,
    table_name,
)
from centtrack.schema.fields import FIELDS
from centtrack.sinks.clickhouse.calls import ClickHouseCalls, MissingError
from centtrack.sinks.url import SinkUrl, identifier

DEFAULT_TABLE = "event"
_DATABASE = "default"
_OF_EVENTS = ("event_id", "time", "date")  # without these it is another's table, to which no columns are added
_WRAPPED = re.compile(r"\b(?:LowCardinality|Nullable)\(([^()]*)\)")  # how a value is stored, not what it is


class Target(NamedTuple):
    """The table, and what may be done to it.

    Attributes:
        table: its name.
        database: where it is.
        may_create: whether the sink makes it, and adds columns to one of an older version.
        retention_days: of a table that it makes.
    """

    table: str
    database: str
    may_create: bool
    retention_days: int | None

    @classmethod
    def read(cls, url: SinkUrl) -> Self:
        """What a URL says.

        Raises:
            ConfigurationError: if a name or an option isn't one.
        """
        retention = url.options.get("retention")
        if retention is not None and not (
            re.fullmatch(r"[1-9][0-9]{0,4}", retention) and int(retention) <= MAX_RETENTION_DAYS
        ):
            raise ConfigurationError(
                f"clickhouse: option retention is a number of days, from 1 to {MAX_RETENTION_DAYS}; without it nothing "
                "is deleted"
            )
        return cls(
            identifier(url.options.get("table", DEFAULT_TABLE), "a table"),
            identifier(url.path or _DATABASE, "a database"),
            url.is_on("create", default=True),
            int(retention) if retention else None,
        )

    @property
    def quoted(self) -> str:
        """Its full name in statements."""
        return table_name(self.table, self.database)

    @property
    def statement(self) -> str:
        """What makes it."""
        return create_table(self.table, database=self.database, retention_days=self.retention_days)


def find_missing(name: str, target: Target, calls: ClickHouseCalls) -> MissingError | None:
    """The table or the columns that aren't there, and the statements that make them; None if all is there.

    Args:
        name: of the sink.
        target: the table.
        calls: to the server.

    Raises:
        ConfigurationError: if the table isn't one of events.
    """
    rows = calls.ask(
        "select name, type, default_kind from system.columns "
        "where database = {database:String} and table = {table:String}",
        "see the table's columns",
        database=target.database,
        table=target.table,
    )
    if not rows:
        return MissingError(name, f"there is no table {target.quoted}, or the user may not see it", target.statement)
    types = {column: kind.replace("\\'", "'") for column, kind, _ in rows}
    _refuse_misfit(name, target, types)
    if ["date", types["date"], ""] in rows:
        change = f"alter table {target.quoted} modify column `date` {types['date']} default toDate(time)"
        raise MissingError(name, f"table {target.quoted} does not work `date` out, which isn't sent", change)
    statements = add_missing_columns(target.table, types.keys(), database=target.database)
    return MissingError(name, f"table {target.quoted} has not all columns", *statements) if statements else None


def _refuse_misfit(name: str, target: Target, types: Mapping[str, str]) -> None:
    own = {field.name: column_type(field) for field in FIELDS}
    others = [column for column, kind in types.items() if column in own and _plain(kind) != _plain(own[column])]
    lacking = [column for column in _OF_EVENTS if column not in types]
    if not (others or lacking):
        return
    problem = "has no column" if lacking else "has another type in"
    columns = ", ".join(map(quote, lacking or others))
    raise ConfigurationError(
        f"{name}: table {target.quoted} {problem} {columns}: it isn't a table of events. Name another in option table"
    )


def _plain(kind: str) -> str:
    """A type without what doesn't change which values it takes."""
    while (inner := _WRAPPED.sub(r"\1", kind)) != kind:
        kind = inner
    return kind
