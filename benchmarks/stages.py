"""What the stages behind the request take: the journal, the delivery out of it, and a consumer that feeds a sink.

All of it in this process, under the policy that recorded the events, with the sinks of `sinks.py`. There are no
targets: the figures are for sizing. Exit codes: 0, or 3 if events are missing.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import journals
from centtrack import Event
from centtrack.consuming.feeder import Feeder
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.records import Limits
from centtrack.delivery.sending.deliverer import Deliverer
from centtrack.policy import PrivacyPolicy
from centtrack.sinks import Batch, Sink, open_sink
from sink_events import lines_of, make_events, recording_policy
from sink_targets import ClickHouse, Delta, Kafka, Target
from waiting import eventually

ROW = 50  # events that a recorder commits at once: those of 10 ms, at 5,000 a second
SMALL = 100  # events of a small batch
WITHIN_S = 300.0
_LIMITS = Limits(max_bytes=4_000_000_000)


class MissingEventsError(Exception):
    """Not all events came to the end of a stage."""


class Stage(NamedTuple):
    """A line of the table; medians of all rounds.

    Attributes:
        stage: what is measured.
        per_second: events.
        cpu_us: CPU time of this process an event, all threads, in microseconds.
    """

    stage: str
    per_second: int
    cpu_us: float


class Cost(NamedTuple):
    """Of one round: seconds, and CPU seconds."""

    wall_s: float
    cpu_s: float


class Discarding:
    """Takes all and keeps nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def write(self, events: Sequence[Event]) -> None:
        """Take a batch."""


def time_of(work: Callable[[], None]) -> Cost:
    """What it costs."""
    gc.collect()
    started, cpu_s = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - started, time.process_time() - cpu_s)


@contextlib.contextmanager
def opened(folder: Path, *sinks: str) -> Iterator[Journal]:
    """A new journal for some sinks."""
    journal = Journal(folder / "journal.sqlite", limits=_LIMITS)
    journal.open()
    try:
        for sink in sinks:
            journal.register(sink)
        yield journal
    finally:
        journal.close()


def fill(journal: Journal, events: Sequence[Event]) -> Cost:
    """Commit encoded events, as a recorder does."""
    rows = [lines_of(events[first : first + ROW]).splitlines() for first in range(0, len(events), ROW)]

    def work() -> None:
        for row in rows:
            journals.accept(journal, *row)

    return time_of(work)


def deliver(path: Path, sink: Sink, policy: PrivacyPolicy, count: int) -> Cost:
    """Deliver all that a journal holds.

    Raises:
        MissingEventsError: if the sink doesn't get all of it.
    """
    deliverer = Deliverer(path, sink, policy, limits=_LIMITS)

    def work() -> None:
        deliverer.start()
        deliverer.drain(WITHIN_S)
        deliverer.join()

    cost = time_of(work)
    if (found := deliverer.state().delivered) != count:
        raise MissingEventsError(f"{deliverer.name}: {found} of {count} events were delivered")
    return cost


def measure_host(events: Sequence[Event]) -> dict[str, Cost]:
    """The stages of a host: commits, and the delivery to a sink that costs nothing and to one that does."""
    policy, changed = recording_policy(), PrivacyPolicy.profile("cent")
    with tempfile.TemporaryDirectory(prefix="centtrack-benchmark-") as name:
        folder = Path(name)
        jsonl = open_sink(f"jsonl:{folder / 'events.jsonl'}")
        with opened(folder, "discarding", "changed", str(getattr(jsonl, "name", ""))) as journal:
            costs = {f"journal, commits of {ROW}": fill(journal, events)}
            path = journal.path
        costs["delivery, to nothing"] = deliver(path, Discarding("discarding"), policy, len(events))
        costs["delivery, to jsonl"] = deliver(path, jsonl, policy, len(events))
        costs["delivery, policy has changed"] = deliver(path, Discarding("changed"), changed, len(events))
    return costs


