"""Writes work to the sink, in the thread of jobs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from centtrack.consuming.dead import DeadLetters
from centtrack.consuming.entries import Entry, join
from centtrack.consuming.work import Work
from centtrack.delivery.sending.attempt import Attempts
from centtrack.delivery.sending.outlet import Outlet
from centtrack.delivery.sending.selection import Selection, Selector
from centtrack.errors import CenttrackError, Rejected
from centtrack.event import Event
from centtrack.policy.policy import PrivacyPolicy
from centtrack.sinks.base import OverlapError, Sink, UnreadableBatchError, name_of

_ASK_WITHIN_S = 60.0


@runtime_checkable
class NumberedSink(Protocol):
    """A sink that keeps the number of the last batch together with its events, as `delta:` does."""

    def last_sequence(self, stream: str, /) -> int | None:
        """Number of the last batch of a stream; None if it has none."""


class Writer:
    """Writes to one sink. Bad events go to the dead letters before anything behind them is written.

    Args:
        sink: where to.
        policy: the one in force; None: the sink gets all as it was recorded.
        dead: the dead letters.
        on_hanging: called when a call to a sink without a time-out takes long.
    """

    def __init__(
        self, sink: Sink, policy: PrivacyPolicy | None, dead: DeadLetters, on_hanging: Callable[[], None]
    ) -> None:
        self._sink = sink
        self._selector = Selector(policy, name_of(sink))
        self._outlet = Outlet(_Whole(sink), on_hanging)
        self._asking = Attempts(f"centtrack-ask-{name_of(sink)}")
        self._dead = dead

    @property
    def knows_offsets(self) -> bool:
        """Whether the sink keeps the number of the last batch together with its events."""
        return isinstance(self._sink, NumberedSink)

    def last_offset(self, stream: str) -> int | None:
        """Offset of the last message of a stream that the sink has; None if it has none, or doesn't know.

        Raises:
            BaseException: what the sink raises.
        """
        sink = self._sink
        if not isinstance(sink, NumberedSink):
            return None
        found: list[int | None] = []
        with self._closing():
            self._outlet.open()
            self._asking.make(lambda: found.append(sink.last_sequence(stream)), _ASK_WITHIN_S)
        return found[0]

    def write(self, work: Work) -> None:
        """Deliver all of it.

        Raises:
            BaseException: what the sink or the dead-letter topic raises. What was done is noted: call it again.
        """
        with self._closing():
            while not work.is_done:
                self._write_part(work, work.part())

    def end(self) -> None:
        """Close the sink, and end the threads."""
        self._outlet.end()
        self._asking.end()
        self._dead.close()

    @contextlib.contextmanager
    def _closing(self) -> Iterator[None]:
        """Close the sink after a failure: it is opened anew before it is next used."""
        try:
            yield
        except BaseException:
            self._outlet.close()
            raise

    def _write_part(self, work: Work, part: Sequence[Entry]) -> None:
        bad = [entry for entry in part if entry.problem]
        if bad:
            self._bury(work, bad)
            return
        chosen, size = self._select(work, part)
        if chosen.dead:
            self._bury(work, self._find_dead(work, part))
            return
        chosen.batch.first = part[0].offset
        self._outlet.open()
        try:
            self._outlet.write(chosen.batch, size)
        except _RefusedError as refused:
            if len(part) > 1:
                work.halve()
            else:
                self._bury(work, [part[0]._replace(problem=f"rejected: {refused}")])
        except OverlapError as overlap:
            work.trim(overlap.done)
        else:
            work.tally.delivered += size
            work.tally.withheld.update(chosen.withheld)
            work.advance()

    def _select(self, work: Work, part: Sequence[Entry]) -> tuple[Selection, int]:
        """What the sink may have, and how many events that are."""
        stored = join(part, repeated=work.repeated)
        if not self._selector.needs_events(stored):
            lines = self._selector.select_lines(stored, work.stream)
            try:
                if len(lines.batch) == stored.total:
                    return lines, stored.total
            except UnreadableBatchError:
                pass  # which one can't be read comes out below
        chosen = self._selector.select_events(stored, work.stream)
        return chosen, len(chosen.batch)

    def _find_dead(self, work: Work, part: Sequence[Entry]) -> list[Entry]:
        """The entries that can't be selected from, each with the reason."""
        found = []
        for entry in part:
            if entry.line:
                dead = self._selector.select_events(join([entry], repeated=work.repeated), work.stream).dead
                found += [entry._replace(problem=reason) for reason, _ in dead[:1]]
        return found

    def _bury(self, work: Work, entries: Sequence[Entry]) -> None:
        self._dead.bury(entries, work.stream)
        work.tally.dead_lettered += len(entries)
        work.blank({entry.offset for entry in entries})


class _RefusedError(CenttrackError):
    """The sink rejected something of a batch. The outlet would halve it by events; here it is halved by messages."""


class _Whole:
    """A sink whose batches aren't halved by the outlet.

    Halves have streams of their own there, and then the sink's number of this stream wouldn't tell what it has.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.name = name_of(sink)

    def __getattr__(self, name: str) -> object:
        return getattr(self._sink, name)

    def write(self, events: Sequence[Event]) -> None:
        try:
            self._sink.write(events)
        except Rejected as error:
            raise _RefusedError(str(error)) from error
