"""For users' tests: a sink in memory, events to send, and the contract that every sink keeps.

In the tests of an app:

    def test_pages_are_counted(tmp_path):
        sink = MemorySink()
        app.add_middleware(TelemetryMiddleware, sink=sink, journal=tmp_path / "journal.db")
        with TestClient(app) as client:
            client.get("/")
        assert sink.wait(1)[0].route == "/"
"""

from __future__ import annotations

import datetime as dt
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from centtrack.event import Event
from centtrack.sinks.base import Batch, Sink, name_of
from centtrack.sinks.memory import MemorySink

__all__ = ["MemorySink", "SinkContract", "make_event", "make_scope"]


def make_event(**columns: Any) -> Event:
    """An event with some columns set, and a random id."""
    moment = dt.datetime(2026, 11, 22, 15, 30, tzinfo=dt.UTC)
    return Event(**{"event_id": str(uuid4()), "time": moment, "time_precision": "minute", **columns})


def make_scope(
    path: str = "/",
    *,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (),
    query: str = "",
    client: tuple[str, int] | None = ("127.0.0.1", 50_000),
    kind: str = "http",
) -> dict[str, Any]:
    """An ASGI scope as a server makes it."""
    scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode("latin-1"), value.encode("utf-8")) for name, value in headers],
        "client": client,
        "server": ("127.0.0.1", 8000),
    }
    if kind == "websocket":
        del scope["method"]
    return scope


class SinkContract:
    """What every sink does, as tests. Derive a class named Test…, and say how to make your sink and how to read it."""

    @abstractmethod
    def make_sink(self, folder: Path) -> Sink:
        """A new sink object for the same target each time; `folder` is empty at first, and the test's own."""

    @abstractmethod
    def stored(self, folder: Path) -> list[Event]:
        """All events that are stored at the target, in any order."""

    # What differs between sinks. Set to False where a target can't tell a repeated batch.
    recognises_repeats = True

    def opened(self, folder: Path) -> Sink:
        """A new sink, opened as the delivery does."""
        sink = self.make_sink(folder)
        getattr(sink, "open", lambda: None)()
        return sink

    def test_stores_every_column(self, tmp_path: Path) -> None:
        """What was delivered is there, column by column, whatever letters it holds."""
        events = [make_event(), *map(_awkward, range(3))]
        self.opened(tmp_path).write(Batch(events, stream="contract", sequence=1))
        assert _by_id(self.stored(tmp_path)) == _by_id(events)

    def test_stores_many_batches(self, tmp_path: Path) -> None:
        """Batches of any size, one after another; a plain list is a batch too."""
        sink, sent = self.opened(tmp_path), []
        for sequence, size in enumerate([1, 7, 300, 1], start=1):
            events = [make_event() for _ in range(size)]
            sink.write(Batch(events, stream="contract", sequence=sequence))
            sent += events
        last = [make_event()]
        sink.write(last)
        assert _by_id(self.stored(tmp_path)) == _by_id(sent + last)

    def test_repeated_batch_changes_nothing(self, tmp_path: Path) -> None:
        """A batch whose outcome wasn't known is sent again, by this process or the next."""
        if not self.recognises_repeats:
            return
        events = [make_event() for _ in range(5)]
        sink = self.opened(tmp_path)
        sink.write(Batch(events, stream="contract", sequence=4))
        sink.write(Batch(events, stream="contract", sequence=4, repeated=True))
        self.opened(tmp_path).write(Batch(events, stream="contract", sequence=4, repeated=True))
        assert sorted(event.event_id for event in self.stored(tmp_path)) == sorted(event.event_id for event in events)

    def test_streams_are_apart(self, tmp_path: Path) -> None:
        """Batches of two streams may have the same number: two journals, one target."""
        first, second = [make_event()], [make_event()]
        self.opened(tmp_path).write(Batch(first, stream="one", sequence=9))
        self.opened(tmp_path).write(Batch(second, stream="two", sequence=9))
        assert _by_id(self.stored(tmp_path)) == _by_id(first + second)

    def test_goes_on_after_reopening(self, tmp_path: Path) -> None:
        """A sink that was closed can be opened again, and goes on behind what is there."""
        first, second = [make_event()], [make_event()]
        sink = self.opened(tmp_path)
        sink.write(Batch(first, stream="contract", sequence=1))
        getattr(sink, "close", lambda: None)()
        self.opened(tmp_path).write(Batch(second, stream="contract", sequence=2))
        assert _by_id(self.stored(tmp_path)) == _by_id(first + second)

    def test_name_is_stable(self, tmp_path: Path) -> None:
        """The cursor in the journal goes by the name, so it must not change from start to start."""
        assert name_of(self.make_sink(tmp_path)) == name_of(self.make_sink(tmp_path)) != ""


def _awkward(number: int) -> Event:
    text = ["Қостанай \U0001f42b \u202eabc", "a\"b\\c\n;'--,=1+1", "x" * 2_048][number]
    return make_event(
        path=text, route=text, city=text, consent={"analytics": "unknown", text[:20]: "refused"},
        cookies={"necessary": 0}, status=599, response_bytes=2**40, duration_ms=0.001, gpc=True, bot=False,
        props={"plan": text, "n": 1.5, "ok": True},
    )  # fmt: skip


def _by_id(events: Sequence[Event]) -> dict[str, Event]:
    found = {event.event_id: event for event in events}
    assert len(found) == len(events), "an event is stored twice"
    return found
