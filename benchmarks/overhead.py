"""What recording adds to a request: CPU microseconds, in process, against OpenTelemetry and what is written by hand.

CPU time is that of the whole process, so the threads that commit, deliver and export count. Every variant gets the
same requests, and each must show at the end that it did its work. Exit codes: 0 the target is met, 1 it is not, 3 a
variant did not do its work.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import random
import statistics
import sys
import tempfile
import time
import timeit
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, NamedTuple

import geoip2.database
import geoip2.errors
import user_agents
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.metrics import get_meter_provider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from centtrack import PrivacyPolicy, TelemetryMiddleware
from centtrack.consent.token import Choice, ConsentTokens
from centtrack.delivery.journal.counters import read_counts
from centtrack.request import RecordedRequest

TARGET = 0.25
PROXY = "10.0.0.7"
VISITORS = 500
START_WITHIN_S = 30.0
OPENTELEMETRY, OURS = "opentelemetry", "centtrack, jsonl"
CONSENTED = "centtrack, consented"
GATE_TARGET_US = 3.0
SET_COOKIE = b"_ga=GA1.1.2; Path=/; Max-Age=86400; HttpOnly"
SECRET = b"benchmark" * 4

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

# The traffic.

_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64"
_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7"
_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_ANDROID = "Mozilla/5.0 (Linux; Android"
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_CHROME = f"{_WEBKIT} Chrome/131.0.0.0"
USER_AGENTS = (
    f"{_WINDOWS}) {_CHROME} Safari/537.36",
    f"{_WINDOWS}) {_CHROME} Safari/537.36 Edg/131.0.0.0",
    f"{_WINDOWS}) {_CHROME} YaBrowser/24.12.0.0 Safari/537.36",
    f"{_WINDOWS}) {_CHROME} Safari/537.36 OPR/116.0.0.0",
    f"{_WINDOWS}; rv:133.0) Gecko/20100101 Firefox/133.0",
    f"{_MAC}) {_CHROME} Safari/537.36",
    f"{_MAC}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1.1 Safari/605.1.15",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:132.0) Gecko/20100101 Firefox/132.0",
    f"Mozilla/5.0 (X11; Linux x86_64) {_CHROME} Safari/537.36",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    f"{_IPHONE} Version/17.6 Mobile/15E148 Safari/604.1",
    f"{_IPHONE} CriOS/131.0.6778.73 Mobile/15E148 Safari/604.1",
    f"{_IPHONE} Mobile/15E148 Instagram 361.0.0.35.82 (iPhone14,5; iOS 17_6_1; ru_KZ; ru; scale=3.00; 1170x2532)",
    "Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/604.1",
    f"{_ANDROID} 10; K) {_CHROME} Mobile Safari/537.36",
    f"{_ANDROID} 14; SM-S921B) {_WEBKIT} SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36",
    f"{_ANDROID} 13; 2201117TG) {_CHROME} Mobile Safari/537.36",
    f"{_ANDROID} 12; SM-T500) {_CHROME} Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
)
LANGUAGES = ("ru-KZ,ru;q=0.9,kk;q=0.8,en;q=0.7", "kk-KZ,kk;q=0.9,ru;q=0.8", "en-US,en;q=0.5", "ru", "de-DE,de;q=0.9")
SITE = "insurance.example.kz"
PATHS = ("/", *(f"/products/{name}" for name in ("kasko", "ogpo", "travel", "home", "health", "life")), "/api/quote")
REFERERS = (*(f"https://{SITE}{path}" for path in PATHS[:-1]), "https://www.google.com/", "https://yandex.kz/", "")
CITIES = (
    ("KZ", "Kazakhstan", "75", "Almaty", "Almaty"), ("KZ", "Kazakhstan", "71", "Astana", "Astana"),
    ("KZ", "Kazakhstan", "79", "Shymkent", "Shymkent"), ("RU", "Russia", "MOW", "Moscow", "Moscow"),
    ("DE", "Germany", "BE", "State of Berlin", "Berlin"), ("US", "United States", "CA", "California", "San Jose"),
)  # fmt: skip
_LOCALES = ("de", "en", "es", "fr", "ja", "pt-BR", "ru", "zh-CN")


class Call(NamedTuple):
    """One request: what a server reads off the socket."""

    path: str
    query: bytes
    head: bytes


def networks() -> list[str]:
    """The networks that visitors come from: 120 of IPv4 and 30 of IPv6."""
    numbers = random.Random(4)
    fours = [f"{numbers.randint(77, 95)}.{numbers.randint(1, 254)}.{numbers.randint(0, 255)}.0/24" for _ in range(120)]
    return sorted({*fours, *(f"2a00:{0x1000 + 16 * number:x}::/32" for number in range(30))})


def visitors() -> list[str]:
    """The headers that stay the same with a visitor, as text."""
    numbers = random.Random(5)
    return [_visitor(numbers) for _ in range(VISITORS)]


def _visitor(numbers: random.Random) -> str:
    start, _, _ = numbers.choice(networks()).partition("/")
    low = numbers.randint(1, 254)
    address = str(IPv6Address(start) + low if ":" in start else IPv4Address(start) + low)
    forwarded = numbers.choice(("", "", "", "192.168.1.4, ")) + address
    google = f"_ga=GA1.1.{numbers.getrandbits(30)}.{numbers.getrandbits(30)}; _ym_uid={numbers.getrandbits(60)}"
    return "\r\n".join((
        f"host: {SITE}",
        f"user-agent: {numbers.choice(USER_AGENTS)}",
        "accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        f"accept-language: {numbers.choice(LANGUAGES)}",
        "accept-encoding: gzip, deflate, br, zstd",
        f"cookie: session={numbers.getrandbits(128):032x}; csrftoken={numbers.getrandbits(96):024x}; {google}",
        f"x-forwarded-for: {forwarded}",
        "x-forwarded-proto: https",
        "upgrade-insecure-requests: 1",
        *(["sec-gpc: 1"] if numbers.random() < 0.1 else []),
    ))  # fmt: skip


def calls(amount: int, seed: int) -> list[Call]:
    """Requests of random visitors; one in twenty came by an advertisement, with a click id of its own."""
    numbers, fixed = random.Random(seed), visitors()
    return [_call(numbers, numbers.choice(fixed)) for _ in range(amount)]


def _call(numbers: random.Random, visitor: str) -> Call:
    path, referer = numbers.choice(PATHS), numbers.choice(REFERERS)
    is_api = path.startswith("/api/")
    query = f"utm_source=google&utm_medium=cpc&gclid={numbers.getrandbits(160):040x}" if numbers.random() < 0.05 else ""
    head = "\r\n".join((
        visitor,
        *([f"referer: {referer}"] if referer else []),
        f"sec-fetch-dest: {'empty' if is_api else 'document'}",
        f"sec-fetch-mode: {'cors' if is_api else 'navigate'}",
        "sec-fetch-site: same-origin",
    ))  # fmt: skip
    return Call(path, f"amount=1000000&{query}".encode() if is_api else query.encode(), head.encode())


def write_geo(path: Path) -> None:
    """A database in the schema of MaxMind's City that has the visitors' networks."""
    writer = MMDBWriter(6, "GeoLite2-City", list(_LOCALES), "benchmark", ipv4_compatible=True)
    for number, network in enumerate(networks()):
        code, country, region_code, region, city = CITIES[number % len(CITIES)]
        country_record = {"geoname_id": 1_522_867, "iso_code": code, "names": dict.fromkeys(_LOCALES, country)}
        record = {
            "city": {"geoname_id": 1_526_384 + number, "names": dict.fromkeys(_LOCALES, city)},
            "continent": {"code": "AS", "geoname_id": 6_255_147, "names": dict.fromkeys(_LOCALES, "Asia")},
            "country": country_record,
            "location": {"accuracy_radius": 20, "latitude": 43.25, "longitude": 76.95, "time_zone": "Asia/Almaty"},
            "postal": {"code": "050000"},
            "registered_country": country_record,
            "subdivisions": [{"geoname_id": 1, "iso_code": region_code, "names": dict.fromkeys(_LOCALES, region)}],
        }
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))


# The variants.


async def _page(request: Request) -> Response:
    return HTMLResponse(f"<!doctype html><title>{request.path_params.get('product', 'home')}</title>" + "<p>x</p>" * 50)


async def _quote(request: Request) -> Response:
    return JSONResponse({"amount": request.query_params.get("amount"), "premium": 12_500, "currency": "KZT"})


def make_app() -> Starlette:
    """A small app."""
    return Starlette(routes=[Route("/", _page), Route("/products/{product}", _page), Route("/api/quote", _quote)])


class Bare:
    """The app alone; what the other variants start from."""

    name = "bare app"

    def __init__(self) -> None:
        self.app: ASGIApp = make_app()

    def prepare(self, requests: Sequence[Call]) -> Sequence[Call]:
        """The requests of a round, as this variant gets them. Not measured."""
        return requests

    def begin(self) -> None:
        """Get ready for a round. Not measured."""

    async def finish(self) -> None:
        """Hand over what is still queued. Measured."""

    def complaint(self, requests: int) -> str:
        """What is missing of the work for so many requests; empty if nothing is."""
        return ""


class Discard(SpanExporter):
    """Counts spans, and discards them."""

    def __init__(self) -> None:
        self.exported = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Count."""
        self.exported += len(spans)
        return SpanExportResult.SUCCESS


