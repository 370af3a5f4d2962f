"""What hostile requests cost, in process: the thread of the event loop, and the recorder's."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from centtrack import PrivacyPolicy, TelemetryMiddleware
from centtrack.capture.capture import Capture
from centtrack.capture.client import TrustedProxies
from centtrack.capture.observation import Observation
from centtrack.testing import MemorySink
from faults.hostile import KINDS, Scope, bombs, hostile_scopes

RUNS = 3
Probe = tuple[float, float]
"""CPU milliseconds of one request: in the thread of the event loop, in the recorder's."""


class Cost(NamedTuple):
    """CPU time of the dearest request of a kind, in milliseconds."""

    name: str
    requests: int
    loop_ms: float
    recorder_ms: float


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_message: dict[str, Any]) -> None:
    pass


async def _app(_scope: Scope, _receive: object, send: Callable[[dict[str, Any]], Any]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": b"x"})


def cpu_ms(work: Callable[[], object]) -> float:
    """CPU milliseconds of this thread."""
    started = time.thread_time()
    work()
    return 1_000 * (time.thread_time() - started)


def observation_of(scope: Scope) -> Observation:
    """What the recorder's thread gets of a request."""
    return Observation(
        protocol="http", peer="203.0.113.77", headers=scope["headers"], time=time.time(), path=scope["path"],
        query=scope["query_string"], method="GET", status=200, content_type="text/html", response_bytes=1,
        duration_s=0.001,
    )  # fmt: skip


class Prober:
    """Sends requests through the middleware, and through capture, in this thread."""

    def __init__(self, policy: PrivacyPolicy, journal: Path) -> None:
        self.middleware = TelemetryMiddleware(
            _app, policy=policy, sink=MemorySink(), journal=journal, trusted_proxies=1, secret="s" * 32
        )
        self.capture = Capture(policy, TrustedProxies(1))
        self.capture.warm()

    def probe(self, scopes: Iterable[Scope]) -> list[Probe]:
        """Each request once: caches would know it the second time."""
        found = []
        for scope in scopes:
            recorder = cpu_ms(partial(self.capture.capture, observation_of(scope)))
            found.append((cpu_ms(partial(self._serve, scope)), recorder))
            if len(found) % 50 == 0:
                self.flush()
        self.flush()
        return found

    def _serve(self, scope: Scope) -> None:
        """Without a loop: nothing of it waits."""
        with contextlib.suppress(StopIteration):
            self.middleware(scope, _receive, _send).send(None)

    def flush(self) -> None:
        """Let the recorder commit, so that its queue isn't full."""
        if self.middleware.pipeline is None:
            raise RuntimeError(str(self.middleware.problem))
        self.middleware.pipeline.flush(60)

    def close(self) -> None:
        """End the threads."""
        asyncio.run(self.middleware.aclose())


def probe_all(policy: str, amount: int) -> dict[str, list[Probe]]:
    """Probe so many requests of each hostile kind, and each bomb, in a process that saw none of them before."""
    with tempfile.TemporaryDirectory(prefix="centtrack-stalls-") as folder:
        prober = Prober(PrivacyPolicy.parse(policy), Path(folder) / "journal.db")
        prober.probe(hostile_scopes("random bytes everywhere", 20, seed=1))  # loads what is loaded late
        gc.collect()
        gc.freeze()
        gc.disable()
        found = {kind: prober.probe(hostile_scopes(kind, amount, seed=2)) for kind in KINDS}
        found |= {name: prober.probe([scope]) for name, scope in bombs()}
        prober.close()
    return found


def measure_hostile(policy: str, amount: int) -> tuple[list[Cost], list[Cost]]:
    """The dearest request of each hostile kind, and each bomb. Of a request the best of some processes counts."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        runs = list(pool.map(probe_all, [policy] * RUNS, [amount] * RUNS))
    costs = {}
    for name in runs[0]:
        best = [tuple(map(min, zip(*probes, strict=True))) for probes in zip(*(run[name] for run in runs), strict=True)]
        costs[name] = Cost(name, len(best), *map(max, zip(*best, strict=True)))
    return [costs[kind] for kind in KINDS], [cost for name, cost in costs.items() if name not in KINDS]


def show_costs(kinds: Sequence[Cost], thrown: Sequence[Cost]) -> None:
    """Print what the dearest requests cost."""
    print(f"\n{'CPU ms of the dearest request':<40}{'requests':>9}{'loop':>9}{'recorder':>10}")
    dearest = sorted(thrown, key=lambda cost: -(cost.loop_ms + cost.recorder_ms))[:5]
    for cost in [*kinds, *dearest]:
        print(f"{cost.name:<40}{cost.requests:>9}{cost.loop_ms:>9.3f}{cost.recorder_ms:>10.3f}")
