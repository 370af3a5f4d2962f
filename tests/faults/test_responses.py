"""Rows 20 to 22: clients that leave, streams that are long, apps that raise."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import socket
from collections import Counter
from contextlib import closing

import psutil
import pytest
from websockets.sync.client import connect

from asgi import Wire, body, start
from centtrack import PrivacyPolicy, TelemetryMiddleware
from centtrack.testing import make_scope
from faults.apps import POLICY
from faults.judge import TESTS, CountingSink, IdFile
from faults.table import LONG
from servers import Site, uvicorn
from waiting import eventually

pytestmark = pytest.mark.usefixtures("unhurried")
CANCELLED = 2_000 if LONG else 200
LEAVING = 300 if LONG else 30
CHUNK = 1_000_000
CHUNKS = 1_000 if LONG else 50
SAID = 10_000 if LONG else 1_000
MAY_GROW = 16_000_000  # bytes: far less than the stream, far more than a server's buffers
MODES = ["relaxed", "confirmed"]

STREAMING = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute
from centtrack import TelemetryMiddleware
from faults.judge import IdFile
from faults.test_responses import CHUNKS, chunk

async def chunks():
    for number in range(CHUNKS):
        yield chunk(number)

async def said():
    for number in range({said}):
        yield f"id: {{number}}\\ndata: {{number * number}}\\n\\n"

async def endless():
    while True:
        yield b"x" * 1_000
        await asyncio.sleep(0.001)

async def echo(websocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)

async def stream(request):
    made = {{"stream": chunks, "said": said}}.get(request.path_params["what"], endless)
    return StreamingResponse(made(), media_type="text/event-stream" if made is said else "application/octet-stream")

app = Starlette(routes=[Route("/{{what}}", stream), WebSocketRoute("/echo/{{number}}", echo)])
app.add_middleware(
    TelemetryMiddleware, policy="privacy.toml", sink=IdFile("ids.txt"), journal="state/journal.db", mode={mode!r}
)
"""


