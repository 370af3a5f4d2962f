"""The JSON Schema (draft 2020-12) of an event as sinks and files have it: one JSON object."""

from __future__ import annotations

from typing import Any

import msgspec

from centtrack.event import SCHEMA_VERSION, Event
from centtrack.schema.fields import EVENT_FIELDS


def event_json_schema() -> dict[str, Any]:
    """What a decoder of this version takes. Properties that it doesn't know may come from a newer one."""
    schema: dict[str, Any] = msgspec.json.schema(Event)["$defs"]["Event"]
    for field in EVENT_FIELDS:
        schema["properties"][field.name]["description"] = field.comment
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "description": f"What is known of one request; version {SCHEMA_VERSION}.",
    }
