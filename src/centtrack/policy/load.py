"""From the text of `privacy.toml` to a checked document, or to all its problems at once."""

from __future__ import annotations

import tomllib
import types
from collections.abc import Iterable, Iterator
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from centtrack.errors import PolicyError, Problem
from centtrack.policy.model import Document
from centtrack.policy.toml_lines import Key, key_lines, syntax_error_line
from centtrack.spelling import nearest

_PLAINLY = {"missing": "this key is required", "tuple_type": 'this must be a list, as in ["…"]'}
"""Mistakes that pydantic words for programmers."""


def read_document(text: str, source: str) -> Document:
    """The document of a policy's text.

    Args:
        text: TOML.
        source: what to call it in messages: the file's name.

    Raises:
        PolicyError: with every problem of the file, each with its line.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(source, [Problem(syntax_error_line(error, text), "", f"not valid TOML: {error}")]) from None
    lines = key_lines(text)
    problems: dict[str, Problem] = {}
    while True:
        try:
            document = Document.model_validate(values)
        except ValidationError as error:
            details = [detail for detail in error.errors() if not _only_counts(detail, error.errors())]
            first_look = not problems
            for detail in details:
                if first_look or (detail["type"] == "rule" and not _follows(detail, problems)):
                    problem = _problem(detail, values, lines)
                    problems.setdefault(problem.key, problem)  # of a union's branches, the first
            # Rules that look at several keys run only once each key is right: take the wrong ones out, and look again.
            if not _without(values, {_faulty(detail, values) for detail in details}):
                raise PolicyError(source, list(problems.values())) from None
        else:
            if problems:
                raise PolicyError(source, list(problems.values()))
            return document


def _only_counts(detail: ErrorDetails, details: Iterable[ErrorDetails]) -> bool:
    """Whether a list is too short only because pydantic doesn't count its wrong items."""
    at = detail["loc"]
    return detail["type"] == "too_short" and any(one["loc"][: len(at)] == at != one["loc"] for one in details)


def _follows(detail: ErrorDetails, problems: Iterable[str]) -> bool:
    """Whether a broken rule only follows from a mistake that is known already."""
    cause = detail.get("ctx", {}).get("unless")
    return cause is not None and any(key.startswith(cause) for key in problems)


def _faulty(detail: ErrorDetails, values: dict[str, Any]) -> Key:
    """What to take out: the key, or the whole table if the key is missing."""
    location = _location(detail, values)
    return location[:-1] if detail["type"] == "missing" else location


def _without(values: dict[str, Any], locations: set[Key]) -> bool:
    """Removes what stands at these places, the last elements of an array first. False if one can't be removed."""
    for location in sorted(locations, key=lambda key: [f"{part:>9}" for part in key], reverse=True):
        holder: Any = values
        try:
            for part in location[:-1]:
                holder = holder[part]
            del holder[location[-1]]
        except (LookupError, TypeError):
            return False
    return True


def _problem(detail: ErrorDetails, values: dict[str, Any], lines: dict[Key, int]) -> Problem:
    location = _location(detail, values)
    return Problem(_line_of(location, lines), _dotted(location), _message(detail, location))


def _location(detail: ErrorDetails, values: dict[str, Any]) -> Key:
    """Where the mistake stands; a rule over a whole table says which key of it is meant.

    Pydantic adds parts for the branch of a union or a dictionary's key: what the file doesn't have is one of these,
    but for the last part, if that is missing.
    """
    location: list[str | int] = []
    holder: Any = values
    for part in detail["loc"]:
        try:
            holder = holder[part]
            location.append(part)
        except (LookupError, TypeError):
            if detail["type"] == "missing" and part == detail["loc"][-1]:
                location.append(part)
    at = str(detail.get("ctx", {}).get("at", ""))
    location += [int(part) if part.isdigit() else part for part in at.split(".")] if at else []
    return tuple(location)


def _line_of(location: Key, lines: dict[Key, int]) -> int | None:
    for length in range(len(location), 0, -1):
        if location[:length] in lines:
            return lines[location[:length]]
    return None


def _dotted(location: Key) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _message(detail: ErrorDetails, location: Key) -> str:
    if detail["type"] == "extra_forbidden":
        allowed = sorted(_allowed_keys(location[:-1]))
        return f"unknown key; allowed here: {', '.join(allowed)}.{nearest(str(location[-1]), allowed)}"
    if detail["type"] == "literal_error":
        value, expected = detail["input"], str(detail.get("ctx", {}).get("expected", "")).replace("'", "")
        allowed = expected.replace(" or ", ", ").split(", ")
        return f'"{value}" is not allowed here; allowed: {", ".join(allowed)}.{nearest(str(value), allowed)}'
    if detail["type"] in {"level", "rule"}:
        return detail["msg"]
    if detail["type"] in _PLAINLY:
        return _PLAINLY[detail["type"]]
    shown = detail["input"] if isinstance(detail["input"], (str, int, float, bool)) else type(detail["input"]).__name__
    return f"{detail['msg']} (it is {shown!r})"


def _allowed_keys(location: Key) -> list[str]:
    kind: Any = Document
    for part in location:
        if isinstance(part, str) and isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = next(_models(kind.model_fields[part].annotation), None)
    return list(kind.model_fields) if kind is not None else []


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation such as `tuple[Cookie, ...] | None` names."""
    if isinstance(annotation, type) and not get_args(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {tuple, Union, types.UnionType}:
        for argument in get_args(annotation):
            yield from _models(argument)
