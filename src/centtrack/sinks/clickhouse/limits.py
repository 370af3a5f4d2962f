"""Values that the server would store as others, without an error: days and whole numbers beyond their column's bits."""

from __future__ import annotations

import re

from centtrack.errors import Rejected
from centtrack.event import Event
from centtrack.schema.clickhouse import FIRST_DAY, LAST_DAY
from centtrack.sinks.base import Batch

_BEYOND = 2**63
# A year that may be out of range, or digits as of a large number. Each is rare, and may be within a custom property:
# only then the events, which nothing else here needs, are looked at.
_SUSPECTS = (re.compile(rb'"time":"(?!19[7-9]|20|21[0-3])\d{4}'), re.compile(rb":-?\d{19}"))


def refuse_misfits(batch: Batch) -> None:
    """See that the table can hold a batch.

    Raises:
        Rejected: if it can't.
        UnreadableBatchError: if the batch isn't one of events.
    """
    if not any(suspect.search(batch.lines) for suspect in _SUSPECTS):
        return
    for event in batch:
        if not FIRST_DAY <= event.time.date() <= LAST_DAY:
            raise Rejected(f"its day isn't between {FIRST_DAY} and {LAST_DAY}, as ClickHouse's days are")
        if any(not -_BEYOND <= number < _BEYOND for number in _numbers(event)):
            raise Rejected("a number is beyond 64 bits")


def _numbers(event: Event) -> list[int]:
    return [event.status or 0, event.response_bytes or 0, *(event.cookies or {}).values()]
