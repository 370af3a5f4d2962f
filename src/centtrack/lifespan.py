"""The lifespan of an app behind the middleware: the pipeline starts and ends with it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio

from centtrack.asgi import ASGIApp, Message, Receive, Scope, Send
from centtrack.logs import describe, report

logger = logging.getLogger(__name__)


class Lifespan:
    """Starts the pipeline at startup, closes it before the server hears that shutdown is complete.

    Args:
        app: whose lifespan it is.
        start: starts the pipeline.
        close: closes it.
        receive: of the server.
        send: of the server.
    """

    def __init__(
        self,
        app: ASGIApp,
        start: Callable[[], object],
        close: Callable[[], Awaitable[None]],
        receive: Receive,
        send: Send,
    ) -> None:
        self._app = app
        self._start = start
        self._close = close
        self._receive = receive
        self._send = send
        self._was_answered = False
        self._pending: Message | None = None

    async def serve(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        """Run the app. One that knows no lifespan is answered for: the server must still get its answers."""
        try:
            try:
                await self._app(scope, self.receive, self.send)
            except Exception:
                if self._was_answered:
                    raise
            try:
                await self._answer()
            except Exception as error:  # noqa: BLE001 - the server goes on as with an app that ends without a word
                _complain(error)
        finally:
            try:
                with anyio.CancelScope(shield=True):
                    await self._close()
            except Exception as error:  # noqa: BLE001 - the app's end must not hang on ours
                _complain(error)

    async def receive(self) -> Message:
        """Hand a message to the app; at startup, start first."""
        message = await self._receive()
        try:
            self._pending = message
            if message["type"] == "lifespan.startup":
                self._start()
        except Exception as error:  # noqa: BLE001 - the first request tries again; the app starts in any case
            _complain(error)
        return message

    async def send(self, message: Message) -> None:
        """Hand a message to the server; at the end, close first."""
        try:
            self._was_answered = True
            if message["type"].startswith("lifespan.shutdown"):
                await self._close()
        except Exception as error:  # noqa: BLE001 - the app's end must not hang on ours
            _complain(error)
        await self._send(message)

    async def _answer(self) -> None:
        """Speak the protocol in place of an app that doesn't."""
        if self._was_answered:
            return
        message = self._pending or await self.receive()
        while message["type"] != "lifespan.shutdown":
            await self.send({"type": "lifespan.startup.complete"})
            message = await self.receive()
        await self.send({"type": "lifespan.shutdown.complete"})


def _complain(error: Exception) -> None:
    report(logger, logging.ERROR, "lifespan_failed", "starting or ending failed: %s", describe(error))
