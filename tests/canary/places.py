"""Where secrets are planted: in requests, and in what an app answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, zip_longest

from canary.plants import (
    CHROME,
    CLIENT,
    Place,
    Plant,
    Request,
    basic,
    in_address,
    in_agent,
    in_answer,
    in_answer_body,
    in_body,
    in_cookie,
    in_header,
    in_messages,
    in_method,
    in_number,
    in_path,
    in_query,
    in_tracked,
    percent,
)  # fmt: skip
from canary.secrets_of import KNOWN, UNKNOWN, make_secret

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
    Place("referrer, user information", in_header("Referer", "https://{0}:{0}@partner.example/", percent)),
    Place(
        "referrer, own page", in_header("Referer", "https://shop.example/u/{}", percent), {"referrer": "referrer_path"}
    ),
    Place("referrer, search", in_header("Referer", "https://www.google.kz/search?q={}", percent)),
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


def together(places: list[Place], size: int = 1) -> list[list[Place]]:
    """Places that go into one request, that many at a time."""
    return [places[start : start + size] for start in range(0, len(places), size)]


ANYWHERE = [
    together(PATHS), together(QUERIES, 2), together(REFERRERS), together(HEADERS, 2), together(AGENTS),
    together(COOKIES, 3), together(BODIES), together(ANSWERS, 2),
]  # fmt: skip


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
    Place("Forwarded", in_header("Forwarded", 'for="{}";proto=https'), IP),  # believed where it is the trusted one
]
FORWARDED = [Place(name, in_header(name)) for name in FORWARDING]
MAPPED = [
    Place("the client's address, mapped into IPv6", in_address("::ffff:{}"), IP),
    Place("the client's address, in NAT64", in_address("64:ff9b::{}"), IP),
    Place("the client's address, with port", in_address("{}:50123"), IP),
]
COORDINATES = [
    Place(name, in_header(name))
    for name in ("X-Geo", "Geolocation", "CloudFront-Viewer-Latitude", "CF-IPLatitude", "X-Vercel-IP-Latitude",
                 "X-AppEngine-CityLatLong", "X-Client-Geo-Location", "X-GeoIP-Longitude")
]  # fmt: skip
COORDINATES += [Place("path, latitude", in_path("near/lat/{}")), Place("listed key, latitude", in_query("q=lat:{}"))]
POSTAL_CODES = [
    Place(name, in_header(name))
    for name in ("CloudFront-Viewer-Postal-Code", "CF-PostalCode", "X-Vercel-IP-Postal-Code")
] + [Place("query, other key, postal code", in_query("postcode={}"))]
NAME_HEADERS = [
    *(
        Place(name, in_header(name))
        for name in ("X-Forwarded-User", "X-Auth-Request-User", "Remote-User", "X-Auth-Request-Preferred-Username",
                     "X-SSL-Client-S-DN", "X-Goog-Authenticated-User-Email", "X-MS-CLIENT-PRINCIPAL-NAME",
                     "X-Request-ID", "X-Amzn-Trace-Id", "CF-Ray", "Traceparent", "Baggage", "Origin", "Sec-Fetch-Dest",
                     "Sec-Fetch-User", "Sec-GPC", "DNT", "Accept", "Cookie2", "CF-IPCity", "CloudFront-Viewer-City",
                     "X-Vercel-IP-City", "Purpose", "X-Csrf-Token", "Warning")
    ),
    Place("Host, subdomain", in_header("Host", "{}.shop.example")),
    Place("Authorization, digest", in_header("Authorization", 'Digest username="{}", uri="/"')),
    Place("Proxy-Authorization", in_header("Proxy-Authorization", "Basic {}", basic)),
    Place("Sec-CH-UA-Model", in_header("Sec-CH-UA-Model", '"{}"')),
    Place("Sec-CH-UA-Arch", in_header("Sec-CH-UA-Arch", '"{}"')),
    Place("Sec-CH-UA, brand", in_header("Sec-CH-UA", '"{0}";v="126", "Chromium";v="126"')),
    Place("Sec-CH-UA-Platform", in_header("Sec-CH-UA-Platform", '"{}"')),
    Place("Sec-CH-UA-Platform-Version", in_header("Sec-CH-UA-Platform-Version", '"{}"')),
    Place("Sec-CH-UA-Full-Version-List", in_header("Sec-CH-UA-Full-Version-List", '"{0}";v="1.{0}"')),
    Place("Signature-Agent", in_header("Signature-Agent", '"https://{}.example"')),
]  # fmt: skip
CLICKS = [
    *(
        Place(key, in_query(key + "={}"))
        for key in ("yclid", "msclkid", "gbraid", "wbraid", "dclid", "ttclid", "twclid", "li_fat_id", "mc_eid",
                    "_hsenc", "utm_id", "email", "token")
    ),
    Place("utm key", in_query("utm_{}=1")),
    Place("utm_medium", in_query("utm_medium={}"), {"campaign": "utm_medium"}),
]  # fmt: skip
APP = "Mozilla/5.0 (Linux; Android 13; {0} Build/{0}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0"
PART = '--x\r\nContent-Disposition: form-data; name="f"; filename="{0}"\r\n\r\n{0}\r\n--x--'
DOMAIN = {"referrer": "referrer_domain"}
NAMES = [
    Place("Host, another site", in_header("Host", "{}.example")),
    Place("user agent, device", in_agent(APP)),
    Place("user agent, app", in_agent("{0}/1.0 (iPhone; iOS 17.5; Scale/3.00) {0}")),
    Place("user agent, bot", in_agent("Mozilla/5.0 (compatible; {0}bot/1.0; +http://{0}.example/bot)")),
    Place("user agent, version", in_agent("Mozilla/5.0 Chrome/{0}.1 Firefox/{0} Version/{0}")),
    Place("method", in_method),
    Place("extension", in_path("a.{}"), PATH),
    Place("referrer, domain", in_header("Referer", "https://{}.example/"), DOMAIN),
    Place("referrer, subdomain", in_header("Referer", "https://{}.partner.example/"), DOMAIN),
    Place("body, multipart", in_body("multipart/form-data; boundary=x", PART)),
    Place("answer, Server-Timing", in_answer("Server-Timing", 'db;desc="{}"')),
    Place("WebSocket, messages", in_messages),
]
NUMBERS = [Place("custom event, number", in_number)]
IN_HOST = [Place("referrer, domain", in_header("Referer", "https://{}.partner.example/"))]

VERSION = {"browser": "browser_version"}
VERSIONS = [Place("user agent, version", in_agent(CHROME.format("").replace("126.0.0.0", "{}.0")), VERSION)]
BUILDS = [Place("user agent, build", in_agent(CHROME.format("").replace("126.0.0.0", "126.0.{}")))]

OWN_PLACES: dict[str, list[list[Place]]] = {
    "IPv4": together(ADDRESSES) + together(MAPPED) + together(FORWARDED, 9) + together(IN_HOST),
    "IPv6": together(ADDRESSES) + together(FORWARDED, 9),
    "coordinates, pair": together(COORDINATES, 4),
    "postal code": together(POSTAL_CODES, 4),
    "name": together(NAMES) + together(NAME_HEADERS, 6) + together(CLICKS, 5),
    "phone, 11 digits": together(NUMBERS + IN_HOST),
    "card, Visa": together(NUMBERS + IN_HOST),
    "card, American Express": together(NUMBERS + IN_HOST),
    "IIN": together(NUMBERS + IN_HOST),
    "UUID": together(IN_HOST),
    "session, 32 hex digits": together(IN_HOST),
    "version": together(VERSIONS),
    "build": together(BUILDS),
}

NUMBERED = {"version", "build"}  # not planted anywhere else: what they identify is a browser's version
# Four layers of percent-encoding, of which the server and the scrubbing take off three.
TOO_DEEP = {("e-mail, each letter escaped", "path, escaped three times")}


def requests_of(configuration: str, kinds: Iterable[str] | None = None) -> Iterator[tuple[Request, list[Plant]]]:
    """All requests of one configuration, with what each carries: everywhere a secret of its own.

    Args:
        configuration: its name.
        kinds: of secrets; None for all.
    """
    for kind in kinds or [*KNOWN, *UNKNOWN]:
        anywhere = [] if kind in NUMBERED else list(zip_longest(*ANYWHERE, fillvalue=[]))
        for groups in [*anywhere, *zip(OWN_PLACES.get(kind, ()))]:
            places = [place for group in groups for place in group]
            yield _planted(configuration, kind, [place for place in places if (kind, place.name) not in TOO_DEEP])


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