def measure_commits(lake: Delta, events: Sequence[Event]) -> Cost:
    """Small batches into a lake on the disk: what a commit costs by itself, small files joined now and then."""
    lake.fresh += 1
    sink = open_sink(lake.url())
    batches = [lines_of(events[first : first + SMALL]) for first in range(0, len(events), SMALL)]

    def work() -> None:
        for number, lines in enumerate(batches, 1):
            sink.write(Batch(lines=lines, stream="benchmark", sequence=number))

    return time_of(work)


def measure_feeder(kafka: Kafka, target: Target, events: Sequence[Event]) -> Cost:
    """A consumer by itself, from its first batch until all is written: joining a group takes seconds of its own.

    Raises:
        MissingEventsError: if not all of it is there in the end.
    """
    kafka.fresh += 1
    target.fresh += 1
    source = kafka.url()
    kafka.prepare([events])()
    kafka.make_dead_letter_topic()
    feeder = Feeder(source, open_sink(target.url()), recording_policy())

    feeder.start()
    first = eventually(lambda: feeder.state().sink.delivered, WITHIN_S)
    cost = time_of(lambda: _wait(feeder, len(events)))
    feeder.drain(10)
    feeder.join()
    if (found := target.count()) != len(events):
        raise MissingEventsError(f"{target.name}: {found} of {len(events)} events are there")
    rest = max(1, len(events) - first) / len(events)
    return Cost(cost.wall_s / rest, cost.cpu_s / rest)


def _wait(feeder: Feeder, count: int) -> None:
    eventually(lambda: feeder.state().sink.delivered >= count, WITHIN_S)


def run(options: argparse.Namespace) -> list[Stage]:
    """Measure everything."""
    costs: dict[str, list[Cost]] = {}

    def note(stage: str, cost: Cost) -> None:
        costs.setdefault(stage, []).append(cost)

    for _ in range(options.rounds):
        for stage, cost in measure_host(make_events(options.events)).items():
            note(stage, cost)
    lake = Delta()
    with lake.running():
        for _ in range(options.rounds):
            events = make_events(min(options.events, 200 * SMALL))
            measured = measure_commits(lake, events)
            rest = options.events / len(events)
            note(f"lake on disk, batches of {SMALL}", Cost(measured.wall_s * rest, measured.cpu_s * rest))
    if options.feed:
        kafka, targets = Kafka(), (Delta(), ClickHouse())
        with contextlib.ExitStack() as servers:
            for server in (kafka, *targets):
                servers.enter_context(server.running())
            for _ in range(options.rounds):
                for target in targets:
                    cost = measure_feeder(kafka, target, make_events(options.events))
                    note(f"deliver --from kafka, to {target.name}", cost)
    return [_summarize(stage, measured, options.events) for stage, measured in costs.items()]


def _summarize(stage: str, costs: Sequence[Cost], count: int) -> Stage:
    rate = statistics.median(count / cost.wall_s for cost in costs)
    return Stage(stage, round(rate), statistics.median(cost.cpu_s / count * 1e6 for cost in costs))


def main() -> int:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=50_000, help="events a round (50000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each stage is measured (3)")
    parser.add_argument(
        "--no-feed", dest="feed", action="store_false", help="leave the consumer out, and Kafka with it"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    options = parser.parse_args()
    try:
        stages = run(options)
    except MissingEventsError as error:
        print(error, file=sys.stderr)
        return 3
    if options.json:
        print(json.dumps([stage._asdict() for stage in stages], indent=2))
        return 0
    print(f"medians of {options.rounds} rounds of {options.events:,} events; CPU µs of this process, an event\n")
    print(f"{'stage':<36}{'events/s':>10}{'CPU µs':>8}")
    for stage in stages:
        print(f"{stage.stage:<36}{stage.per_second:>10,}{stage.cpu_us:>8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
