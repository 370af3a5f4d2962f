"""`TelemetryMiddleware`: ASGI plumbing only."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Never, TypeVar

import anyio.to_thread

from centtrack.asgi import ASGIApp, Message, Receive, Scope, Send
from centtrack.capture.capture import Capture
from centtrack.capture.client import ForwardedHeader, TrustedProxies
from centtrack.delivery.pipeline import Pipeline
from centtrack.errors import ConfigurationError
from centtrack.policy.model import nearest
from centtrack.policy.policy import PrivacyPolicy
from centtrack.request import RecordedRequest
from centtrack.response import ResponseEditor
from centtrack.signing import SecretLike, read_secrets
from centtrack.sinks.open import SinkLike, open_sinks
from centtrack.visitor.salts import open_salts

logger = logging.getLogger(__name__)

DISABLED_VARIABLE = "CENTTRACK_DISABLED"
DEBUG_VARIABLE = "CENTTRACK_DEBUG"
T = TypeVar("T")
_OPTIONS = ("policy", "sink", "secret", "trusted_proxies", "forwarded_header", "journal", "salts", "debug")


class TelemetryMiddleware:
    """Records one privacy-reduced event a request. Add it last, so that it is outermost.

    The constructor never raises: Starlette builds middleware at the first message, and would answer every request with
    500. A wrong configuration fails the lifespan startup, so that the server exits and shows it; without lifespan,
    requests pass unrecorded, with one ERROR in the log.

    Args:
        app: the ASGI application.
        policy: path of a `privacy.toml`, or a policy; default: `$CENTTRACK_POLICY`, else the profile `strict`.
        sink: a URL, a `Sink`, a function that takes a list of events, or a list of these; default: `$CENTTRACK_SINK`.
        secret: at least 32 bytes, or a list of such, newest last, that our cookies are signed with; default:
            `$CENTTRACK_SECRET`, with commas between several. Without one consent can be neither read nor granted.
        trusted_proxies: networks, `"unix"`, or a number of proxies, whose word on the client's address is taken.
        forwarded_header: the header that these proxies set: `x-forwarded-for` or `forwarded`.
        journal: the journal's file; default: one of this app, in the user's state folder.
        salts: where the salts of daily keys are kept: a file, or, for several hosts, `redis://…` or `postgresql://…`;
            default: a file beside the journal.
        debug: for development only: `track()` raises where it would only count, and a request with the header
            `X-Centtrack-Explain: 1` gets its explanation in a header of that name. Default: `$CENTTRACK_DEBUG` is 1.
    """

    def __init__(
        self,
        app: ASGIApp,
        *unexpected: Never,
        policy: str | os.PathLike[str] | PrivacyPolicy | None = None,
        sink: SinkLike | Iterable[SinkLike] | None = None,
        secret: SecretLike = None,
        trusted_proxies: Iterable[str] | int = (),
        forwarded_header: ForwardedHeader = "x-forwarded-for",
        journal: str | os.PathLike[str] | None = None,
        salts: str | os.PathLike[str] | None = None,
        debug: bool | None = None,
        **unknown: Never,
    ) -> None:
        self.app = app
        self.pipeline: Pipeline | None = None
        self.problem: ConfigurationError | None = None
        self.unrecorded = 0
        self._editor: ResponseEditor | None = None
        if os.environ.get(DISABLED_VARIABLE) == "1":
            return
        try:
            _check_options(unexpected, unknown)
            secrets = _read("secret", partial(read_secrets, secret))
            rules = _read("policy", partial(PrivacyPolicy.resolve, policy))
            proxies = _read("trusted_proxies", partial(TrustedProxies, trusted_proxies, forwarded_header))
            sinks = _read("sink", partial(open_sinks, sink))
            path = _read("journal", lambda: Path(journal).absolute() if journal else None)
            kept = _read("salts", partial(_salts_at, salts, rules))
            is_debug = os.environ.get(DEBUG_VARIABLE) == "1" if debug is None else debug
            capture = Capture(rules, proxies, secrets)
            self._editor = ResponseEditor(capture, debug=is_debug)
            self.pipeline = Pipeline(capture, sinks, path, kept, debug=is_debug)
        except ConfigurationError as error:
            self.problem = error
        except Exception as error:  # noqa: BLE001 - see above: it must not be raised
            self.problem = ConfigurationError(f"can't start: {type(error).__name__}: {error}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
        elif kind not in {"http", "websocket"} or self.pipeline is None or self._editor is None:
            self._pass_unrecorded(kind)
            await self.app(scope, receive, send)
        else:
            request = RecordedRequest(self.pipeline, scope, self.app, send, self._editor)
            try:
                await self.app(request.enter(scope), receive, request.send)
            except Exception:
                request.fail()
                raise
            finally:
                request.finish()

    async def aclose(self) -> None:
        """Deliver what was recorded, within 7 seconds, and end the threads: for apps without lifespan."""
        if self.pipeline is not None:
            await anyio.to_thread.run_sync(self.pipeline.close, abandon_on_cancel=False)

    def _pass_unrecorded(self, kind: str) -> None:
        if self.problem is not None and kind in {"http", "websocket"}:
            if not self.unrecorded:
                logger.error("nothing is recorded, and cookies pass without the gate: %s", self.problem)
            self.unrecorded += 1

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.problem is not None:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(self.problem)})
            return
        lifespan = _Lifespan(self, receive, send)
        try:
            try:
                await self.app(scope, lifespan.receive, lifespan.send)
            except Exception:
                if lifespan.was_answered:
                    raise
            if not lifespan.was_answered:  # the app knows no lifespan; the server must still get its answers
                await lifespan.answer()
        finally:
            with anyio.CancelScope(shield=True):
                await self.aclose()


class _Lifespan:
    """Starts the pipeline at startup, closes it before the server hears that shutdown is complete."""

    def __init__(self, middleware: TelemetryMiddleware, receive: Receive, send: Send) -> None:
        self.was_answered = False
        self._middleware = middleware
        self._receive = receive
        self._send = send
        self._pending: Message | None = None

    async def receive(self) -> Message:
        self._pending = await self._receive()
        if self._pending["type"] == "lifespan.startup" and self._middleware.pipeline is not None:
            self._middleware.pipeline.start()
        return self._pending

    async def send(self, message: Message) -> None:
        self.was_answered = True
        if message["type"].startswith("lifespan.shutdown"):
            await self._middleware.aclose()
        await self._send(message)

    async def answer(self) -> None:
        """Speak the protocol in place of an app that doesn't."""
        message = self._pending or await self.receive()
        while message["type"] != "lifespan.shutdown":
            await self.send({"type": "lifespan.startup.complete"})
            message = await self.receive()
        await self.send({"type": "lifespan.shutdown.complete"})


def _read(option: str, read: Callable[[], T]) -> T:
    """What an option means; whatever is wrong with it, as a configuration error."""
    try:
        return read()
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(f"{option}= can't be used: {type(error).__name__}: {error}") from error


def _check_options(unexpected: Collection[object], unknown: Iterable[str]) -> None:
    if unexpected:
        raise ConfigurationError('options go by name, as in policy="privacy.toml"')
    for name in unknown:
        raise ConfigurationError(f"unknown option {name!r}; there are {', '.join(_OPTIONS)}.{nearest(name, _OPTIONS)}")


def _salts_at(salts: str | os.PathLike[str] | None, policy: PrivacyPolicy) -> str | None:
    if salts is None:
        return None
    where = os.fspath(salts)
    open_salts(where)  # refuses what isn't known, and connects to nothing yet
    if not policy.document.controller.site:
        raise ConfigurationError(
            f"salts={where.rpartition('@')[2]!r}: {policy.source} has no [controller] site. Without the name of the "
            "site in it, a daily key that is shared would show one visitor's visits to several sites"
        )
    return where if "://" in where else str(Path(where).expanduser().absolute())
