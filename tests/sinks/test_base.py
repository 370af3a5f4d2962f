"""Batches: what a sink is given."""

from __future__ import annotations

import msgspec
import pytest

from centtrack.sinks.base import Batch, UnreadableBatchError
from centtrack.testing import make_event


@pytest.fixture(scope="module")
def events():
    return [make_event(path=f"/{number}") for number in range(700)]


@pytest.fixture(scope="module")
def lines(events):
    return msgspec.json.Encoder().encode_lines(events)


def test_a_batch_of_lines_is_the_sequence_of_its_events(events, lines):
    batch = Batch(lines=lines)
    assert list(batch) == events
    assert (batch[0], batch[-1], len(batch)) == (events[0], events[-1], 700)


def test_parts_of_lines_are_all_events_in_order(events, lines):
    parts = list(Batch(lines=lines).parts())
    assert len(parts) > 1
    assert [event for part in parts for event in part] == events


def test_parts_of_what_is_decoded(events):
    assert [event for part in Batch(events).parts() for event in part] == events


@pytest.mark.parametrize("batch", [Batch(), Batch([]), Batch(lines=b"")])
def test_nothing_has_no_events(batch):
    assert [event for part in batch.parts() for event in part] == list(batch) == []


def test_a_line_that_is_no_event_is_told_when_its_part_is_read(events, lines):
    parts = Batch(lines=lines + b"{}\n").parts()
    assert next(parts)[0] == events[0]
    with pytest.raises(UnreadableBatchError):
        list(parts)


class Name(msgspec.Struct):
    event_id: str


def test_heads_stand_before_their_lines(events, lines):
    for batch in (Batch(events), Batch(lines=lines)):
        heads = list(batch.heads(msgspec.json.Decoder(Name)))
        assert [head.event_id for head, _ in heads] == [event.event_id for event in events]
        assert [line for _, line in heads] == lines.splitlines()


@pytest.mark.parametrize("line", [b"{}", b"", b"[", b'{"event_id":"\xff"}'])
def test_heads_of_what_is_no_event(lines, line):
    with pytest.raises(UnreadableBatchError):
        list(Batch(lines=lines + line + b"\n").heads(msgspec.json.Decoder(Name)))
