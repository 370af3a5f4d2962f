"""Custom events: only names and typed properties that the policy declares."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from centtrack.policy.identifiers import is_iin
from centtrack.policy.model import CustomEvent as Declared
from centtrack.scrub.digits import kind_of_number
from centtrack.scrub.tokens import kind_of_key
from centtrack.spelling import nearest

_TOO_LARGE = 2**63
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class CustomEvent(NamedTuple):
    """A custom event that was noted with a request."""

    name: str
    props: dict[str, Any]


def check_custom(declared: Sequence[Declared], name: str, props: Mapping[str, object]) -> str | None:
    """What is wrong with a custom event, without its values; None if it is as declared."""
    event = next((event for event in declared if event.name == name), None)
    if event is None:
        names = [event.name for event in declared]
        return f"custom event {_shown(name)} is not declared in [[events]] of the policy.{nearest(name, names)}"
    for key, value in props.items():
        allowed = event.properties.get(key)
        if allowed is None:
            return f'custom event "{name}": property {_shown(key)} is not declared.{nearest(key, event.properties)}'
        if not _fits(value, allowed):
            expected = allowed if isinstance(allowed, str) else "one of " + ", ".join(allowed)
            return f'custom event "{name}": property "{key}" must be {expected}'
    return None


def _shown(name: object) -> str:
    """A name as a log may show it: one that a policy can't declare may be text of a visitor."""
    return f'"{name}"' if isinstance(name, str) and _NAME.fullmatch(name) else "whose name no policy allows"


def _fits(value: object, allowed: str | tuple[str, ...]) -> bool:
    if isinstance(allowed, tuple):
        return value in allowed
    if isinstance(value, bool) or allowed == "boolean":
        return isinstance(value, bool) and allowed == "boolean"
    if not isinstance(value, (int, float)) or (allowed == "integer" and not isinstance(value, int)):
        return False
    return abs(value) < _TOO_LARGE  # NaN is not smaller either


def scrub_props(props: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The properties without numbers that are a person's, and the kinds of those that were left out.

    Words and booleans are the policy's own. Of numbers these go: a phone of 11 digits as dialled in Kazakhstan and
    Russia; an IIN, also one that lost its leading zeros; from 13 digits on a card, and any other number, which is as
    good as a name; a fraction whose property is called `lat`, `longitude` and the like. These stay: up to 10 digits
    (prices, counts, ids, seconds since 1970), milliseconds since 1970 (13 digits that begin with 1), a BIN, an EAN,
    a time as YYYYMMDDhhmmss.

    Args:
        props: as `check_custom` accepts them.
    """
    kinds = {key: kind for key, value in props.items() if (kind := _kind_of_property(key, value))}
    return {key: value for key, value in props.items() if key not in kinds}, tuple(kinds.values())


def _kind_of_property(key: str, value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if value != int(value):
        return "coordinates" if kind_of_key(key) == "coordinates" else None
    digits = str(abs(int(value)))
    if len(digits) in {10, 11} and is_iin(digits.zfill(12)):
        return "iin"
    if len(digits) <= 10 or (len(digits) == 13 and digits[0] == "1"):
        return None
    return kind_of_number(digits)