def chunk(number: int) -> bytes:
    """A piece of the stream, each another one."""
    return hashlib.sha256(str(number).encode()).digest() * (CHUNK // 32)


@pytest.fixture
def streaming(tmp_path, mode):
    """A site that streams."""
    return Site(tmp_path, policy=POLICY, app=STREAMING.format(tests=str(TESTS), said=SAID, mode=mode))


def behind(app, tmp_path, **options):
    """An app behind the middleware, and the sink that counts."""
    sink = CountingSink()
    settings = {"policy": PrivacyPolicy.parse(POLICY), "sink": sink, "journal": tmp_path / "journal.db", **options}
    return TelemetryMiddleware(app, **settings), sink


def delivered(folder) -> Counter[str]:
    """Path → events that a site's sink got."""
    return IdFile(folder / "ids.txt").paths()


def wait_for(folder, events) -> None:
    """Wait until the sink has so many: a server that ends at once may end before the first is made."""
    eventually(lambda: delivered(folder).total() >= events)


def finish(app) -> None:
    """Deliver all."""
    assert app.pipeline.flush(60)
    asyncio.run(app.aclose())


@pytest.mark.parametrize("mode", MODES)
def test_cancelled_tasks(tmp_path, mode, row):
    """Each is cancelled after another number of steps: before the start, while it streams, while it waits."""

    async def app(_scope, _receive, send):
        await asyncio.sleep(0)
        await send(start())
        for _ in range(4):
            await asyncio.sleep(0)
            await send(body(b"x", more=True))
        await send(body())
        await asyncio.Event().wait()

    async def cancel(steps):
        wire = Wire()
        task = asyncio.create_task(recorded(make_scope(f"/{steps}"), wire.receive, wire.send))
        for _ in range(1 + steps % 9):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        return task.cancelled(), len(wire.sent)

    async def main():
        return [await cancel(steps) for steps in range(CANCELLED)]

    recorded, sink = behind(app, tmp_path, mode=mode)
    outcomes = asyncio.run(main())
    finish(recorded)
    assert all(was_cancelled for was_cancelled, _ in outcomes)
    assert len({sent for _, sent in outcomes}) > 4  # at different moments
    assert Counter({f"/{number}": 1 for number in range(CANCELLED)}) == sink.paths
    row(20, f"tasks cancelled, {mode}", requests=CANCELLED, events=sink.verdict.distinct, doubled=sink.verdict.doubled)


@pytest.mark.parametrize("mode", MODES)
def test_clients_that_leave(tmp_path, streaming, mode, row):
    """Some in the middle of an endless answer, some right after they asked; with a reset, or in good order."""
    with uvicorn(streaming) as server:
        for number in range(LEAVING):
            with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as client:
                client.sendall(f"GET /{number} HTTP/1.1\r\nHost: shop.example\r\n\r\n".encode())
                if number % 3:
                    assert client.recv(100)
                if number % 2:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # ends with a reset
        answer = read(server.port, "/said")
        wait_for(tmp_path, LEAVING + 1)
        server.stop()
    paths = delivered(tmp_path)
    assert answer.status == 200
    assert Counter({f"/{number}": 1 for number in range(LEAVING)} | {"/said": 1}) == paths
    row(20, f"clients of uvicorn that leave, {mode}", requests=LEAVING + 1, events=paths.total(), doubled=0)


class Answer:
    """What a client reads: its status, and a digest of the body."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.size = 0
        self.digest = hashlib.sha256()
        self.pieces = 0

    def add(self, data: bytes) -> None:
        self.size += len(data)
        self.pieces += 1
        self.digest.update(data)


def read(port: int, path: str, look=lambda: None) -> Answer:
    """Read an answer piece by piece, and look at something after each."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        answer = Answer(response.status)
        while data := response.read1(CHUNK):
            answer.add(data)
            look()
    return answer


@pytest.mark.parametrize("mode", MODES)
def test_long_streams(tmp_path, streaming, mode, row):
    with uvicorn(streaming) as server:
        process, sizes = psutil.Process(server.process.pid), []
        read(server.port, "/said")
        wait_for(tmp_path, 1)  # so that all is loaded that an event needs
        stream = read(server.port, "/stream", lambda: sizes.append(process.memory_info().rss))
        said = read(server.port, "/said")
        wait_for(tmp_path, 3)
        server.stop()
    expected = hashlib.sha256()
    for number in range(CHUNKS):
        expected.update(chunk(number))
    events = "".join(f"id: {number}\ndata: {number * number}\n\n" for number in range(SAID)).encode()
    assert (stream.size, stream.digest.digest()) == (CHUNK * CHUNKS // 32 * 32, expected.digest())
    assert (said.size, said.digest.digest()) == (len(events), hashlib.sha256(events).digest())
    begun = len(sizes) // 5  # until the buffers are as large as they get
    grown = max(sizes[begun:]) - max(sizes[:begun])
    assert grown < MAY_GROW
    assert delivered(tmp_path) == Counter({"/said": 2, "/stream": 1})
    row(21, f"a stream, {mode}", MB=stream.size / 1e6, different_bytes=0, memory_grown_MB=grown / 1e6)
    row(21, f"server-sent events, {mode}", events=SAID, different_bytes=0)


@pytest.mark.parametrize("mode", MODES)
def test_websockets(tmp_path, streaming, mode, row):
    texts = [f"message {number} қ" for number in range(100)]
    with uvicorn(streaming) as server:
        with connect(f"ws://127.0.0.1:{server.port}/echo/1") as client:
            for text in texts:
                client.send(text)
            heard = [client.recv(timeout=30) for _ in texts]
        wait_for(tmp_path, 1)
        server.stop()
    assert heard == texts
    assert delivered(tmp_path) == Counter({"/echo/1": 1})
    row(21, f"a WebSocket, {mode}", messages=len(texts), different=0)


HINT = {"type": "http.response.early_hint", "links": [b"</style.css>"]}
TRAILERS = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": False}
ANSWERS = {
    "pathsend": [start(content_length="9"), {"type": "http.response.pathsend", "path": "/srv/a"}],
    "zerocopysend": [start(), {"type": "http.response.zerocopysend", "file": 3, "more_body": False}],
    "trailers": [{**start(), "trailers": True}, body(b"abc", more=True), body(), TRAILERS],
    "unknown messages": [HINT, {"type": "http.future"}, start(), {"type": "http.push"}, body(memoryview(b"a"))],
    "a refused WebSocket": [
        {"type": "websocket.http.response.start", "status": 401, "headers": []},
        {"type": "websocket.http.response.body", "body": b"no"},
    ],
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_each_message_passes_as_it_is_and_at_once(tmp_path, mode, row):
    """The same object has reached the server when the app goes on."""
    for number, messages in enumerate(ANSWERS.values()):
        wire = Wire()

        async def app(_scope, _receive, send, wire=wire, messages=messages):
            for message in messages:
                await send(message)
                assert wire.sent[-1] is message

        folder = tmp_path / str(number)
        recorded, sink = behind(app, folder, mode=mode)
        wire.serve(recorded, make_scope())
        finish(recorded)
        assert len(wire.sent) == len(messages)
        assert sink.verdict.distinct == 1
    sent = sum(map(len, ANSWERS.values()))
    row(21, f"{', '.join(ANSWERS)}; {mode}", messages=sent, different=0, held_back=0)


class AppError(Exception):
    """What an app raises."""


MOMENTS = {
    "before the start": ((), 500),
    "after the start": ((start(202),), 202),
    "in the middle": ((start(202), body(b"abc", more=True)), 202),
    "after the end": ((start(200), body(b"abc")), 200),
}
RAISED = [AppError("mine"), OSError("mine"), RuntimeError(), ExceptionGroup("mine", [AppError()]), RecursionError()]


@pytest.mark.parametrize("mode", MODES)
def test_apps_that_raise(tmp_path, mode, row):
    class Told(CountingSink):
        def write(self, batch):
            statuses.update(event.status for event in batch)
            super().write(batch)

    async def app(scope, _receive, send):
        messages, error = cases[int(scope["path"][1:])]
        for message in messages:
            await send(message)
        raise error

    statuses: Counter[int] = Counter()
    cases = [(messages, error) for messages, _ in MOMENTS.values() for error in RAISED]
    recorded, _ = behind(app, tmp_path, mode=mode, sink=(sink := Told()))
    for number, (messages, error) in enumerate(cases):
        wire = Wire()
        with pytest.raises(type(error)) as caught:
            wire.serve(recorded, make_scope(f"/{number}"))
        assert caught.value is error
        assert wire.sent == list(messages)
    finish(recorded)
    assert Counter({f"/{number}": 1 for number in range(len(cases))}) == sink.paths
    assert statuses == Counter({500: len(RAISED), 202: 2 * len(RAISED), 200: len(RAISED)})
    row(
        22,
        f"{len(RAISED)} kinds of exceptions at {len(MOMENTS)} moments, {mode}",
        requests=len(cases),
        same_object=len(cases),
        events=sink.verdict.distinct,
        wrong_status=0,
    )


def test_the_server_answers_500(tmp_path, row):
    """uvicorn does, once the exception has reached it."""
    told = "async def app(scope, receive, send):\n    raise ValueError\n"
    wrapped = (
        f"import sys\nsys.path.insert(0, {str(TESTS)!r})\nfrom centtrack import TelemetryMiddleware\n"
        f"from faults.judge import IdFile\n{told}"
        'app = TelemetryMiddleware(app, policy="privacy.toml", sink=IdFile("ids.txt"), journal="state/journal.db")\n'
    )
    with uvicorn(Site(tmp_path, policy=POLICY, app=wrapped)) as server:
        assert [read(server.port, "/a").status for _ in range(3)] == [500] * 3
        wait_for(tmp_path, 3)
        server.stop()
    assert delivered(tmp_path) == Counter({"/a": 3})
    row(22, "an app under uvicorn that raises", requests=3, answered_500=3, events=3)
