"""Traffic with the variety of a real site: people on a few pages each, assets, forms, bots, scanners. All invented."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import httpx
from websockets.sync.client import connect

_FIRST_ADDRESS = int(IPv4Address("198.18.0.0"))  # reserved for benchmarks (RFC 2544): nobody's
_PLACED_ADDRESSES = 64 * 2_048  # as many as the demonstration database has places for
_THREADS = 8

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
BROWSERS = [
    (24, f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/149.0.0.0 Safari/537.36"),
    (22, f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} Chrome/149.0.0.0 Mobile Safari/537.36"),
    (16, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
         "Version/18.6 Mobile/15E148 Safari/604.1"),
    (9, f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/146.0.0.0 YaBrowser/26.10.0.0 Safari/537.36"),
    (7, f"Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-A556E) {_WEBKIT} SamsungBrowser/29.0 Chrome/136.0.0.0 "
        "Mobile Safari/537.36"),
    (6, f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Chrome/149.0.0.0 Safari/537.36"),
    (5, "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"),
    (4, f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/149.0.0.0 Safari/537.36 Edg/149.0.0.0"),
    (3, "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 "
        "Safari/605.1.15"),
    (2, "Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 "
        "Mobile/15E148 Safari/604.1"),
    (1, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
]  # fmt: skip
BOTS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    f"Mozilla/5.0 {_WEBKIT}; compatible; GPTBot/1.3; +https://openai.com/gptbot",
    f"Mozilla/5.0 {_WEBKIT}; compatible; ClaudeBot/1.0; +claudebot@anthropic.com",
    "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
]
_LANGUAGES = [(50, "ru-KZ,ru;q=0.9,kk;q=0.7"), (28, "kk-KZ,kk;q=0.9,ru;q=0.8"), (14, "en-US,en;q=0.9"), (8, "ru-RU,ru")]
_ARRIVALS = [
    (34, "/", "https://www.google.com/"),
    (12, "/products/motor", "https://yandex.kz/search/?text=car+insurance"),
    (20, "/", ""),
    (9, "/products/travel?utm_source=instagram&utm_medium=social&utm_campaign=summer", "https://l.instagram.com/"),
    (8, "/quote?utm_source=google&utm_medium=cpc&utm_campaign=motor&gclid=demo", "https://www.google.com/"),
    (6, "/products?utm_source=newsletter&utm_medium=email", ""),
    (6, "/branches/almaty", "https://2gis.kz/almaty"),
    (5, "/quote?email=aigerim@example.com&phone=%2B77010000000", "https://mail.google.com/"),
]
_PAGES = [
    (20, "/"), (18, "/products"), (20, "/products/motor"), (12, "/products/travel"), (9, "/products/home"),
    (16, "/quote"), (8, "/branches/almaty"), (5, "/branches/astana"), (4, "/about"), (2, "/callback/+77010000000"),
]  # fmt: skip
_ASSETS = [("/static/site.css", "style"), ("/static/site.js", "script"), ("/static/logo.svg", "image")]
_SCANS = ["/wp-login.php", "/.env", "/admin.php"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the traffic."""

    method: str
    url: str
    headers: dict[str, str]
    form: dict[str, str] | None = None


@dataclass(slots=True)
class Answers:
    """What the server answered: status → how often."""

    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Requests that got an answer, redirects that were followed included."""
        return sum(self.statuses.values())

    def note(self, status: int) -> None:
        """Count an answer."""
        self.statuses[status] = self.statuses.get(status, 0) + 1


def make_visits(count: int, seed: int = 1) -> list[list[Request]]:
    """Visits of people, bots and scanners, the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - a demonstration, not a secret
    return [list(_visit(chance)) for _ in range(count)]


def _visit(chance: random.Random) -> Iterator[Request]:
    kind = chance.random()
    if kind < 0.12:
        return _bot(chance)
    return _scanner(chance) if kind < 0.15 else _person(chance)


def _pick(chance: random.Random, weighted: list[tuple[int, str]]) -> str:
    return chance.choices([value for _, value in weighted], [weight for weight, _ in weighted])[0]


