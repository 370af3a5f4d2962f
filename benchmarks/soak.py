"""Full load for minutes: memory, descriptors and threads of the server, its journal, and the rate of answers.

Uvicorn with two workers; a counting sink keeps the ids of events and is the judge. Each second is sampled into a CSV
file and drawn into a plot. Exit codes: 0 memory, descriptors and threads are flat, 1 one isn't, 3 a request failed or
an event is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import matplotlib as mpl
from matplotlib.figure import Figure

from latency import policy_text, requests_of
from overhead import verdict, write_geo

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from faults.client import Load, load
from faults.loaded import LoadedSite, usage_of
from servers import Server, uvicorn
from waiting import eventually

IMAGE = Path(__file__).parent.parent / "docs/images/soak.svg"
WORKERS = 2
SHORTEST = 10  # seconds
CHUNK = 2_000  # requests between looks at the clock
GROWTH = 0.05  # of memory, from the second fifth of the time to the last: what counts as flat


class Sample(NamedTuple):
    """One second.

    Attributes:
        seconds: since the load began.
        per_second: requests that were recorded since the sample before.
        rss_mb: memory of all processes of the server.
        descriptors: of all these.
        threads: of all these.
        journal_mb: size of the database and its write-ahead log.
        pending: events that wait for the sink.
        dropped: events so far that weren't accepted.
    """

    seconds: float
    per_second: float
    rss_mb: float
    descriptors: int
    threads: int
    journal_mb: float
    pending: int
    dropped: int


class Sampler:
    """Takes a sample a second, from a thread of its own, until the end of the block.

    Attributes:
        samples: all so far.
    """

    def __init__(self, server: Server, site: LoadedSite) -> None:
        self.samples: list[Sample] = []
        self._server, self._site = server, site
        self._started, self._offered, self._at = time.monotonic(), 0, time.monotonic()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._is_over.wait(max(0.0, self._at + 1 - time.monotonic())):
            self.samples.append(self._sample())

    def _sample(self) -> Sample:
        usage, totals, now = usage_of(self._server), self._site.totals(), time.monotonic()
        offered = totals["offered"]
        per_second = (offered - self._offered) / (now - self._at)
        self._offered, self._at = offered, now
        return Sample(
            now - self._started,
            per_second,
            usage.rss / 1e6,
            usage.descriptors,
            usage.threads,
            self._journal_size() / 1e6,
            sum(sink.pending for sink in self._site.counts().sinks),
            sum(totals.values()) - offered - totals["accepted"],
        )

    def _journal_size(self) -> int:
        files = (self._site.folder / "state" / name for name in ("journal.db", "journal.db-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(10)


class Outcome(NamedTuple):
    """What came of the load."""

    samples: list[Sample]
    answered: int
    failed: int
    totals: dict[str, int]
    delivered: int
    doubled: int

    @property
    def complaint(self) -> str:
        """What is wrong with the counts; empty if nothing is."""
        if self.failed or self.totals["offered"] != self.answered:
            return f"of {self.answered + self.failed} requests {self.failed} failed, and {self.totals} were recorded"
        if self.delivered != self.totals["accepted"] or self.doubled:
            return f"of {self.totals['accepted']} events {self.delivered} arrived, and {self.doubled} twice"
        return ""


def soak(folder: Path, seconds: float, connections: int) -> Outcome:
    """Load, sample, and compare what arrived."""
    write_geo(folder / "geo.mmdb")
    site = LoadedSite(folder / "site", policy_text(folder / "geo.mmdb"))
    requests = requests_of(CHUNK, seed=0)
    found: list[Load] = []
    with uvicorn(site, "--workers", str(WORKERS)) as server:

        def visit(some: Sequence[bytes]) -> None:
            found.append(asyncio.run(load(server.port, some, connections=connections)))

        visit(requests[:100])
        eventually(site.accepted)  # there is a journal
        with Sampler(server, site) as sampler:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                visit(requests)
        site.wait_for_delivery()
        server.stop()
    answered, failed = sum(one.answered for one in found), sum(one.failed for one in found)
    ids = site.ids.ids()
    return Outcome(sampler.samples, answered, failed, site.totals(), len(ids), ids.total() - len(ids))


# What is flat, and the plot.


def growth(samples: Sequence[Sample], name: str) -> float:
    """How much a figure grew, as a share, from the second fifth of the time to the last.

    Of memory the medians are compared, of what is counted the largest: a file is open only while it is written.
    """
    values = [getattr(sample, name) for sample in samples]
    fifth, choose = len(values) // 5, max if isinstance(values[0], int) else statistics.median
    return float(choose(values[-fifth:]) / choose(values[fifth : 2 * fifth]) - 1)


def write_csv(samples: Sequence[Sample], path: Path) -> None:
    """All samples, one a line."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Sample._fields)
        writer.writerows([round(value, 3) for value in sample] for sample in samples)