class OpenTelemetry(Bare):
    """OpenTelemetry's middleware as it is by default: three spans a request, one of them for the request itself.

    Metrics are left at the default, which does nothing until a meter provider is set.
    """

    def __init__(self, name: str = OPENTELEMETRY, spans: int = 3, **options: Any) -> None:
        self.name, self.spans = name, spans
        self.exporter = Discard()
        self.provider = TracerProvider()
        # A queue for all spans of a round. The default one, of 2,048, drops most of them under this load; measured with
        # it, a request is some 5% cheaper.
        self.provider.add_span_processor(BatchSpanProcessor(self.exporter, max_queue_size=1_000_000))
        self.app = OpenTelemetryMiddleware(make_app(), tracer_provider=self.provider, **options)

    async def finish(self) -> None:
        """Export what is queued."""
        self.provider.force_flush()

    def complaint(self, requests: int) -> str:
        """Spans that weren't exported."""
        wanted = requests * self.spans
        return "" if self.exporter.exported == wanted else f"{self.exporter.exported} of {wanted} spans were exported"


class ByHand(Bare):
    """What people write: `BaseHTTPMiddleware`, `user_agents.parse`, geoip2, a line of JSON, flushed as in a log."""

    name = "by hand"

    def __init__(self, geo: Path, path: Path) -> None:
        self.path = path
        self.file = path.open("w", buffering=1, encoding="utf-8")
        self.reader = geoip2.database.Reader(geo)
        self.app = BaseHTTPMiddleware(make_app(), dispatch=self._dispatch)

    async def _dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        started = time.perf_counter()
        response = await call_next(request)
        agent = user_agents.parse(request.headers.get("user-agent", ""))
        address = request.headers.get("x-forwarded-for", "").split(",")[-1].strip()
        fields = {
            "time": time.time(), "method": request.method, "path": request.url.path, "query": request.url.query,
            "status": response.status_code, "duration_ms": (time.perf_counter() - started) * 1_000, "ip": address,
            **self._place(address), "browser": agent.browser.family, "browser_version": agent.browser.version_string,
            "os": agent.os.family, "mobile": agent.is_mobile, "bot": agent.is_bot,
            "referer": request.headers.get("referer"), "language": request.headers.get("accept-language"),
        }  # fmt: skip
        self.file.write(json.dumps(fields) + "\n")
        return response

    def _place(self, address: str) -> dict[str, str | None]:
        try:
            found = self.reader.city(address)
        except (ValueError, geoip2.errors.AddressNotFoundError):
            return {}
        return {"country": found.country.iso_code, "city": found.city.name}

    def complaint(self, requests: int) -> str:
        """Lines that weren't written."""
        with self.path.open(encoding="utf-8") as file:
            lines = sum(1 for _ in file)
        return "" if lines == requests else f"{lines} of {requests} lines were written"


