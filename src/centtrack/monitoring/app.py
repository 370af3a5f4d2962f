"""An ASGI app for Prometheus, for a route of the app that is recorded."""

from __future__ import annotations

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from centtrack.asgi import Receive, Scope, Send
from centtrack.asked import AskedRequest
from centtrack.consent.state import SCOPE_KEY
from centtrack.delivery.pipeline import Pipeline
from centtrack.monitoring.health import pipeline_of
from centtrack.monitoring.prometheus import Reader, Reading, write_metrics
from centtrack.sinks.base import name_of

_PLAIN = "text/plain; charset=utf-8"
_MAX_THREADS = 4
_MAX_WAITING_S = 5.0

_readers: RunVar[tuple[Reader, anyio.CapacityLimiter]] = RunVar("centtrack_readers")  # one an event loop


class MetricsApp:
    """Answers GET with the metrics, whatever the path, and isn't recorded itself.

    What all processes of the host count is read from the journal, so that it doesn't matter which one answers; the
    queue is that of the one that does. Its numbers are nobody's personal data, but not for strangers either: let only
    Prometheus reach it.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
            return
        noted = scope.get(SCOPE_KEY)
        if isinstance(noted, AskedRequest):
            noted.keep_out()
        status, body, content_type = await _answer(scope)
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        headers += [(b"cache-control", b"no-store")] + ([(b"allow", b"GET, HEAD")] if status == 405 else [])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def _answer(scope: Scope) -> tuple[int, bytes, str]:
    """Status, body and content type."""
    if scope["method"] not in {"GET", "HEAD"}:
        return 405, b"GET only\n", _PLAIN
    pipeline = pipeline_of(scope)
    if pipeline is None:
        return 503, b"no TelemetryMiddleware is at work around this app\n", _PLAIN
    names = [name_of(sink) for sink in pipeline.sinks]
    accept = b",".join(value for name, value in scope["headers"] if name.lower() == b"accept").decode("latin-1")
    body, content_type = write_metrics(await _read(pipeline, names), accept)
    return 200, body, content_type


async def _read(pipeline: Pipeline, names: list[str]) -> Reading:
    """Read the journal's counters, in threads of our own: the app needs those that all share."""
    try:
        reader, limiter = _readers.get()
    except LookupError:
        reader, limiter = Reader(), anyio.CapacityLimiter(_MAX_THREADS)
        _readers.set((reader, limiter))
    with anyio.move_on_after(_MAX_WAITING_S):
        return await anyio.to_thread.run_sync(
            reader.read, pipeline.journal, names, pipeline.state(), abandon_on_cancel=True, limiter=limiter
        )
    return Reading(None, names, pipeline.state())


metrics_app = MetricsApp()
"""For `Route("/metrics", metrics_app)`, `app.add_route("/metrics", metrics_app)` and the like."""
