"""What a consumer finds in a topic of Kafka."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from kafka_cluster import messages


class Found(NamedTuple):
    """What a consumer that deduplicates found.

    Attributes:
        paths: event's id → path.
        doubled: how many came with an id that had been there before.
    """

    paths: dict[str, str]
    doubled: int


def consume(servers: str, topic: str) -> Found:
    """Read a topic from its beginning to its end."""
    paths: dict[str, str] = {}
    total = 0
    for message in messages(servers, topic):
        line = msgspec.json.decode(message.value())
        assert message.key() == line["event_id"].encode()
        paths[line["event_id"]] = line["path"]
        total += 1
    return Found(paths, total - len(paths))