class Ours(Bare):
    """Full capture, journal and a sink. Each round ends by closing: all is committed and delivered by then."""

    def __init__(self, name: str, geo: Path, journal: Path, sink: str) -> None:
        self.name, self.journal = name, journal
        self.policy = PrivacyPolicy.profile("cent").changed(
            controller={"name": "Insurance", "site": [SITE]},
            geo={"databases": [geo], "min_population": 15_000},
            cookies=[{"name": "session", "category": "necessary"}, {"name": "_ga*", "category": "analytics"}],
        )
        self.app = self.middleware = self.wrapped(make_app(), self.policy, sink)

    def wrapped(
        self, app: ASGIApp, policy: PrivacyPolicy, sink: str, secret: bytes | None = None
    ) -> TelemetryMiddleware:
        """An app behind the middleware."""
        return TelemetryMiddleware(
            app, policy=policy, sink=sink, trusted_proxies=["10.0.0.0/8"], journal=self.journal, secret=secret
        )

    def begin(self) -> None:
        """Start the threads, and wait until the engines are built and the journal is open."""
        pipeline = self.middleware.pipeline
        if pipeline is None:
            raise RuntimeError(f"{self.name}: {self.middleware.problem}")
        pipeline.start()
        deadline = time.monotonic() + START_WITHIN_S
        while not pipeline.capture.is_warm and time.monotonic() < deadline:
            time.sleep(0.01)
        pipeline.flush(START_WITHIN_S)

    async def finish(self) -> None:
        """Commit, deliver, end the threads."""
        await self.middleware.aclose()

    def complaint(self, requests: int) -> str:
        """Events that weren't delivered."""
        counts = read_counts(self.journal)
        delivered = [sink.delivered for sink in counts.sinks]
        if counts.closes and delivered == [requests]:
            return ""
        dropped = sum((Counter(worker.dropped) for worker in counts.workers), Counter())
        closes = "close" if counts.closes else "do not close"
        return f"delivered {delivered} of {requests} events, dropped {dict(dropped)}, counters {closes}"


