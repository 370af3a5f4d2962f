"""Requests that are made to hurt: too large, too many, not what they should be, or slow to search."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from centtrack.testing import make_scope

HUGE = 65_536
NAMES = (
    b"host", b"user-agent", b"referer", b"cookie", b"accept-language", b"x-forwarded-for", b"forwarded", b"sec-gpc",
    b"dnt", b"sec-ch-ua", b"sec-ch-ua-platform", b"sec-ch-ua-full-version-list", b"sec-fetch-dest", b"sec-purpose",
    b"origin", b"accept", b"signature-agent", b"x-centtrack-explain", b"x-other",
)  # fmt: skip
_SHAPES = (
    b"a",
    b"a,",
    b"a; ",
    b"a=b; ",
    b"%25",
    b"\xff",
    b"(",
    b'"',
    b"1.2.3.4, ",
    b"/../",
    b"for=",
    b"://",
    b"@",
    b"-1",
)
_UNTAKEN = re.compile(rb"[\x00-\x1f\x7f]")

Scope = dict[str, Any]


def _with(headers: list[tuple[bytes, bytes]], **columns: Any) -> Scope:
    given = {name for name, _ in headers}
    usual = [(b"host", b"shop.example"), (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) Firefox/133.0")]
    return {**make_scope(**columns), "headers": [*(pair for pair in usual if pair[0] not in given), *headers]}


def _huge_header(chance: random.Random) -> Scope:
    """One header of 64 KB."""
    shape = chance.choice(_SHAPES)
    return _with([(chance.choice(NAMES), (shape * (HUGE // len(shape) + 1))[:HUGE])])


def _duplicates(chance: random.Random) -> Scope:
    """A header a thousand times."""
    name, shape = chance.choice(NAMES), chance.choice(_SHAPES)
    return _with([(name, shape + str(number).encode()) for number in range(1_000)])


def _noise(chance: random.Random) -> Scope:
    """Random bytes in every header, in path and query."""
    scope = _with([(name, chance.randbytes(chance.randrange(600))) for name in NAMES])
    path = chance.randbytes(chance.randrange(6_000)).decode("utf-8", "surrogateescape")
    return {**scope, "path": "/" + path, "raw_path": path.encode("utf-8", "surrogateescape")} | {
        "query_string": chance.randbytes(chance.randrange(6_000))
    }


def _huge_address(chance: random.Random) -> Scope:
    """A path and a query of 64 KB."""
    shape = chance.choice(_SHAPES)
    text = (shape * (HUGE // len(shape) + 1))[:HUGE]
    scope = _with([(b"referer", b"https://a.example/" + text)])
    return {**scope, "path": "/" + text.decode("latin-1"), "raw_path": b"/" + text, "query_string": b"q=" + text}


KINDS: dict[str, Callable[[random.Random], Scope]] = {
    "a header of 64 KB": _huge_header,
    "a header 1,000 times": _duplicates,
    "random bytes everywhere": _noise,
    "path, query and referrer of 64 KB": _huge_address,
}


def hostile_scopes(kind: str, count: int, seed: int) -> Iterator[Scope]:
    """So many requests of a kind, the same for the same seed."""
    chance = random.Random(f"{kind} {seed}")
    for _ in range(count):
        yield KINDS[kind](chance)


def as_bytes(scope: Scope) -> bytes:
    """A request as a client writes it, with what no server would take out of its headers left out."""
    query = quote(scope["query_string"], safe="=&%/")
    lines = [f"GET {quote(scope['path'], safe='/%', errors='replace')}?{query} HTTP/1.1".encode()]
    lines += [name + b": " + _UNTAKEN.sub(b"", value).strip() for name, value in scope["headers"] if name != b"host"]
    return b"\r\n".join([*lines, b"host: shop.example", b"", b""])


# What regular expressions search slowly: long runs of what begins a match, with an end that doesn't fit.


def bombs() -> Iterator[tuple[str, Scope]]:
    """Where a bomb is, and the request."""
    for size in (512, 8_192, HUGE):
        for number, agent in enumerate(_agents(size)):
            yield f"user agent {number}, {size} bytes", _with([(b"user-agent", agent[:size])])
        for number, cookies in enumerate(_cookies(size)):
            yield f"cookies {number}, {size} bytes", _with([(b"cookie", cookies[:size])])
        for number, text in enumerate(_texts(size)):
            raw = text[:size].encode()
            scope = _with([(b"referer", b"https://partner.example/" + raw)])
            query = b"q=" + raw + b"&utm_term=" + raw
            yield f"text {number}, {size} bytes", {**scope, "path": "/" + text[:size], "query_string": query}


def _agents(size: int) -> Iterator[bytes]:
    windows = b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    yield windows + b"Chrome/1." * size
    yield b"Mozilla/5.0 (" + b"(" * size
    yield b"Mozilla/5.0 (Linux; Android 10; " + b"a " * size
    yield b"Android 1;" + b" aa-aa;" * size
    yield b"HbbTV/" + b"1" * size
    yield b"a/" * size
    yield b" " * size
    yield b"; " * size + b"Build/"
    yield b"0." * size + b"x"
    yield b"bot" * size + b"\xff"
    yield (b"compatible; " * size)[: size - 1] + b"!"
    yield b"http://" * size
    yield b"spider/" + b"-" * size
    yield b"Opera/9.80 (" + b"J2ME/MIDP; " * size


def _cookies(size: int) -> Iterator[bytes]:
    yield b";" * size
    yield b"=" * size
    yield b"a=b; " * size
    yield b"a" * size
    yield b'a="' * size
    yield b" ;" * size
    yield b"__Host-centtrack=" + b"a." * size
    yield b"_ga" * size + b"=1"
    yield b"*[a-z]" * size
    yield b"centtrack=" * size


def _texts(size: int) -> Iterator[str]:
    yield "a@" * size
    yield "a." * size + "@"
    yield "a" * size + "@a." + "a" * size
    yield "://" + "a" * size
    yield "eyJ" * size
    yield "eyJ" + "a" * 500 + ".a" * size
    yield "12 34 " * size
    yield "+7 (" * size
    yield "1 " * size
    yield "1" * size + "a"
    yield "1.1." * size
    yield ":" * size
    yield "a:" * size
    yield "::1" * size
    yield "KZ86 125K ZT50 " * size
    yield "1.2345,1.2345" * size
    yield "43.2°" * size
    yield "key=" * size
    yield "token=" + "a" * size
    yield "a=b&" * size
    yield "Bearer " * size
    yield "S(" + "a" * size
    yield "%2525" * size
    yield "aB1-" * size
    yield "-" * size + "!"
    yield "postcode/" * size
    yield "\u200b1" * size
    yield "/a-" * size + "!"
    yield "aA" * size
