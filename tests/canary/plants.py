"""Where secrets are planted: in requests, in what an app answers, and in the geo database."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import Any, NamedTuple
from urllib.parse import quote

from canary.secrets_of import KNOWN, UNKNOWN, Secret, make_secret

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64{}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
CLIENT = "203.0.113.7"


@dataclass
class Request:
    """One request of the canary. What it is not told is plain."""

    path: str = "/"
    query: list[str] = field(default_factory=list)
    method: str = "GET"
    headers: list[tuple[str, str]] = field(default_factory=list)
    agent: str = CHROME.format("")
    client: str = CLIENT
    cookies: list[str] = field(default_factory=list)
    body: bytes | None = None
    answer: dict[str, Any] = field(default_factory=dict)
    messages: list[str] | None = None  # of a WebSocket


Put = Callable[[Request, str], None]


class Place(NamedTuple):
    """A place.

    Attributes:
        name: what it is called in the report.
        put: puts a text there.
        shown: limit → column in which its finest level lets words of this place through.
    """

    name: str
    put: Put
    shown: Mapping[str, str] = {}


class Plant(NamedTuple):
    """A secret in its place."""

    secret: Secret
    place: Place

    @property
    def name(self) -> str:
        return f"{self.secret.kind} in {self.place.name}"


# Ways to put a text somewhere.


def percent(text: str, times: int = 1) -> str:
    """Percent-encoded, that often."""
    for _ in range(times):
        text = quote(text, safe="")
    return text


def in_path(form: str, times: int = 1) -> Put:
    def put(request: Request, text: str) -> None:
        request.path += form.format(percent(text, times))

    return put


def in_query(form: str, times: int = 1) -> Put:
    return lambda request, text: request.query.append(form.format(percent(text, times)))


def in_header(name: str, form: str = "{}", encode: Callable[[str], str] = str) -> Put:
    return lambda request, text: request.headers.append((name, form.format(encode(text))))


def in_cookie(form: str) -> Put:
    return lambda request, text: request.cookies.append(form.format(percent(text)))


def in_agent(form: str) -> Put:
    def put(request: Request, text: str) -> None:
        request.agent = form.format(text)

    return put


def in_body(kind: str, form: str) -> Put:
    def put(request: Request, text: str) -> None:
        request.method, request.body = "POST", form.format(text).encode()
        request.headers.append(("Content-Type", kind))

    return put


def in_answer(name: str, form: str = "{}") -> Put:
    """In a header of the answer, or in its body. The app is told how to answer in a header that nobody reads."""

    def put(request: Request, text: str) -> None:
        request.answer.setdefault("headers", []).append([name, form.format(percent(text))])

    return put


def in_answer_body(request: Request, text: str) -> None:
    request.answer["body"] = text


def in_tracked(**form: str) -> Put:
    def put(request: Request, text: str) -> None:
        request.answer["track"] = {name: value.format(text) for name, value in form.items()}

    return put


def in_number(request: Request, text: str) -> None:
    request.answer["track"] = {"premium": int(re.sub(r"\D", "", text))}


def in_messages(request: Request, text: str) -> None:
    request.messages = [text, f'{{"message": "{text}"}}']


def in_address(form: str) -> Put:
    def put(request: Request, text: str) -> None:
        request.client = form.format(text)

    return put


def in_method(request: Request, text: str) -> None:
    request.method = text.upper()


def basic(text: str) -> str:
    return base64.b64encode(f"ivan:{text}".encode()).decode()


# Places for any text, sorted by the part of the request that they take: of each part one goes into a request.

PATH = {"page": "path"}
PATHS = [
    Place("path", in_path("u/{}/edit"), PATH),
    Place("path, escaped twice", in_path("u/{}", 2), PATH),
    Place("path, escaped three times", in_path("u/{}", 3), PATH),
    Place("path, parameter", in_path("list;id={}"), PATH),
    Place("path of a request that fails", in_path("boom/{}"), PATH),
    Place("path of an error", in_path("missing/{}.html"), PATH),
]
QUERIES = [
    Place("query, listed key", in_query("q={}"), {"page": "query"}),
    Place("query, listed key, escaped twice", in_query("q={}", 2), {"page": "query"}),
    Place("query, other key", in_query("customer={}")),
    Place("query, key", in_query("{}=1")),
    Place("utm_source", in_query("utm_source={}"), {"campaign": "utm_source"}),
    Place("utm_campaign", in_query("utm_campaign={}"), {"campaign": "utm_campaign"}),
    Place("utm_term, escaped twice", in_query("utm_term={}", 2), {"campaign": "utm_term"}),
    Place("utm_content", in_query("utm_content={}"), {"campaign": "utm_content"}),
    Place("gclid", in_query("gclid={}")),
    Place("fbclid", in_query("fbclid={}")),
]
REFERRERS = [
    Place(
        "referrer, path", in_header("Referer", "https://partner.example/u/{}", percent), {"referrer": "referrer_path"}
    ),
    Place("referrer, query", in_header("Referer", "https://partner.example/?q={}", percent)),
    Place("referrer, fragment", in_header("Referer", "https://partner.example/#{}", percent)),
    Place("referrer, user", in_header("Referer", "https://{}:x@partner.example/", percent)),
    Place("referrer, password", in_header("Referer", "https://x:{}@partner.example/", percent)),
    Place(
        "referrer, own page", in_header("Referer", "https://shop.example/u/{}", percent), {"referrer": "referrer_path"}
    ),
    Place("referrer, search", in_header("Referer", "https://www.google.kz/search?q={}", percent)),
    Place("referrer, no URL", in_header("Referer", "{}", percent)),
]
HEADERS = [
    Place("Authorization, basic", in_header("Authorization", "Basic {}", basic)),
    Place("Authorization, bearer", in_header("Authorization", "Bearer {}", percent)),
    Place("From", in_header("From", "{}", percent)),
    Place("X-User-Name", in_header("X-User-Name", "{}", percent)),
    Place("If-None-Match", in_header("If-None-Match", 'W/"{}"', percent)),
    Place("Accept-Language", in_header("Accept-Language", "ru-{0}, {0}, en;q=0.5", percent)),
]
AGENTS = [
    Place("user agent, end", in_agent(CHROME.format("") + " {}")),
    Place("user agent, comment", in_agent(CHROME.format("; {}"))),
    Place("user agent, all of it", in_agent("{}")),
]
COOKIES = [
    Place("cookie, value", in_cookie("session={}")),
    Place("cookie, name", in_cookie("{}=1")),
    Place("cookie, registered glob", in_cookie("_ga_{}=1")),
]
BODIES = [
    Place("body, JSON", in_body("application/json", '{{"customer": "{}"}}')),
    Place("body, form", in_body("application/x-www-form-urlencoded", "customer={}")),
]
ANSWERS = [
    Place("answer, body", in_answer_body),
    Place("answer, Set-Cookie", in_answer("Set-Cookie", "session={}; Path=/")),
    Place("answer, Location", in_answer("Location", "/u/{}")),
    Place("answer, ETag", in_answer("ETag", '"{}"')),
    Place("answer, Content-Type", in_answer("Content-Type", "text/html; boundary={}")),
    Place("custom event, undeclared property", in_tracked(customer="{}")),
    Place("custom event, text for a word", in_tracked(product="{}")),
]
ANYWHERE = (PATHS, QUERIES, REFERRERS, HEADERS, AGENTS, COOKIES, BODIES, ANSWERS)


# Places for one kind each.

FORWARDING = [
    "X-Real-IP", "CF-Connecting-IP", "True-Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "Fastly-Client-IP",
    "Fly-Client-IP", "X-Original-Forwarded-For", "X-Originating-IP", "X-Remote-Addr", "CF-Connecting-IPv6",
    "X-AppEngine-User-IP", "X-Azure-ClientIP", "X-Envoy-External-Address", "Via", "Remote-Addr", "X-Forwarded-Host",
]  # fmt: skip
IP = {"ip": "ip_network"}
ADDRESSES = [
    Place("the client's address", in_address("{}"), IP),
    Place("the client's address, left of it a made-up one", in_address("203.0.113.99, {}"), IP),
    Place("a made-up address left of the client's", in_address("{}, " + CLIENT)),
    *(Place(name, in_header(name)) for name in FORWARDING),
    Place("a header line of the untrusted family", in_header("X-Other-Forwarded", 'for="{}";proto=https')),
]
MAPPED = [
    Place("the client's address, mapped into IPv6", in_address("::ffff:{}"), IP),
    Place("the client's address, in NAT64", in_address("64:ff9b::{}"), IP),
    Place("the client's address, with port", in_address("{}:50123"), IP),
]
COORDINATES = [
    Place(name, in_header(name))
    for name in ("X-Geo", "Geolocation", "CloudFront-Viewer-Latitude", "CF-IPLatitude", "X-Vercel-IP-Latitude",
                 "X-AppEngine-CityLatLong", "X-Client-Geo-Location", "X-GeoIP-Longitude")
] + [Place("path, latitude", in_path("near/lat/{}")), Place("query, listed key, latitude", in_query("q=lat:{}"))]  # fmt: skip
POSTAL_CODES = [
    Place(name, in_header(name))
    for name in ("CloudFront-Viewer-Postal-Code", "CF-PostalCode", "X-Vercel-IP-Postal-Code")
] + [Place("query, other key, postal code", in_query("postcode={}"))]
NAMES = [
    *(
        Place(name, in_header(name))
        for name in ("X-Forwarded-User", "X-Auth-Request-User", "Remote-User", "X-Auth-Request-Preferred-Username",
                     "X-SSL-Client-S-DN", "X-Goog-Authenticated-User-Email", "X-MS-CLIENT-PRINCIPAL-NAME", "X-Request-ID",
                     "X-Amzn-Trace-Id", "CF-Ray", "Traceparent", "Baggage", "Origin", "Sec-WebSocket-Protocol-Hint",
                     "Sec-Fetch-Dest", "Sec-Fetch-User", "Sec-GPC", "DNT", "Accept", "Cookie2", "CF-IPCity",
                     "CloudFront-Viewer-City", "X-Vercel-IP-City", "Purpose", "X-Csrf-Token", "Warning")
    ),
    Place("Host, subdomain", in_header("Host", "{}.shop.example")),
    Place("Host, another site", in_header("Host", "{}.example")),
    Place("Authorization, digest", in_header("Authorization", 'Digest username="{}", uri="/"')),
    Place("Proxy-Authorization", in_header("Proxy-Authorization", "Basic {}", basic)),
    Place("Sec-CH-UA-Model", in_header("Sec-CH-UA-Model", '"{}"')),
    Place("Sec-CH-UA-Arch", in_header("Sec-CH-UA-Arch", '"{}"')),
    Place("Sec-CH-UA, brand", in_header("Sec-CH-UA", '"{0}";v="126", "Chromium";v="126"')),
    Place("Sec-CH-UA-Platform", in_header("Sec-CH-UA-Platform", '"{}"')),
    Place("Sec-CH-UA-Full-Version-List", in_header("Sec-CH-UA-Full-Version-List", '"{0}";v="1.{0}"')),
    Place("Signature-Agent", in_header("Signature-Agent", '"https://{}.example"')),
    Place("user agent, device", in_agent("Mozilla/5.0 (Linux; Android 13; {0} Build/{0}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36")),
    Place("user agent, app", in_agent("{0}/1.0 (iPhone; iOS 17.5; Scale/3.00) {0}")),
    Place("user agent, bot", in_agent("Mozilla/5.0 (compatible; {0}bot/1.0; +http://{0}.example/bot)")),
    Place("user agent, version", in_agent("Mozilla/5.0 Chrome/{0}.1 Firefox/{0} Version/{0}")),
    Place("method", in_method),
    Place("extension", in_path("a.{}"), PATH),
    Place("referrer, domain", in_header("Referer", "https://{}.example/"), {"referrer": "referrer_domain"}),
    Place("referrer, subdomain", in_header("Referer", "https://{}.partner.example/"), {"referrer": "referrer_domain"}),
    Place("utm key", in_query("utm_{}=1")),
    Place("utm_medium", in_query("utm_medium={}"), {"campaign": "utm_medium"}),
    *(
        Place(key, in_query(key + "={}"))
        for key in ("yclid", "msclkid", "gbraid", "wbraid", "dclid", "ttclid", "twclid", "li_fat_id", "mc_eid", "_hsenc", "utm_id", "email", "token")
    ),
    Place("body, multipart", in_body("multipart/form-data; boundary=x", '--x\r\nContent-Disposition: form-data; name="f"; filename="{0}"\r\n\r\n{0}\r\n--x--')),
    Place("answer, Server-Timing", in_answer("Server-Timing", 'db;desc="{}"')),
    Place("answer, header of its own", in_answer("X-Customer", "{}")),
    Place("WebSocket, messages", in_messages),
]  # fmt: skip
NUMBERS = [Place("custom event, number", in_number)]
IN_HOST = [Place("referrer, domain", in_header("Referer", "https://{}.partner.example/"))]

OWN_PLACES: dict[str, list[Place]] = {
    "IPv4": ADDRESSES + MAPPED + IN_HOST,
    "IPv6": ADDRESSES,
    "coordinates, pair": COORDINATES,
    "postal code": POSTAL_CODES,
    "name": NAMES,
    "phone, 11 digits": NUMBERS + IN_HOST,
    "card, Visa": NUMBERS + IN_HOST,
    "card, American Express": NUMBERS + IN_HOST,
    "IIN": NUMBERS + IN_HOST,
    "UUID": IN_HOST,
    "session, 32 hex digits": IN_HOST,
}


def requests_of(configuration: str) -> Iterator[tuple[Request, list[Plant]]]:
    """All requests of one configuration, with what each carries: everywhere a secret of its own."""
    for kind in [*KNOWN, *UNKNOWN]:
        for places in zip_longest(*ANYWHERE):
            yield _planted(configuration, kind, [place for place in places if place is not None])
        for place in OWN_PLACES.get(kind, ()):
            yield _planted(configuration, kind, [place])


def _planted(configuration: str, kind: str, places: list[Place]) -> tuple[Request, list[Plant]]:
    request, plants = Request(), []
    for place in places:
        secret = make_secret(kind, configuration, place.name)
        place.put(request, secret.text)
        plants.append(Plant(secret, place))
    return request, plants


def count_of_kinds() -> int:
    """Kinds of secrets, each counted once for each of its places."""
    return sum(len(plants) for _, plants in requests_of("count"))


def sample(configuration: str, size: int) -> Iterator[tuple[Request, list[Plant]]]:
    """Some of the requests, spread over all kinds."""
    step = max(1, sum(1 for _ in requests_of(configuration)) // size)
    return islice(requests_of(configuration), 0, None, step)