PANELS = (
    ("requests a second", ("per_second",)),
    ("memory, MB", ("rss_mb",)),
    ("descriptors, threads", ("descriptors", "threads")),
    ("journal, MB", ("journal_mb",)),
)


def draw(samples: Sequence[Sample], path: Path, title: str) -> None:
    """One panel above the other, over the same seconds."""
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "soak", "font.family": "sans-serif", "font.size": 9})
    figure = Figure(figsize=(7, 7), layout="constrained")
    panels = figure.subplots(len(PANELS), 1, sharex=True)
    seconds = [sample.seconds for sample in samples]
    for axes, (label, names) in zip(panels, PANELS, strict=True):
        for name in names:
            axes.plot(seconds, [getattr(sample, name) for sample in samples], linewidth=1, label=name)
        axes.set_ylim(0, 1.2 * max(getattr(sample, name) for name in names for sample in samples))
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend(loc="center right", frameon=False)
    panels[-1].set_xlabel("seconds")
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def tell(outcome: Outcome) -> bool:
    """Print the figures; whether all of them are flat."""
    samples, totals = outcome.samples, outcome.totals
    rate = statistics.median(sample.per_second for sample in samples)
    dropped = sum(totals.values()) - totals["offered"] - totals["accepted"]
    print(f"{outcome.answered} answers, {rate:.0f} a second, {outcome.failed} failed")
    print(f"{totals['accepted']} accepted, {dropped} dropped, {outcome.delivered} delivered, {outcome.doubled} twice")
    print(f"at most {max(sample.journal_mb for sample in samples):.1f} MB of journal\n")
    is_flat = True
    for name, most in (("rss_mb", GROWTH), ("descriptors", 0.0), ("threads", 0.0)):
        grown, last = growth(samples, name), getattr(samples[-1], name)
        is_flat = is_flat and grown <= most
        print(f"{name:<12}{last:>8.0f} at the end, grew by {grown:+.1%}: target {most:.0%} {verdict(grown, most)}")
    return is_flat


def main() -> int:
    """Read the options and run in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="how long the load lasts (600)")
    parser.add_argument("--connections", type=int, default=16, help="requests at once (16)")
    parser.add_argument("--csv", type=Path, help="where the samples go; default: they aren't kept")
    parser.add_argument("--plot", type=Path, default=IMAGE, help="where the plot goes (docs/images/soak.svg)")
    options = parser.parse_args()
    if options.seconds < SHORTEST:
        parser.error(f"--seconds: at least {SHORTEST}, or there is nothing to compare")
    with tempfile.TemporaryDirectory(prefix="centtrack-soak-") as folder:
        outcome = soak(Path(folder), options.seconds, options.connections)
    if options.csv:
        write_csv(outcome.samples, options.csv)
    draw(outcome.samples, options.plot, f"{WORKERS} workers of uvicorn at full load")
    is_flat = tell(outcome)
    if outcome.complaint:
        print(outcome.complaint, file=sys.stderr)
        return 3
    return 0 if is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
