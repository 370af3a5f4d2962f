"""The public API as a user writes it. pyright reads this file in strict mode; nothing runs it."""

from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from centtrack import Consent, Event, PrivacyPolicy, Sink, TelemetryMiddleware, consent_of, track
from centtrack.errors import CenttrackError, ConfigurationError, PolicyError, Rejected, RetryLater
from centtrack.monitoring import Health, health_of, metrics_app
from centtrack.sinks import Batch, open_sink
from centtrack.testing import MemorySink, make_event, make_scope


class Printer:
    """A sink by its shape alone."""

    def write(self, events: Sequence[Event]) -> None:
        for event in events:
            print(event.path, event.city)  # noqa: T201 - a sink that prints


def collect(events: list[Event]) -> None:
    raise RetryLater("later", after_s=1.5) if events else Rejected("never")


async def home(request: Request) -> Response:
    consent: Consent = consent_of(request)
    track(request, "seen", plan="basic", price=3, rate=1.5, member=True)
    return PlainTextResponse(consent.source if consent.allows("analytics") else "no")


async def health(request: Request) -> Response:
    found: Health = health_of(request)
    return PlainTextResponse("\n".join(found.problems) or "ok", 503 if found.status == "failing" else 200)


app = Starlette(routes=[Route("/", home), Route("/health", health), Route("/metrics", metrics_app)])
sinks: list[Sink] = [Printer(), open_sink("memory:"), MemorySink()]
app.add_middleware(TelemetryMiddleware, policy="privacy.toml", sink="delta:./telemetry")
app.add_middleware(
    TelemetryMiddleware, policy=PrivacyPolicy.profile("kz"), sink=[collect, Printer()], trusted_proxies=1
)
app.add_middleware(TelemetryMiddleware, policy=Path("privacy.toml"), sink=sinks, trusted_proxies=["unix", "10.0.0.0/8"])
wrapped = TelemetryMiddleware(app, sink=collect, forwarded_header="forwarded", journal=Path("journal.db"))
problem: ConfigurationError | None = wrapped.problem

try:
    limits = PrivacyPolicy.load("privacy.toml").limits(consented=False)
except PolicyError as error:
    lines: list[int | None] = [one.line for one in error.problems]
except CenttrackError as error:
    text: str = str(error)

batch = Batch([make_event(path="/")], stream="example", sequence=1)
first: Event = batch[0]
scope: dict[str, object] = make_scope("/", headers=[("host", "example.org")])


async def end() -> None:
    await wrapped.aclose()
