"""`TelemetryMiddleware`: ASGI plumbing only."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Never, TypeVar, cast

import anyio

from centtrack.asgi import ASGIApp, Receive, Scope, Send
from centtrack.blind import BlindSend, hide_blindly
from centtrack.capture.capture import Capture
from centtrack.capture.client import ForwardedHeader, TrustedProxies
from centtrack.delivery.pipeline import MODES, Mode, Pipeline
from centtrack.delivery.records import DEFAULT_LIMITS, MIN_JOURNAL, Limits
from centtrack.errors import ConfigurationError
from centtrack.lifespan import Lifespan
from centtrack.logs import describe, report
from centtrack.monitoring.otel import export_metrics
from centtrack.policy.policy import PrivacyPolicy
from centtrack.request import ConfirmedRequest, RecordedRequest
from centtrack.response import ResponseEditor
from centtrack.signing import SecretLike, read_secrets
from centtrack.sinks.open import SinkLike, open_sinks
from centtrack.spelling import nearest
from centtrack.visitor.salts import open_salts

logger = logging.getLogger(__name__)

DISABLED_VARIABLE = "CENTTRACK_DISABLED"
DEBUG_VARIABLE = "CENTTRACK_DEBUG"
T = TypeVar("T")
_POLL_S = 0.01
_OPTIONS = (
    "policy", "sink", "secret", "trusted_proxies", "forwarded_header", "journal", "salts", "mode", "deliver",
    "max_bytes", "min_free", "debug",
)  # fmt: skip


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
        mode: `relaxed`: a response never waits; `confirmed`: its last part waits until the event is committed, at most
            50 ms; `durable`: until it is on the disk, at most as long.
        deliver: False to record only; a process of `centtrack deliver` brings it to the sinks then.
        max_bytes: what the journal may use. At this limit new events are dropped and counted, accepted ones never.
        min_free: what must stay free on the journal's disk, in bytes; else as with `max_bytes`.
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
        mode: Mode = "relaxed",
        deliver: bool = True,
        max_bytes: int = DEFAULT_LIMITS.max_bytes,
        min_free: int = DEFAULT_LIMITS.min_free,
        debug: bool | None = None,
        **unknown: Never,
    ) -> None:
        self.app = app
        self.pipeline: Pipeline | None = None
        self.problem: ConfigurationError | None = None
        self.unrecorded = 0
        self._editor: ResponseEditor | None = None
        self._closing: threading.Thread | None = None
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
            self.pipeline = Pipeline(
                capture, sinks, path, kept, debug=is_debug, mode=_read_mode(mode),
                deliver=_read_flag("deliver", deliver), limits=_read_limits(max_bytes, min_free),
                on_start=export_metrics,
            )  # fmt: skip
        except ConfigurationError as error:
            self.problem = error
        except Exception as error:  # noqa: BLE001 - see above: it must not be raised
            self.problem = ConfigurationError(f"can't start: {type(error).__name__}: {error}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        try:
            serve = self._choose(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the app is served whatever happens to us
            serve = partial(self._serve_blindly, error)
        await serve(scope, receive, send)

    def _choose(self, scope: Scope, receive: Receive, send: Send) -> ASGIApp:
        """What serves this connection."""
        kind = scope["type"]
        if kind == "lifespan":
            return self._lifespan(receive, send)
        if kind not in {"http", "websocket"} or self.pipeline is None or self._editor is None:
            self._pass_unrecorded(kind)
            return self.app
        kind_of_request = ConfirmedRequest if self.pipeline.confirms else RecordedRequest
        request = kind_of_request(self.pipeline, scope, self.app, send, self._editor)
        request.enter(scope)
        return request.serve

    async def _serve_blindly(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that could not be begun. It isn't recorded, and only necessary cookies pass."""
        try:
            if self._editor is not None and self.pipeline is not None:
                send = BlindSend(self._editor.gate, send)
                scope = hide_blindly(self._editor.gate, scope)
                self.pipeline.refuse("capture_failed")
            report(logger, logging.ERROR, "request_failed", "a request could not be recorded: %s", describe(error))
        except Exception as error:  # noqa: BLE001 - the same
            report(logger, logging.ERROR, "request_failed", "a request could not be counted: %s", describe(error))
        await self.app(scope, receive, send)

    async def aclose(self) -> None:
        """Deliver what was recorded, within 7 seconds, and end the threads: for apps without lifespan."""
        closing = self._closing
        if self.pipeline is not None and self.pipeline.is_running:
            # A daemon: granian stops its event loop at once afterwards, and a thread of anyio's would never end.
            self._closing = closing = threading.Thread(target=self.pipeline.close, name="centtrack-close", daemon=True)
            closing.start()
        while closing is not None and closing.is_alive():  # noqa: ASYNC110 - a thread can't set every loop's events
            await anyio.sleep(_POLL_S)

    def _pass_unrecorded(self, kind: str) -> None:
        if self.problem is not None and kind in {"http", "websocket"}:
            if not self.unrecorded:
                logger.error("nothing is recorded, and cookies pass without the gate: %s", self.problem)
            self.unrecorded += 1

    def _lifespan(self, receive: Receive, send: Send) -> ASGIApp:
        if self.problem is not None:
            return self._refuse_start
        start = (lambda: None) if self.pipeline is None else self.pipeline.start
        return Lifespan(self.app, start, self.aclose, receive, send).serve

    async def _refuse_start(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": str(self.problem)})


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


def _read_mode(mode: str) -> Mode:
    if mode not in MODES:
        raise ConfigurationError(f"mode={mode!r}: there are {', '.join(MODES)}.{nearest(str(mode), MODES)}")
    return cast("Mode", mode)


def _read_flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}={value!r}: True or False")
    return value


def _read_limits(max_bytes: object, min_free: object) -> Limits:
    for name, value, least in (("max_bytes", max_bytes, MIN_JOURNAL), ("min_free", min_free, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigurationError(f"{name}={value!r}: a number of bytes from {least:,} on, as in 1_000_000_000")
    return Limits(cast("int", max_bytes), cast("int", min_free))


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
