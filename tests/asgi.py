"""ASGI by hand: what a server does, message by message."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from centtrack import Event, PrivacyPolicy, TelemetryMiddleware
from centtrack.delivery.journal.counters import Counts, read_counts
from centtrack.testing import MemorySink, make_scope

Message = dict[str, Any]


def start(status: int = 200, content_type: str = "text/html", **headers: str) -> Message:
    """The message that begins a response."""
    fields = {"content-type": content_type, **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    return {"type": "http.response.start", "status": status, "headers": raw}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    """A piece of the response's body."""
    return {"type": "http.response.body", "body": data, "more_body": more}


def sending(*messages: Message):
    """An app that sends these messages."""

    async def app(_scope, _receive, send):
        for message in messages:
            await send(message)

    return app


class Wire:
    """One connection of a server: gives the incoming messages, and disconnects when the response is whole."""

    def __init__(self, *incoming: Message) -> None:
        self.sent: list[Message] = []
        self._incoming = iter(incoming)
        self._is_whole = asyncio.Event()
        self._is_socket = False

    async def receive(self) -> Message:
        for message in self._incoming:
            return message
        await self._is_whole.wait()
        return {"type": "websocket.disconnect" if self._is_socket else "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        kind = message.get("type")
        if kind == "websocket.close" or (kind == "http.response.body" and not message.get("more_body")):
            self._is_socket = kind == "websocket.close"
            self._is_whole.set()

    def serve(self, app: Any, scope: Message | None = None) -> list[Message]:
        """Run the app for this connection."""
        asyncio.run(app(make_scope() if scope is None else scope, self.receive, self.send))
        return self.sent


def serve(app: Any, scope: Message | None = None, *incoming: Message) -> list[Message]:
    """Run an app for one connection, and return what it sent."""
    return Wire(*incoming).serve(app, scope)


class Recording:
    """An app behind the middleware, with a journal and a sink of its own."""

    def __init__(self, folder: Path, app: Any, **options: Any) -> None:
        self.sink = MemorySink()
        self.journal = folder / "journal.db"
        exact = PrivacyPolicy.profile("cent")  # nothing rounded, so that expectations are exact
        self.app = TelemetryMiddleware(app, **{"policy": exact, "sink": self.sink, "journal": self.journal, **options})

    def close(self) -> None:
        """Close, after all is committed: on a busy machine the engines alone may take longer than closing waits."""
        if self.app.pipeline is not None:
            self.app.pipeline.flush(60)
        asyncio.run(self.app.aclose())

    def serve(self, scope: Message | None = None, *incoming: Message) -> list[Message]:
        """Serve one connection."""
        return serve(self.app, scope, *incoming)

    def events(self) -> list[Event]:
        """All events there will ever be: closes first."""
        self.close()
        return self.sink.events

    def event(self) -> Event:
        """The one and only event."""
        [event] = self.events()
        return event

    def counts(self) -> Counts:
        """The journal's counters, after closing."""
        self.close()
        return read_counts(self.journal)

    def dropped(self) -> dict[str, int]:
        """Reason → dropped events, of all workers."""
        dropped: dict[str, int] = {}
        for worker in self.counts().workers:
            for reason, count in worker.dropped.items():
                dropped[reason] = dropped.get(reason, 0) + count
        return dropped