def _address(chance: random.Random) -> str:
    """An X-Forwarded-For header, as the proxy sends it on; some visitors put a lie in front."""
    address = str(IPv4Address(_FIRST_ADDRESS + chance.randrange(_PLACED_ADDRESSES)))
    return f"192.0.2.1, {address}" if chance.random() < 0.05 else address


def _person(chance: random.Random) -> Iterator[Request]:
    headers = {
        "user-agent": _pick(chance, BROWSERS),
        "x-forwarded-for": _address(chance),
        "accept-language": _pick(chance, _LANGUAGES),
        "cookie": "session=demo; theme=dark" if chance.random() < 0.5 else "session=demo",
        **({"sec-gpc": "1"} if chance.random() < 0.1 else {}),
    }
    page, referrer = chance.choices([(page, referrer) for _, page, referrer in _ARRIVALS], [a[0] for a in _ARRIVALS])[0]
    yield _get(page, headers, "document", referrer)
    for asset, destination in _ASSETS:
        yield _get(asset, headers, destination, page)
    for _ in range(chance.choice([0, 0, 1, 1, 2, 3, 4])):
        page = _pick(chance, _PAGES)
        yield _get(page, headers, "document", "https://qorghan.example/")
        if page == "/quote":
            yield from _ask_for_quote(chance, headers)


def _ask_for_quote(chance: random.Random, headers: dict[str, str]) -> Iterator[Request]:
    product, value = chance.choice([("motor", "8000000"), ("home", "40000000"), ("travel", "5000000")])
    yield _get(f"/api/quote-estimate?product={product}&value={value}", headers, "empty", "/quote")
    if chance.random() < 0.5:
        form = {"product": product, "value": value, "name": "Aigerim Demo", "email": "aigerim@example.com"}
        yield Request("POST", "/quote", {**headers, "sec-fetch-dest": "document"}, form)


def _get(url: str, headers: dict[str, str], destination: str, referrer: str) -> Request:
    return Request("GET", url, {**headers, "sec-fetch-dest": destination, "referer": referrer})


def _bot(chance: random.Random) -> Iterator[Request]:
    headers = {"user-agent": chance.choice(BOTS), "x-forwarded-for": _address(chance), "accept-language": ""}
    for page in ["/robots.txt", *(_pick(chance, _PAGES) for _ in range(chance.randint(1, 6)))]:
        yield Request("GET", page, headers)


def _scanner(chance: random.Random) -> Iterator[Request]:
    headers = {"user-agent": "curl/8.14.1", "x-forwarded-for": _address(chance)}
    return (Request("GET", page, headers) for page in _SCANS)


def send_visits(base_url: str, visits: list[list[Request]], on_request: Callable[[], None]) -> Answers:
    """Send all visits over HTTP, several at a time.

    Raises:
        httpx.HTTPError: if the server doesn't answer.
    """
    answers = Answers()
    with ThreadPoolExecutor(_THREADS) as pool:
        for statuses in pool.map(lambda visit: _send_visit(base_url, visit, on_request), visits):
            for status in statuses:
                answers.note(status)
    return answers


def _send_visit(base_url: str, visit: list[Request], on_request: Callable[[], None]) -> list[int]:
    statuses = []
    with httpx.Client(base_url=base_url, timeout=10, trust_env=False, follow_redirects=True) as client:
        for request in visit:
            response = client.request(request.method, request.url, headers=request.headers, data=request.form)
            statuses += [answer.status_code for answer in (*response.history, response)]
            on_request()
    return statuses


def chat(base_url: str) -> None:
    """Ask the site's chat one question, over a WebSocket."""
    url = f"{base_url.replace('http', 'ws', 1)}/ws/chat"
    headers = {"x-forwarded-for": "198.18.0.9", "user-agent": BROWSERS[0][1]}
    with connect(url, additional_headers=headers, proxy=None) as socket:
        socket.send("Do you insure boats?")
        socket.recv(timeout=10)
