"""The judge's process: counts the events of batches that are posted to it. Commands come by standard input."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec


class _Seen(msgspec.Struct):
    event_id: str


_decoder = msgspec.json.Decoder(_Seen)


class _Court:
    """What arrived, and what is done with what arrives."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ids: Counter[str] = Counter()
        self.arrivals: list[tuple[float, int]] = []
        self.attempts = 0
        self._how, self._times, self._text = "take", -1, ""

    def behave(self, how: str, times: int, text: str) -> None:
        with self.lock:
            self._how, self._times, self._text = how, times, text

    def next_behaviour(self) -> tuple[str, str]:
        with self.lock:
            self.attempts += 1
            if self._times == 0:
                return "take", ""
            self._times -= 1
            return self._how, self._text

    def take(self, body: bytes) -> int:
        found = [event.event_id for event in _decoder.decode_lines(body)]
        with self.lock:
            self.ids.update(found)
            self.arrivals.append((time.monotonic(), len(found)))
        return len(found)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    court: _Court

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        how, text = self.court.next_behaviour()
        if how == "hang":
            self.rfile.read(1)  # until the other side gives up
        elif how == "drop":
            self.court.take(body)
        elif how in {"401", "429"} or (how == "400" and text.encode() in body):
            self._answer(int(how), text)
        else:
            count = self.court.take(body)
            if how == "slow":
                time.sleep(count / float(text))
            self._answer(200, "")
        self.close_connection = True

    def _answer(self, status: int, text: str) -> None:
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", text)
            self.send_header("Content-Length", "7")
            self.end_headers()
            self.wfile.write(b"so be it"[:7])

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        pass  # clients are killed all the time


class _Door:
    """The listening socket: open, or closed on the same port."""

    def __init__(self, handler: type[_Handler]) -> None:
        self._handler = handler
        self._server: _Server | None = None
        self.port = 0
        self.open()

    def open(self) -> None:
        if self._server is None:
            self._server = _Server(("127.0.0.1", self.port), self._handler)
            self.port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()


def _obey(words: list[str], court: _Court, door: _Door) -> dict[str, object]:
    command, *arguments = words
    if command == "behave":
        court.behave(arguments[0], int(arguments[1]), arguments[2])
        (door.close if arguments[0] == "refuse" else door.open)()
        return {}
    with court.lock:
        if command == "ids":
            return {"ids": dict(court.ids)}
        if command == "arrivals":
            return {"arrivals": court.arrivals}
        return {
            "delivered": court.ids.total(),
            "distinct": len(court.ids),
            "batches": len(court.arrivals),
            "attempts": court.attempts,
        }


def _main() -> None:
    court = _Court()
    door = _Door(type("Handler", (_Handler,), {"court": court}))
    print(json.dumps({"port": door.port}), flush=True)  # noqa: T201 - the answer
    for line in sys.stdin:
        print(json.dumps(_obey(json.loads(line), court, door)), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    _main()
