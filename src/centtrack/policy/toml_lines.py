"""Where each key of a TOML text stands. `tomllib` gives values but no positions."""

from __future__ import annotations

import re
import tomllib

Key = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)(.+?)\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_SYNTAX_ERROR_LINE = re.compile(r"\(at line (\d+), column \d+\)")


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def key_lines(text: str) -> dict[Key, int]:
    """Path of each table and key → its line, from 1. Elements of an array of tables are numbered from 0.

    The text must be valid TOML: a value that goes over several lines is recognised by not parsing yet.
    """
    found: dict[Key, int] = {}
    counts: dict[Key, int] = {}
    table: Key = ()
    open_value = ""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if open_value:
            open_value = _still_open(f"{open_value}\n{line}")
        elif header := _HEADER.match(line):
            table = _table(header, counts)
            found.setdefault(table, number)
            found.setdefault(tuple(part for part in table if isinstance(part, str)), number)
        elif assignment := _ASSIGNMENT.match(line):
            found[(*table, *_parts(assignment[1]))] = number
            open_value = _still_open(line)
    return found


def _table(header: re.Match[str], counts: dict[Key, int]) -> Key:
    """The path of a header, with the number of the current element after each array of tables."""
    path: Key = ()
    parts = _parts(header[2])
    for position, part in enumerate(parts, start=1):
        path = (*path, part)
        if header[1] == "[[" and position == len(parts):
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _still_open(assignment: str) -> str:
    """The text itself while its value is unfinished, else nothing."""
    try:
        tomllib.loads(assignment)
    except tomllib.TOMLDecodeError:
        return assignment
    return ""


def syntax_error_line(error: tomllib.TOMLDecodeError, text: str) -> int:
    """The line a syntax error names; the last one if the text ends too early."""
    match = _SYNTAX_ERROR_LINE.search(str(error))
    return int(match[1]) if match else text.rstrip("\n").count("\n") + 1
