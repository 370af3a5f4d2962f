"""No line that we take for one that removes a cookie makes a real browser keep it."""

from __future__ import annotations

import datetime as dt
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from browsers import chromium, opened
from centtrack.consent.set_cookie import read_set_cookie

SOON = dt.datetime.now(dt.UTC) + dt.timedelta(days=100)
VALUES = [
    "0",
    "-1",
    "00",
    "-0",
    "+0",
    "",
    "abc",
    "1",
    "000000000000000000000031536000",
    '"0"',
    "0 0",
    "\t0",
    "0x0",
    "1e3",
]
DATES = [
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Thu, 01-Jan-1970 00:00:00 GMT",
    "Thursday, 01-Jan-1970 00:00:00 UTC",
    "Wed, 01-Jan-69 00:00:00 GMT",
    "Wed, 01-Jan-68 00:00:00 GMT",
    "Thu, 01 Jan 1500 00:00:00 GMT",
    "Thu, 31 Feb 1999 00:00:00 GMT",
    "Thu, 01 Feb 1999 25:00:00 GMT",
    "Thu, 01 Feb 1999 10:00:60 GMT",
    "Thu, 01 Jan 1970 00:00 GMT",
    "Thu Jan  1 00:00:00 1970",
    f"{SOON:%a, %d %b %Y %H:%M:%S} +99999999",
    f"{SOON:%a, %d %b %Y %H:%M:%S} GMT",
    f"{SOON:%a, %d-%b-%y %H:%M:%S} GMT",
    "garbage",
    "",
]
ATTRIBUTES = [
    *(f"Max-Age={value}" for value in VALUES),
    *(f"Max-Age=0; Max-Age={value}" for value in VALUES),
    *(f"Expires={date}" for date in DATES),
    *(f"Expires={DATES[0]}; Expires={date}" for date in DATES),
    *(f"Expires={date}; Max-Age={value}" for date in (DATES[0], DATES[-4]) for value in ("0", "abc", "", "99")),
    *(f"Max-Age=0; Expires={date}" for date in DATES),
    "Max-Age=" + "0" * 1_100,
    f"Expires={DATES[0]}" + " " * 1_100,
    "MAX-AGE=0",
    "max-age\t=\t0",
    "Max-Age\x0b=0",
    "x; Max-Age=0",
]


class Setter(BaseHTTPRequestHandler):
    """Answers `/7` with a cookie of the seventh kind."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        number = self.path.strip("/")
        if number.isdigit():
            self.send_header("set-cookie", f"c{number}=1; Path=/; {ATTRIBUTES[int(number)]}")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address():
    with ThreadingHTTPServer(("127.0.0.1", 0), Setter) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_what_removes_a_cookie_is_never_kept(address):
    with chromium() as browser, opened(browser) as page:
        page.goto(f"{address}/")
        paths = [f"/{number}" for number in range(len(ATTRIBUTES))]
        page.evaluate("paths => Promise.all(paths.map((path) => fetch(path)))", paths)
        kept = {int(cookie["name"][1:]) for cookie in page.context.cookies()}
    removing = {number for number, text in enumerate(ATTRIBUTES) if read_set_cookie(f"c=1; {text}".encode()).expires}
    assert [ATTRIBUTES[number] for number in sorted(kept & removing)] == []
    assert len(kept) > 20
    assert len(removing) > 10
