"""From rows of the journal to the batch that a sink gets: decoded where need be, without what it may not have."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from centtrack.capture.again import reduce_again
from centtrack.delivery.records import StoredBatch
from centtrack.delivery.sending.routing import Route
from centtrack.event import Event
from centtrack.logs import describe
from centtrack.policy.policy import PrivacyPolicy
from centtrack.sinks.base import Batch

DeadLetter = tuple[str, bytes]
"""Why an event can't be delivered, and the encoded event."""

_decoder = msgspec.json.Decoder(Event)
_QUOTED = re.compile(r""" ['"].*['"]""", re.DOTALL)  # what msgspec quotes of a value: reasons are listed, and logged


class Selection(NamedTuple):
    """What becomes of the events of a batch. The same rows give the same each time, under one policy and its waiver.

    Attributes:
        batch: what the sink gets.
        dead: what can't be read.
        withheld: reason → events that it may not have.
    """

    batch: Batch
    dead: list[DeadLetter]
    withheld: Counter[str]


class Selector:
    """Chooses for one sink.

    Args:
        policy: the one in force; None: the sink gets all events as they were recorded.
        name: of the sink.
        consent_hash_of: hash of a policy → what consent was given to under it, if that is known.
    """

    def __init__(
        self,
        policy: PrivacyPolicy | None,
        name: str,
        consent_hash_of: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._policy = policy
        self._consent_hash_of = consent_hash_of
        self._route = Route(policy, name) if policy else None

    def needs_events(self, stored: StoredBatch) -> bool:
        """Whether the rows have to be decoded; else the sink gets their lines as they are, which costs least."""
        return (
            (self._route is not None and not self._route.takes_all)
            or self._has_lapsed_waiver()
            or _has_coarse_times(stored)
            or not self._is_up_to_date(stored)
        )

    def _has_lapsed_waiver(self) -> bool:
        """Whether full addresses may have been recorded under the policy that aren't allowed any more."""
        waiver = self._policy.document.waiver.ip if self._policy else None
        return waiver is not None and dt.datetime.now(dt.UTC).date() > waiver.until

    def _is_up_to_date(self, stored: StoredBatch) -> bool:
        """Whether all events were recorded under the policy in force.

        As in the order of columns: neither `{` nor `null` can follow the name `props` among a custom event's own
        properties, so none of these can pass for the event's hash.
        """
        if self._policy is None:
            return True
        mark = b'"policy_hash":"%s","props":' % self._policy.hash.encode()
        return stored.lines.count(mark + b"null") + stored.lines.count(mark + b"{") == stored.total

    def select_lines(self, stored: StoredBatch, stream: str) -> Selection:
        """The rows as they are, undecoded."""
        batch = Batch(lines=stored.lines, stream=stream, sequence=stored.last, repeated=stored.repeated)
        return Selection(batch, [], Counter())

    def select_events(self, stored: StoredBatch, stream: str) -> Selection:
        """Events under the policy in force, in random order where theirs could tell something."""
        events, dead = _decode(stored)
        chosen: list[Event] = []
        withheld: Counter[str] = Counter()
        for event in events:
            try:
                reduced = self._reduce(event)
            except Exception as error:  # noqa: BLE001 - it must not hold up the others, nor go out as it is
                dead.append((f"can't be reduced again: {describe(error)}", msgspec.json.encode(self._cut(event))))
            else:
                if isinstance(reduced, Event):
                    chosen.append(reduced)
                else:
                    withheld[reduced] += 1
        if any(event.time_precision != "second" for event in chosen):
            chosen.sort(key=lambda event: event.event_id)
        batch = Batch(chosen, stream=stream, sequence=stored.last, repeated=stored.repeated)
        return Selection(batch, dead, withheld)

    def _reduce(self, event: Event) -> Event | str:
        """What a sink gets of an event, or why it gets nothing."""
        if self._policy is None or self._route is None:
            return event
        # First: what a third party may have goes by the policy that the event was recorded under.
        if reason := self._route.judge_recorded(event):
            return reason
        reduced: Event | None = event
        if event.policy_hash != self._policy.hash or (event.ip_network and self._has_lapsed_waiver()):
            consent_hash = self._consent_hash_of(event.policy_hash) if event.policy_hash else None
            reduced = reduce_again(event, self._policy, consent_hash=consent_hash)
        if reduced is None:
            return "policy"
        return self._route.judge(reduced) or self._route.cut(reduced)

    def _cut(self, event: Event) -> Event:
        """What may be kept of an event for the sink: not what it would never get."""
        return self._route.cut(event) if self._route else event


def _has_coarse_times(stored: StoredBatch) -> bool:
    """Whether an order could tell more than the times do.

    Quotes within JSON's texts are escaped, so the mark stands for the column, or for a custom event's property of that
    name: where it stands more often than there are events, it can't be told for how many it is the column.
    """
    return stored.lines.count(b'"time_precision":') != stored.total or (
        stored.lines.count(b'"time_precision":"second"') < stored.total
    )


def _decode(stored: StoredBatch) -> tuple[list[Event], list[DeadLetter]]:
    try:
        return _decoder.decode_lines(stored.lines), []
    except msgspec.DecodeError:
        return _decode_singly(stored)


def _decode_singly(stored: StoredBatch) -> tuple[list[Event], list[DeadLetter]]:
    events: list[Event] = []
    dead: list[DeadLetter] = []
    for line in stored.lines.removesuffix(b"\n").split(b"\n"):
        try:
            events.append(_decoder.decode(line))
        except msgspec.DecodeError as error:
            dead.append((f"unreadable: {_QUOTED.sub('', str(error))}", line))
    return events, dead
