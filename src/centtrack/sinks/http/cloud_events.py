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


class CloudEvent(msgspec.Struct, gc=False):
    """CloudEvents 1.0, JSON format, with the attributes that ours have; `data` is an event as JSON."""

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
    events: list[CloudEvent] = []
    size = 0
    for event, line in batch.heads(_decoder):
        common = _common(event.site, event.name, event.schema_version)
        length = len(line) + len(event.event_id) + len(event.time) + common.envelope
        if events and (len(events) >= most or size + length > _MAX_BYTES):
            yield _message(events)
            events, size = [], 0
        data = msgspec.Raw(line)
        events.append(CloudEvent(event.event_id, common.source, common.type, event.time, common.dataschema, data))
        size += length
    if events:
        yield _message(events)


def _message(events: list[CloudEvent]) -> Message:
    """Named by its events: under another policy, a batch that comes again may be cut at other places."""
    digest = hashlib.sha256("\n".join([event.id for event in events]).encode()).hexdigest()
    return Message(f"msg_{digest[:32]}", _encoder.encode(events))


class _Common(NamedTuple):
    """What many events have alike.

    Attributes:
        envelope: bytes that a CloudEvent with it takes beside its id, time and data, with the comma behind it.
    """

    source: str
    type: str
    dataschema: str
    envelope: int


@lru_cache(maxsize=256)
def _common(site: str | None, name: str, version: int) -> _Common:
    source = "/centtrack" if site is None else f"/centtrack/{quote(site, safe='')}"
    kind, schema = f"centtrack.{name}", f"urn:centtrack:event:{version}"
    empty = CloudEvent("", source, kind, "", schema, msgspec.Raw())
    return _Common(source, kind, schema, len(_encoder.encode(empty)) + 1)
