"""How long answers take with the middleware and without: milliseconds, on this machine.

Over sockets, from uvicorn, at a steady rate: the bare app, the app with the middleware, and the same with a sink that
takes a tenth of the load and a journal that is full of what waits for it. In process: what hostile requests and
regular-expression bombs cost the thread of the event loop and the recorder's. Exit codes: 0 all targets are met, 1 one
isn't, 3 something did not do its work.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from overhead import SITE, calls, verdict, write_geo
from stalls import measure_hostile, show_costs

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import centtrack
from faults.client import Load, load
from faults.hostile import KINDS, as_bytes, hostile_scopes
from faults.loaded import LoadedSite
from servers import Server, uvicorn

BARE, WITH, FULL = "bare app", "centtrack", "centtrack, journal full"
ADDED_MS, LOOP_MS, BOMB_MS = 1.0, 1.0, 5.0  # targets
FULL_BYTES = 2_000_000
HOSTILE_RATE = 10  # a second
_CENT = Path(centtrack.__file__).with_name("policy") / "profiles" / "cent.toml"


def policy_text(geo: Path) -> str:
    """The profile `cent`, with a geo database and a registry of cookies."""
    return (
        _CENT.read_text().replace("[geo]", f'[geo]\ndatabases = ["{geo}"]')
        + f"""
[controller]
name = "Insurance"
site = ["{SITE}"]
[[cookies]]
name = "session"
category = "necessary"
[[cookies]]
name = "_ga*"
category = "analytics"
"""
    )


# Over sockets.


def requests_of(amount: int, seed: int) -> list[bytes]:
    """Requests as a client writes them."""
    return [
        b"GET %s%s HTTP/1.1\r\n%s\r\n\r\n" % (call.path.encode(), b"?" + call.query if call.query else b"", call.head)
        for call in calls(amount, seed)
    ]


@contextlib.contextmanager
def serving(site: LoadedSite, **variables: object) -> Iterator[Server]:
    """A server of a site, whose app is told by variables how it is to be."""
    names = {name: str(value) for name, value in variables.items()}
    os.environ.update(names)
    try:
        with uvicorn(site, "--http", "h11", "--h11-max-incomplete-event-size", "1000000") as server:
            for name in names:
                del os.environ[name]
            yield server
    finally:
        for name in names:
            os.environ.pop(name, None)


class Steady(NamedTuple):
    """Answers at a steady rate. Of each round one figure; differences are taken within a round."""

    p50_ms: dict[str, list[float]]
    p99_ms: dict[str, list[float]]
    failed: int
    complaints: list[str]

    def with_round(self, variant: str, answers: Load) -> Steady:
        """The same, with one more round of a variant."""
        self.p50_ms[variant].append(1_000 * answers.percentile(0.5))
        self.p99_ms[variant].append(1_000 * answers.percentile(0.99))
        return self._replace(failed=self.failed + answers.failed)

    def added(self, variant: str, to: str) -> float:
        """What a variant adds to the 99th percentile of another, in milliseconds: the median of all rounds."""
        return statistics.median(
            mine - theirs for mine, theirs in zip(self.p99_ms[variant], self.p99_ms[to], strict=True)
        )


def measure_steady(folder: Path, policy: str, rate: int, seconds: float, rounds: int) -> Steady:
    """Variants take turns in rounds, who begins rotates; a first round only warms, and fills the journal."""
    sites = {name: LoadedSite(folder / name, policy) for name in (BARE, WITH, FULL)}
    steady = Steady({name: [] for name in sites}, {name: [] for name in sites}, 0, [])
    slow = {"SLOW_SINK": 1, "MAX_BYTES": FULL_BYTES}
    with serving(sites[BARE], BARE=1) as bare, serving(sites[WITH]) as ours, serving(sites[FULL], **slow) as full:
        servers = {BARE: bare, WITH: ours, FULL: full}
        fill(full, sites[FULL], rate)
        for number in range(rounds + 1):
            requests = requests_of(int(rate * seconds), number)
            for place in range(len(servers)):
                name = list(servers)[(number + place) % len(servers)]
                answers = asyncio.run(load(servers[name].port, requests, per_second=rate))
                steady = steady.with_round(name, answers) if number else steady
        for server in servers.values():
            server.stop()
    complaints = [*complaints_of(sites, (rounds + 1) * int(rate * seconds))]
    return steady._replace(complaints=complaints)


def measure_bystanders(folder: Path, policy: str, options: argparse.Namespace) -> Steady:
    """Answers at a steady rate, while hostile requests come to the same server."""
    sites = {name: LoadedSite(folder / f"{name}, hostile", policy) for name in (BARE, WITH)}
    found = Steady({name: [] for name in sites}, {name: [] for name in sites}, 0, [])
    with serving(sites[BARE], BARE=1) as bare, serving(sites[WITH]) as ours:
        servers = {BARE: bare, WITH: ours}
        for number in range(options.rounds + 1):
            requests = requests_of(int(options.rate * options.seconds), number)
            bad = list(hostile_requests(int(HOSTILE_RATE * options.seconds), number))
            for name in sorted(servers, reverse=bool(number % 2)):
                answers = asyncio.run(ask_both(servers[name].port, requests, options.rate, bad))
                found = found.with_round(name, answers) if number else found
        for server in servers.values():
            server.stop()
    return found


def hostile_requests(amount: int, seed: int) -> Iterator[bytes]:
    """So many, of all kinds by turns."""
    kinds = [hostile_scopes(kind, amount, seed) for kind in KINDS]
    for number in range(amount):
        yield as_bytes(next(kinds[number % len(kinds)]))


async def ask_both(port: int, requests: Sequence[bytes], rate: int, bad: Sequence[bytes]) -> Load:
    """Send both kinds; how the good ones were answered. The server itself may refuse the others."""
    good, _ = await asyncio.gather(
        load(port, requests, per_second=rate), load(port, bad, connections=2, per_second=HOSTILE_RATE)
    )
    return good


def fill(server: Server, site: LoadedSite, rate: int) -> None:
    """Visit until the journal is full."""
    deadline = time.monotonic() + 120
    while "journal_full" not in site.totals() and time.monotonic() < deadline:
        asyncio.run(load(server.port, requests_of(rate, 0), per_second=rate))
        time.sleep(0.1)


def complaints_of(sites: dict[str, LoadedSite], requests: int) -> Iterator[str]:
    """What the variants didn't do of their work."""
    totals = sites[WITH].totals()
    if totals != {"offered": requests, "accepted": requests}:
        yield f"{WITH}: of {requests} requests: {totals}"
    totals = sites[FULL].totals()
    if not totals.get("journal_full") or totals["offered"] != sum(totals.values()) - totals["offered"]:
        yield f"{FULL}: {totals}"


