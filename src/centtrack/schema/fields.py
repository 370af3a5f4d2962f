"""The columns of an event, in words that no language or database owns. The other forms are made of these."""

from __future__ import annotations

import datetime as dt
import types
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from centtrack.event import COLUMNS, Column, DataClass

Kind = Literal["text", "integer", "number", "boolean", "time", "date", "text_map", "integer_map", "json"]

_KINDS: dict[Any, Kind] = {str: "text", int: "integer", float: "number", bool: "boolean", dt.datetime: "time"}
_MAPS: dict[Any, Kind] = {str: "text_map", int: "integer_map"}


class Field(NamedTuple):
    """A column as a table of events has it.

    Attributes:
        name: of the column; letters, digits and underscores.
        kind: integers have 64 bits; a time is UTC, to the microsecond; `json` is a map whose values have several types.
        is_nullable: whether it may be empty.
        description: what it is.
        unit: of a number, as in `ms`.
        limit: of the policy, that the column follows.
        level: the coarsest level of that limit at which the column is filled.
        data_class: personal, pseudonymous or anonymous.
        example: a value as JSON has it.
        is_derived: whether it is worked out from other columns, and not part of an event.
    """

    name: str
    kind: Kind
    is_nullable: bool
    description: str
    unit: str | None = None
    limit: str | None = None
    level: str | None = None
    data_class: DataClass = "anonymous"
    example: object = None
    is_derived: bool = False

    @property
    def comment(self) -> str:
        """What stands beside the column in a database."""
        limit = f"limit {self.limit}" if self.limit else None
        notes = ", ".join(filter(None, (self.unit, limit, self.data_class)))
        return f"{self.description} ({notes})"


def _field(column: Column) -> Field:
    hint, is_nullable = column.type, False
    if get_origin(hint) in {Union, types.UnionType}:
        is_nullable = type(None) in get_args(hint)
        hint = next(part for part in get_args(hint) if part is not type(None))
    return Field(
        column.name,
        _kind(hint),
        is_nullable,
        column.description,
        column.unit,
        column.limit,
        column.level,
        column.data_class,
        column.example,
    )


def _kind(hint: Any) -> Kind:
    if get_origin(hint) is Literal:
        return "text"
    return _MAPS.get(get_args(hint)[1], "json") if get_origin(hint) is dict else _KINDS[hint]


EVENT_FIELDS = tuple(map(_field, COLUMNS))
DATE = Field(
    "date",
    "date",
    False,
    "day of `time`, UTC; tables are partitioned by it",
    limit="time",
    level="day",
    example="2026-11-22",
    is_derived=True,
)
FIELDS = (*EVENT_FIELDS, DATE)


def missing_fields(present: set[str]) -> list[Field]:
    """Fields that a table doesn't have.

    Args:
        present: names of its columns.
    """
    return [field for field in FIELDS if field.name not in present]
