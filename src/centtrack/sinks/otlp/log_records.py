"""Events as records of OpenTelemetry logs, in protobuf.

The parts of a message may be encoded one by one and joined. So an attribute that many events have is encoded once, and
all of them in a third of the time.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from centtrack import __version__
from centtrack.event import COLUMNS, Column, Event
from centtrack.sinks.otlp.semantic_names import ATTRIBUTES, SCHEMA_URL, SYNTHETIC

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_SCOPE = InstrumentationScope(name="centtrack", version=__version__)
_INFO = SeverityNumber.SEVERITY_NUMBER_INFO  # without one, filters by severity take a record for less than any
_RESOURCE_LOGS, _SCOPE_LOGS, _LOG_RECORDS, _ATTRIBUTES = (number << 3 | 2 for number in (1, 2, 2, 6))  # tags of fields

_Value = str | int | float | bool | KeyValueList


def make_request(events: Iterable[Event], service: str | None) -> bytes:
    """The request that exports events.

    Args:
        events: what to send.
        service: name of the service; None: that of each event's site.

    Raises:
        ValueError: if a value can't be sent: a lone surrogate, or an integer of more than 64 bits.
    """
    of_service: defaultdict[str, list[bytes]] = defaultdict(list)
    for event in events:
        of_service[service or event.site or "centtrack"].append(_record(event))
    return b"".join(_resource_logs(name, records) for name, records in of_service.items())


def _resource_logs(service: str, records: list[bytes]) -> bytes:
    name = KeyValue(key="service.name", value=AnyValue(string_value=service))
    resource = ResourceLogs(resource=Resource(attributes=[name]))
    scope = ScopeLogs(scope=_SCOPE, schema_url=SCHEMA_URL)
    logs = scope.SerializeToString() + b"".join([_part(_LOG_RECORDS, record) for record in records])
    return _part(_RESOURCE_LOGS, resource.SerializeToString() + _part(_SCOPE_LOGS, logs))


def _record(event: Event) -> bytes:
    """The record of an event. Its only time is the event's, which the policy cut down."""
    moment = (event.time - _EPOCH) // _MICROSECOND * 1_000
    record = LogRecord(
        time_unix_nano=moment,
        observed_time_unix_nano=moment,
        severity_number=_INFO,
        event_name=f"centtrack.{event.name}",
    )
    return b"".join([record.SerializeToString(), *_attributes(event)])


def _attributes(event: Event) -> Iterator[bytes]:
    for column, key, encode in _COLUMNS:
        value = getattr(event, column)
        if value is None:
            continue
        if not isinstance(value, dict):
            yield encode(key, value)
        elif value:  # an attribute for each entry: most stores can search those, but not maps
            for name, entry in value.items():
                yield encode(f"{key}.{name}", entry)
        elif column != "consent":  # no cookie isn't the same as not knowing; states of consent are never unknown
            yield _attribute(key, KeyValueList())
    if event.bot:
        yield _attribute_of_many(SYNTHETIC, "bot")


def _attribute(key: str, value: _Value) -> bytes:
    if isinstance(value, str):
        any_value = AnyValue(string_value=value)
    elif isinstance(value, bool):
        any_value = AnyValue(bool_value=value)
    elif isinstance(value, int):
        any_value = AnyValue(int_value=value)
    elif isinstance(value, float):
        any_value = AnyValue(double_value=value)
    else:
        any_value = AnyValue(kvlist_value=value)
    return _part(_ATTRIBUTES, KeyValue(key=key, value=any_value).SerializeToString())


_attribute_of_many = lru_cache(maxsize=4_096)(_attribute)

_Encode = Callable[[str, _Value], bytes]
_UNIQUE = {"event_id", "duration_ms", "response_bytes", "props"}


def _encoding_of(column: Column) -> _Encode:
    """Nothing that may be a person's is kept, and nothing that doesn't come again."""
    return _attribute_of_many if column.data_class == "anonymous" and column.name not in _UNIQUE else _attribute


_COLUMNS = [
    (column.name, ATTRIBUTES[column.name], _encoding_of(column)) for column in COLUMNS if column.name in ATTRIBUTES
]


def _part(tag: int, content: bytes) -> bytes:
    """A field that holds a message: its tag, its length as a varint, and the message."""
    length = len(content)
    head = bytearray([tag])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + content
