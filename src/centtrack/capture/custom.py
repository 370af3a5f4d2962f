"""Custom events: only names and typed properties that the policy declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from centtrack.policy.model import CustomEvent as Declared
from centtrack.policy.model import nearest

_TOO_LARGE = 2**63


class CustomEvent(NamedTuple):
    """A custom event that was noted with a request."""

    name: str
    props: dict[str, Any]


def check_custom(declared: Sequence[Declared], name: str, props: Mapping[str, object]) -> str | None:
    """What is wrong with a custom event, without its values; None if it is as declared."""
    event = next((event for event in declared if event.name == name), None)
    if event is None:
        names = [event.name for event in declared]
        return f'custom event "{name}" is not declared in [[events]] of the policy.{nearest(name, names)}'
    for key, value in props.items():
        allowed = event.properties.get(key)
        if allowed is None:
            return f'custom event "{name}": property "{key}" is not declared.{nearest(key, event.properties)}'
        if not _fits(value, allowed):
            expected = allowed if isinstance(allowed, str) else "one of " + ", ".join(allowed)
            return f'custom event "{name}": property "{key}" must be {expected}'
    return None


def _fits(value: object, allowed: str | tuple[str, ...]) -> bool:
    if isinstance(allowed, tuple):
        return value in allowed
    if isinstance(value, bool) or allowed == "boolean":
        return isinstance(value, bool) and allowed == "boolean"
    if not isinstance(value, (int, float)) or (allowed == "integer" and not isinstance(value, int)):
        return False
    return abs(value) < _TOO_LARGE  # NaN is not smaller either