class Consented(Ours):
    """All visitors have granted analytics, and every response sets a cookie of it."""

    def __init__(self, name: str, geo: Path, journal: Path, sink: str) -> None:
        super().__init__(name, geo, journal, sink)
        policy = self.policy.changed(consent={"gate": "enforce"})
        self._inner = make_app()
        self._tokens, self._hash = ConsentTokens([SECRET]), policy.consent_hash
        self.app = self.middleware = self.wrapped(self._with_cookies, policy, sink, SECRET)

    async def _with_cookies(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_cookies(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"set-cookie", SET_COOKIE))
            await send(message)

        await self._inner(scope, receive, with_cookies)

    def prepare(self, requests: Sequence[Call]) -> Sequence[Call]:
        """The requests, each with its visitor's consent cookie."""
        return [
            call._replace(head=call.head.replace(b"cookie: ", b"cookie: " + self._cookie(call.head)))
            for call in requests
        ]

    def _cookie(self, head: bytes) -> bytes:
        receipt = hashlib.sha256(head.partition(b"cookie: ")[2].partition(b"\r")[0]).hexdigest()[:32]
        decisions = {"analytics": "granted", "marketing": "refused", "preferences": "granted"}
        choice = Choice(decisions, self._hash, int(time.time() // 86_400), receipt)
        return b"__Host-centtrack=" + self._tokens.sign(choice) + b"; "


# Measuring.


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: dict[str, Any]) -> None:
    if message.get("status", 200) != 200:
        raise RuntimeError(f"the app answered {message['status']}")


def make_scope(call: Call) -> dict[str, Any]:
    """A scope as a server makes it: every header is a new object, so that no hash of one is at hand."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("10.0.0.2", 8000),
        "client": (PROXY, 51_234),
        "scheme": "http",
        "method": "GET",
        "root_path": "",
        "path": call.path,
        "raw_path": call.path.encode(),
        "query_string": call.query,
        "headers": [(name, value) for name, _, value in (line.partition(b": ") for line in call.head.split(b"\r\n"))],
        "state": {},
    }


async def measure(variant: Bare, requests: Sequence[Call]) -> float:
    """CPU microseconds a request, of all threads, until everything is handed over."""
    requests = variant.prepare(requests)
    variant.begin()
    gc.collect()
    started = time.process_time()
    for call in requests:
        await variant.app(make_scope(call), _receive, _send)
        await asyncio.sleep(0)  # a server goes back to its loop, too
    await variant.finish()
    return (time.process_time() - started) * 1e6 / len(requests)


def measure_gate(variant: Consented) -> tuple[float, float]:
    """Microseconds that the gate adds to a request, and that the inventory of cookies takes afterwards.

    By themselves, in the best of many passes over the same requests: it is far below what the CPU time of a process
    as a whole varies by.
    """
    editor, pipeline = variant.middleware._editor, variant.middleware.pipeline
    if editor is None or pipeline is None:
        raise RuntimeError(f"{variant.name}: {variant.middleware.problem}")
    scopes = [make_scope(call) for call in variant.prepare(calls(500, seed=1))]
    requests = [RecordedRequest(pipeline, scope, variant.app, _send, editor) for scope in scopes]
    headers = [(b"content-length", b"500"), (b"content-type", b"text/html"), (b"set-cookie", SET_COOKIE)]
    inventory = pipeline.capture.inventory

    def gate() -> None:
        for request in requests:
            editor._guarded(headers, request)
            editor.gate.expire_arrived(request)

    def nothing() -> None:
        for _ in requests:
            pass

    def count() -> None:
        for _ in requests:
            inventory.set(SET_COOKIE, passed=True)
            inventory.arrive(b"session=csrftoken=_ga=_ym_uid=")

    gate()  # reads each visitor's consent, which the rest of the middleware needs, too
    gate_s, nothing_s, count_s = (min(timeit.repeat(one, number=1, repeat=200)) for one in (gate, nothing, count))
    return (gate_s - nothing_s) * 1e6 / len(requests), (count_s - nothing_s) * 1e6 / len(requests)


async def run_rounds(variants: Sequence[Bare], rounds: int, amount: int) -> dict[str, list[float]]:
    """Every variant once a round, after a round that only warms; who begins rotates."""
    costs: dict[str, list[float]] = {variant.name: [] for variant in variants}
    for number in range(rounds + 1):
        requests = calls(amount, seed=number)
        for place in range(len(variants)):
            variant = variants[(number + place) % len(variants)]
            costs[variant.name].append(await measure(variant, requests))
        if number == 0:
            gc.freeze()  # else each collection would visit what the other variants have loaded
    return {name: measured[1:] for name, measured in costs.items()}


class Row(NamedTuple):
    """One line of the table. Differences and ratios are taken within a round, and are the medians of all rounds."""

    variant: str
    cpu_us: float
    lowest_us: float
    highest_us: float
    added_us: float
    ratio: float


def summarize(costs: dict[str, list[float]]) -> list[Row]:
    """The table."""
    bare = costs[Bare.name]
    added = {name: [one - base for one, base in zip(cost, bare, strict=True)] for name, cost in costs.items()}
    rows = []
    for name, cost in costs.items():
        ratios = (one / base for one, base in zip(added[name], added[OPENTELEMETRY], strict=True))
        median = statistics.median
        rows.append(Row(name, median(cost), min(cost), max(cost), median(added[name]), median(ratios)))
    return rows


def show(rows: Sequence[Row], rounds: int, amount: int) -> None:
    """Print the table."""
    print(f"CPU µs a request, all threads; median of {rounds} rounds of {amount} requests, {VISITORS} visitors")
    print(f"OpenTelemetry's metrics: left at the default, {type(get_meter_provider()).__name__.lstrip('_')}\n")
    print(f"{'variant':<28}{'CPU µs':>9}{'lowest to highest':>20}{'added µs':>11}{'ratio':>8}")
    for row in rows:
        spread = f"{row.lowest_us:.1f} to {row.highest_us:.1f}"
        ratio = "" if row.variant == Bare.name else f"{row.ratio:.2f}"
        print(f"{row.variant:<28}{row.cpu_us:>9.1f}{spread:>20}{row.added_us:>11.1f}{ratio:>8}")


def make_variants(folder: Path, geo: Path) -> list[Bare]:
    """All variants, each with files of its own."""
    return [
        Bare(),
        OpenTelemetry(),
        OpenTelemetry("opentelemetry, one span", 1, exclude_spans=["receive", "send"]),
        ByHand(geo, folder / "by-hand.jsonl"),
        Ours(OURS, geo, folder / "jsonl.sqlite", f"jsonl:{folder / 'events.jsonl'}"),
        Ours("centtrack, delta", geo, folder / "delta.sqlite", f"delta:{folder / 'lake'}"),
        Consented(CONSENTED, geo, folder / "consented.sqlite", f"jsonl:{folder / 'consented.jsonl'}"),
    ]


def run(folder: Path, options: argparse.Namespace) -> int:
    """Measure, print, judge."""
    geo = options.geo or folder / "geo.mmdb"
    if options.geo is None:
        write_geo(geo)
    variants = make_variants(folder, geo.absolute())
    costs = asyncio.run(run_rounds(variants, options.rounds, options.requests))
    rows = summarize(costs)
    gate_us, inventory_us = measure_gate(next(one for one in variants if isinstance(one, Consented)))
    complaints = {variant.name: variant.complaint((options.rounds + 1) * options.requests) for variant in variants}
    for name, complaint in complaints.items():
        if complaint:
            print(f"{name}: {complaint}", file=sys.stderr)
    ratio = next(row.ratio for row in rows if row.variant == OURS)
    if options.json:
        figures = {"ratio": ratio, "target": TARGET, "gate_us": gate_us, "gate_target_us": GATE_TARGET_US}
        figures["inventory_us"] = inventory_us
        print(json.dumps({"rows": [row._asdict() for row in rows], **figures}, indent=2))
    else:
        show(rows, options.rounds, options.requests)
        print(f"\nours adds {ratio:.2f} of what OpenTelemetry adds: target {TARGET} {verdict(ratio, TARGET)}")
        print(
            f"the cookie gate adds {gate_us:.1f} µs to a request: "
            f"target {GATE_TARGET_US} {verdict(gate_us, GATE_TARGET_US)}"
        )
        print(f"the inventory of cookies, in the recorder's thread, {inventory_us:.1f} µs")
    return 3 if any(complaints.values()) else int(ratio > TARGET or gate_us > GATE_TARGET_US)


def verdict(figure: float, target: float) -> str:
    """Whether a target is met, in words."""
    return "met" if figure <= target else "NOT met"


def main() -> int:
    """Read the options and run in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each variant is measured (5)")
    parser.add_argument("--requests", type=int, default=8_000, help="requests a round (8000)")
    parser.add_argument(
        "--geo", type=Path, help="a geo database in MaxMind's City schema; default: a small one is made"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="centtrack-benchmark-") as folder:
        return run(Path(folder), options)


if __name__ == "__main__":
    sys.exit(main())
