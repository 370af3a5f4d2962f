"""Where a partition is read on: from what the sink itself knows, if it does, else from what the group committed."""

from __future__ import annotations

from typing import NamedTuple

from centtrack.errors import ConfigurationError


class Known(NamedTuple):
    """What is known of a partition when it is assigned.

    Attributes:
        low: offset of the first message that it still has.
        high: offset that the next message will get.
        committed: offset that the group would read on from; None if it never committed one.
        last: offset of the last message that the sink has; None if it has none, or doesn't know.
        sink_knows: whether the sink keeps that offset with its events.
    """

    low: int
    high: int
    committed: int | None
    last: int | None
    sink_knows: bool


class Start(NamedTuple):
    """Where to read on.

    Attributes:
        offset: of the first message to deliver.
        lost: how many before it nobody can read any more.
        low: offset of the first message that the partition still has.
    """

    offset: int
    lost: int
    low: int = 0


def choose_start(known: Known, where: str, sink_name: str, group: str) -> Start:
    """Where to read on.

    What a sink knows is committed together with its events, so nothing is lost or doubled by going by it, whatever
    the group committed or a member that was thought dead writes late.

    Args:
        known: of the partition.
        where: topic and partition, for the error.
        sink_name: of the sink.
        group: the consumer group.

    Raises:
        ConfigurationError: if what was read is beyond the partition's end: it isn't the partition that it was.
    """
    committed = known.committed or 0
    if known.sink_knows:
        if known.last is None:
            return Start(known.low, 0, known.low)
        offset, who = known.last + 1, sink_name
        mended = "If the topic was made anew, feed another lake from it, or make it under another name"
    else:
        if known.committed is None:
            return Start(known.low, 0, known.low)
        offset, who = committed, f"group {group}"
        mended = f"If the topic was made anew, name another group with ?group=NAME, or delete {group}"
    if offset > known.high:
        raise ConfigurationError(
            f"{where} ends at offset {known.high}, but {who} is at {offset}: its messages aren't those that were read "
            f"before. {mended}"
        )
    # Messages that were withheld, or are dead letters, leave no trace in the sink: only the group knows of them.
    return Start(max(offset, known.low), max(0, known.low - max(offset, committed)), known.low)
