"""Events for the benchmarks of sinks: what the profile `cent` makes of the traffic of `overhead.py`."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import msgspec

from centtrack import Event, PrivacyPolicy
from overhead import Consented, Ours, calls, measure, write_geo

BATCH = 10_000  # events, as the delivery takes them at most
_RECORDED = 4_000  # of visitors who were not asked yet, and as many of some who have consented

_decoder, _encoder = msgspec.json.Decoder(Event), msgspec.json.Encoder()


def make_events(count: int) -> list[Event]:
    """Events of the day so far, each with an id of its own. What repeats in them, repeats in real traffic, too."""
    numbers = random.Random()
    now = datetime.now(UTC).replace(microsecond=0)
    seconds = now.hour * 3_600 + now.minute * 60 + now.second
    recorded, policy = _record()
    return [
        msgspec.structs.replace(
            numbers.choice(recorded),
            event_id=str(UUID(int=numbers.getrandbits(128), version=4)),
            time=now - timedelta(seconds=seconds - number * seconds // count),
            duration_ms=round(numbers.lognormvariate(3, 1), 1),
            response_bytes=numbers.randrange(500, 90_000),
            policy_hash=policy.hash,
        )
        for number in range(count)
    ]


def recording_policy() -> PrivacyPolicy:
    """The policy that they seem to be recorded under: by it none has to be reduced again."""
    return _record().policy


class _Recorded(NamedTuple):
    events: list[Event]
    policy: PrivacyPolicy


@cache
def _record() -> _Recorded:
    """Visits as the middleware records them."""
    with tempfile.TemporaryDirectory(prefix="centtrack-benchmark-") as name:
        folder = Path(name)
        geo, lines = folder / "geo.mmdb", folder / "events.jsonl"
        write_geo(geo)
        variants = [
            kind(kind.__name__, geo, folder / f"{kind.__name__}.sqlite", f"jsonl:{lines}") for kind in (Ours, Consented)
        ]
        for variant in variants:
            asyncio.run(measure(variant, calls(_RECORDED, seed=1)))
            if complaint := variant.complaint(_RECORDED):
                raise RuntimeError(complaint)
        return _Recorded(_decoder.decode_lines(lines.read_bytes()), variants[0].policy)


def batches_of(events: Sequence[Event]) -> list[Sequence[Event]]:
    """Events in batches."""
    return [events[first : first + BATCH] for first in range(0, len(events), BATCH)]


def lines_of(events: Sequence[Event]) -> bytes:
    """Events as the journal has them."""
    return _encoder.encode_lines(events)
