"""Events as batches of CloudEvents 1.0 in JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from centtrack.sinks.base import Batch

CONTENT_TYPE = "application/cloudevents-batch+json"
_MAX_BYTES = 1_000_000  # nginx, in front of many a receiver, takes no more if it isn't told to


class _Event(msgspec.Struct, gc=False):
    """What the envelope tells of an event, read from its JSON without the rest."""

    event_id: str
    time: str
    schema_version: int = 1
    name: str = "request"
    site: str | None = None


class _CloudEvent(msgspec.Struct, gc=False):
    id: str
    source: str
    type: str
    time: str
    dataschema: str
    data: msgspec.Raw
    specversion: str = "1.0"
    datacontenttype: str = "application/json"


class Message(NamedTuple):
    """The body of one request.

    Attributes:
        id: the same for the same events.
        body: a JSON array of CloudEvents.
    """

    id: str
    body: bytes


_decoder = msgspec.json.Decoder(_Event)
_encoder = msgspec.json.Encoder()


def make_messages(batch: Batch, most: int) -> Iterator[Message]:
    """The batch in parts of at most so many events and a megabyte.

    Args:
        batch: its lines are taken as they are.
        most: events in a part.

    Raises:
        UnreadableBatchError: if a line is no event.
    """
    ids: list[str] = []
    parts: list[bytes] = []
    size = 0
    for event_id, encoded in _encode_all(batch):
        if parts and (len(parts) >= most or size + len(encoded) > _MAX_BYTES):
            yield _message(ids, parts)
            ids, parts, size = [], [], 0
        ids.append(event_id)
        parts.append(encoded)
        size += len(encoded) + 1
    if parts:
        yield _message(ids, parts)


def _message(ids: list[str], parts: list[bytes]) -> Message:
    """Named by its events: under another policy, a batch that comes again may be cut at other places."""
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
    return Message(f"msg_{digest[:32]}", b"[" + b",".join(parts) + b"]")


def _encode_all(batch: Batch) -> Iterator[tuple[str, bytes]]:
    """Ids and CloudEvents, one after another."""
    for event, line in batch.heads(_decoder):
        yield event.event_id, _encode(event, line)


def _encode(event: _Event, line: bytes) -> bytes:
    source, kind, schema = _common(event.site, event.name, event.schema_version)
    return _encoder.encode(_CloudEvent(event.event_id, source, kind, event.time, schema, msgspec.Raw(line)))


@lru_cache(maxsize=256)
def _common(site: str | None, name: str, version: int) -> tuple[str, str, str]:
    """What many events have alike: source, type and schema."""
    source = "/centtrack" if site is None else f"/centtrack/{quote(site, safe='')}"
    return source, f"centtrack.{name}", f"urn:centtrack:event:{version}"