# The figures.


def show_steady(steady: Steady, options: argparse.Namespace, company: str = "") -> None:
    """Print a table of answers."""
    rounds = f"{options.rounds} rounds of {options.seconds:g} s"
    print(f"ms, {options.rate} requests a second{company}; medians of {rounds}\n")
    print(f"{'variant':<28}{'p50':>8}{'p99':>8}{'lowest to highest p99':>26}")
    for name, p99 in steady.p99_ms.items():
        spread = f"{min(p99):.2f} to {max(p99):.2f}"
        print(f"{name:<28}{statistics.median(steady.p50_ms[name]):>8.2f}{statistics.median(p99):>8.2f}{spread:>26}")


def run(folder: Path, options: argparse.Namespace) -> int:
    """Measure, print, judge."""
    write_geo(folder / "geo.mmdb")
    policy = policy_text(folder / "geo.mmdb")
    steady = measure_steady(folder, policy, options.rate, options.seconds, options.rounds)
    bystanders = measure_bystanders(folder, policy, options)
    kinds, thrown = measure_hostile(policy, options.hostile)
    figures = [
        ("p99 that the middleware adds, ms", steady.added(WITH, BARE), ADDED_MS),
        ("p99 that a full journal adds to that, ms", steady.added(FULL, WITH), ADDED_MS),
        ("p99 that it adds beside hostile requests, ms", bystanders.added(WITH, BARE), ADDED_MS),
        ("hostile requests: the event loop's thread, ms", max(cost.loop_ms for cost in [*kinds, *thrown]), LOOP_MS),
        ("hostile requests: the recorder's thread, ms", max(cost.recorder_ms for cost in kinds), LOOP_MS),
        ("bombs: the recorder's thread, ms", max(cost.recorder_ms for cost in thrown), BOMB_MS),
    ]
    if options.json:
        costs = [cost._asdict() for cost in (*kinds, *thrown)]
        tables = {"steady": steady._asdict(), "bystanders": bystanders._asdict(), "costs": costs}
        print(json.dumps({**tables, "figures": figures}, indent=2))
    else:
        show_steady(steady, options)
        show_steady(bystanders, options, f" beside {HOSTILE_RATE} hostile ones")
        show_costs(kinds, thrown)
        print()
        for name, figure, target in figures:
            print(f"{name:<50}{figure:>7.2f}, target {target:g} {verdict(figure, target)}")
    for complaint in steady.complaints:
        print(complaint, file=sys.stderr)
    failed = steady.failed + bystanders.failed
    if steady.complaints or failed:
        print(f"{failed} requests failed", file=sys.stderr)
        return 3
    return int(any(figure > target for _, figure, target in figures))


def main() -> int:
    """Read the options and run in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="how often each variant is measured (10)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long a round takes (5)")
    parser.add_argument("--rate", type=int, default=300, help="requests a second (300)")
    parser.add_argument("--hostile", type=int, default=2_000, help="hostile requests of each kind (2000)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the tables")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="centtrack-latency-") as folder:
        return run(Path(folder), options)


if __name__ == "__main__":
    sys.exit(main())
