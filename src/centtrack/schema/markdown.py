"""The catalogue of an event's columns, as a table in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from centtrack.schema.fields import FIELDS, Field, Kind

_TYPES: dict[Kind, str] = {
    "text_map": "map of text to text",
    "integer_map": "map of text to integer",
    "json": "map of text to value",
}
_TITLES = ("column", "type", "unit", "what it is", "limit, and its levels that fill it", "data", "example")


def write_catalogue(levels: Mapping[str, Sequence[str]]) -> str:
    """The table, and below it which columns are never empty.

    Args:
        levels: each limit's, coarse to fine.
    """
    lines = [_line(_TITLES), "|" + "---|" * len(_TITLES), *(_line(_cells(field, levels)) for field in FIELDS)]
    filled = ", ".join(f"`{field.name}`" for field in FIELDS if not field.is_nullable)
    return "\n".join([*lines, "", f"Never empty: {filled}.", ""])


def _cells(field: Field, levels: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield f"`{field.name}`"
    yield _TYPES.get(field.kind, field.kind)
    yield field.unit or ""
    yield field.description
    yield _levels(field, levels)
    yield field.data_class
    yield f"`{_shown(field.example)}`"


def _levels(field: Field, levels: Mapping[str, Sequence[str]]) -> str:
    if field.limit is None or field.level is None:
        return ""
    known = levels[field.limit]
    filling = ", ".join(f"`{level}`" for level in known[known.index(field.level) :])
    return f"`{field.limit}`: {filling}"


def _shown(example: object) -> str:
    return example if isinstance(example, str) else json.dumps(example, ensure_ascii=False)


def _line(cells: Iterator[str] | Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
