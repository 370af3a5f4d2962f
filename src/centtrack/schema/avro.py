"""The Avro schema (1.11) of a table of events."""

from __future__ import annotations

from typing import Any

from centtrack.event import SCHEMA_VERSION
from centtrack.schema.fields import FIELDS, Field, Kind

_TYPES: dict[Kind, object] = {
    "text": "string",
    "integer": "long",
    "number": "double",
    "boolean": "boolean",
    "time": {"type": "long", "logicalType": "timestamp-micros"},
    "date": {"type": "int", "logicalType": "date"},
    "text_map": {"type": "map", "values": "string"},
    "integer_map": {"type": "map", "values": "long"},
    "json": {"type": "map", "values": ["string", "long", "double", "boolean"]},
}


def event_avro_schema() -> dict[str, Any]:
    """A record. What may be empty is so by default, so that a reader of this schema takes records of older ones."""
    return {
        "type": "record",
        "name": "Event",
        "namespace": "centtrack",
        "doc": f"What is known of one request; version {SCHEMA_VERSION}.",
        "fields": [_field(field) for field in FIELDS],
    }


def _field(field: Field) -> dict[str, Any]:
    made = {"name": field.name, "type": _TYPES[field.kind], "doc": field.comment}
    return {**made, "type": ["null", made["type"]], "default": None} if field.is_nullable else made
