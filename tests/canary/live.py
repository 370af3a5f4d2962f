"""Runs the canary: starts the sites, sends every request to each, and waits until all is delivered."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from canary import site
from canary.configurations import SECRET, Configuration
from canary.plants import Plant, Request
from centtrack.delivery.journal.counters import read_counts
from processes import kill_group
from waiting import eventually

TEAPOT_EVERY = 40  # now and then an answer that one sink rejects, so that there are dead letters
TARGET_SAFE = "/%;@(),:=&+-._~"


def folder_of(root: Path, configuration: Configuration) -> Path:
    """Where everything of one configuration is."""
    return root / configuration.name


def prepare(root: Path, configurations: Iterable[Configuration], **more: Any) -> None:
    """Write the policies and the plan of the process."""
    plans = []
    for one in configurations:
        folder_of(root, one).mkdir()
        (folder_of(root, one) / "privacy.toml").write_text(one.text)
        plan = {"name": one.name, "secret": SECRET, "options": one.options, "rewrites_peer": one.rewrites_peer}
        plans.append({**plan, **one.plan, **more})
    (root / "plan.json").write_text(json.dumps(plans))


@contextlib.contextmanager
def running(root: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, int]]]:
    """The process, and the port of each site; always ended."""
    paths = [str(Path(__file__).parent.parent)]
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}; sys.argv[0] = 'site'\n"
               f"from pathlib import Path\nfrom canary import site\nsite.main(Path({str(root)!r}))"]  # fmt: skip
    with (root / "errors.txt").open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first, (root / "errors.txt").read_text()
        yield process, json.loads(first)
    finally:
        kill_group(process)
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


def run(
    root: Path, configurations: Sequence[Configuration], requests: dict[str, list[tuple[Request, list[Plant]]]]
) -> None:
    """Send all requests, release what is held, wait for delivery, and end the process as an operator would."""
    with running(root) as (process, ports):
        with ThreadPoolExecutor(len(configurations)) as pool:
            jobs = [pool.submit(_send_all, root, one, ports[one.name], requests[one.name]) for one in configurations]
            for job in jobs:
                job.result()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("release\n")
        process.stdin.flush()
        assert process.stdout.readline() == "released\n", (root / "errors.txt").read_text()
        for one in configurations:
            if "blocked" not in one.plan:
                eventually(lambda one=one: _is_delivered(root, one), 60)  # type: ignore[misc]
        process.stdin.write("stop\n")
        process.stdin.flush()
        assert process.wait(120) == 0, (root / "errors.txt").read_text()


def _is_delivered(root: Path, one: Configuration) -> bool:
    counts = read_counts(folder_of(root, one) / "state" / "journal.db")
    assert counts.closes
    return counts.held == 0 and all(sink.pending == 0 for sink in counts.sinks)


def _send_all(root: Path, one: Configuration, port: int, requests: list[tuple[Request, list[Plant]]]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    explained = folder_of(root, one) / "explained.txt"
    with contextlib.closing(connection), explained.open("w") as file:
        for number, (request, _) in enumerate(requests):
            if number % TEAPOT_EVERY == 0:
                request.answer["status"] = site.TEAPOT
            if request.messages is not None:
                _talk(port, request)
                continue
            answer = _send(connection, one, request)
            file.write(answer.getheader("x-centtrack-explain", "") + "\n")


def _target(request: Request) -> str:
    query = "&".join(request.query)
    return request.path + ("?" + query if query else "")


def _headers(one: Configuration, request: Request) -> list[tuple[str, str]]:
    """Those of the request, below what every browser sends."""
    given = {name.lower() for name, _ in request.headers}
    client = request.client
    if one.client_header == "Forwarded":
        client = ", ".join(f'for="{entry.strip()}"' for entry in client.split(","))
    cookies = "; ".join([*filter(None, [one.headers.get("Cookie")]), *request.cookies])
    answer = base64.b64encode(json.dumps(request.answer).encode()).decode()
    plain = {"Host": "shop.example", "User-Agent": request.agent, one.client_header: client, "X-Answer": answer}
    plain |= {**one.headers, "Cookie": cookies}
    return [*((name, value) for name, value in plain.items() if name.lower() not in given and value), *request.headers]


def _send(connection: http.client.HTTPConnection, one: Configuration, request: Request) -> http.client.HTTPResponse:
    connection.putrequest(request.method, _target(request), skip_host=True, skip_accept_encoding=True)
    for name, value in _headers(one, request):
        connection.putheader(name, value.encode())
    if request.body is not None:
        connection.putheader("Content-Length", str(len(request.body)))
    connection.endheaders(request.body)
    response = connection.getresponse()
    response.read()
    if response.status >= 500:
        connection.close()  # as the server does
    return response


def _talk(port: int, request: Request) -> None:
    with connect(f"ws://127.0.0.1:{port}{_target(request)}") as websocket:
        for text in request.messages or ():
            websocket.send(text)
            assert websocket.recv() == text
