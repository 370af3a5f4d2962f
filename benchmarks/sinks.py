"""What a sink takes a second, against the bare client's bulk path on the same server, in the same run.

Ours gets batches as the delivery gives them: lines of JSON as the journal has them, with stream and sequence, nothing
decoded. The bare path gets the same events as its client takes them, made before the clock starts, and keeps none of
our promises. Exit codes: 0 each sink takes at least half of the bare path's rate, 1 one doesn't, 3 events are missing.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from centtrack import Event
from centtrack.sinks import Batch, open_sink
from overhead import verdict
from sink_events import batches_of, lines_of, make_events
from sink_receivers import Otlp, Webhook
from sink_targets import ClickHouse, Delta, DeltaS3, Jsonl, Kafka, Postgresql, Redis, Target

TARGET = 0.5
TARGETS: dict[str, type[Target]] = {
    kind.name: kind for kind in (Jsonl, Delta, DeltaS3, Postgresql, ClickHouse, Kafka, Redis, Otlp, Webhook)
}


class MissingEventsError(Exception):
    """Not all events came to where they were sent, or some did twice."""


class Turn(NamedTuple):
    """One measurement.

    Attributes:
        per_second: events.
        cpu_us: CPU time of the client an event, all threads, in microseconds.
    """

    per_second: float
    cpu_us: float


class Row(NamedTuple):
    """A line of the table: medians of all rounds; the ratio is taken within a round."""

    sink: str
    ours_per_second: int
    ours_cpu_us: float
    bare_per_second: int
    bare_cpu_us: float
    ratio: float
    lowest: float
    highest: float


class Size(NamedTuple):
    """What an event takes where it is stored, in bytes."""

    place: str
    bytes_an_event: int


def measure_ours(target: Target, events: Sequence[Event]) -> Turn:
    """Write all by our sink."""
    lines = [lines_of(batch) for batch in batches_of(events)]
    sink = open_sink(target.url())
    getattr(sink, "open", lambda: None)()

    def write() -> None:
        for number, text in enumerate(lines, 1):
            sink.write(Batch(lines=text, stream="benchmark", sequence=number))

    try:
        return _time(target, write, len(events))
    finally:
        if close := getattr(sink, "close", None):
            close()


def measure_bare(target: Target, events: Sequence[Event]) -> Turn:
    """Write all by the bare client."""
    return _time(target, target.prepare(batches_of(events)), len(events))


def _time(target: Target, write: Callable[[], None], count: int) -> Turn:
    """Run it, then see that all is there.

    Raises:
        MissingEventsError: if it isn't.
    """
    gc.collect()
    started, cpu_s = time.perf_counter(), time.process_time()
    write()
    taken_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_s
    if (found := target.count()) != count:
        raise MissingEventsError(f"{target.name}: {found} of {count} events are there")
    return Turn(count / taken_s, cpu_s / count * 1e6)


def compare(target: Target, rounds: int, amount: int) -> Row:
    """Both paths once a round; who begins alternates, and a first, short round only warms."""
    ours: list[Turn] = []
    bare: list[Turn] = []
    paths = [(measure_ours, ours), (measure_bare, bare)]
    with target.running():
        for number in range(rounds + 1):
            events = make_events(amount if number else min(amount, 2_000))
            for measure, turns in paths if number % 2 else reversed(paths):
                target.fresh += 1
                turns.append(measure(target, events))
    return _summarize(target.name, ours[1:], bare[1:])


def _summarize(name: str, ours: Sequence[Turn], bare: Sequence[Turn]) -> Row:
    ratios = [one.per_second / other.per_second for one, other in zip(ours, bare, strict=True)]
    median = statistics.median
    rates = [round(median(one.per_second for one in turns)) for turns in (ours, bare)]
    cpu_us = [median(one.cpu_us for one in turns) for turns in (ours, bare)]
    return Row(name, rates[0], cpu_us[0], rates[1], cpu_us[1], median(ratios), min(ratios), max(ratios))


def weigh(target: Target, events: Sequence[Event]) -> Size | None:
    """What events take in a target; None where that can't be asked."""
    with target.running():
        target.fresh += 1
        measure_ours(target, events)
        size = target.stored_bytes()
    return None if size is None else Size(target.name, round(size / len(events)))


def run_sizes(targets: Sequence[Target], options: argparse.Namespace) -> int:
    """Print what an event takes."""
    events = make_events(options.events)
    sizes = [size for target in targets if (size := weigh(target, events))]
    if options.json:
        print(json.dumps([size._asdict() for size in sizes], indent=2))
        return 0
    print(f"bytes an event, of {options.events:,} in batches as the delivery makes them\n")
    for size in sizes:
        print(f"{size.place:<12}{size.bytes_an_event:>8,}")
    return 0


def run_rates(targets: Sequence[Target], options: argparse.Namespace) -> int:
    """Print rates, and judge them."""
    rows = []
    if not options.json:
        print(f"medians of {options.rounds} rounds of {options.events:,} events; CPU µs of the client, an event\n")
        print(f"{'sink':<12}{'ours/s':>10}{'CPU µs':>8}{'bare/s':>10}{'CPU µs':>8}{'ratio':>7}  lowest to highest")
    for target in targets:
        row = compare(target, options.rounds, options.events)
        rows.append(row)
        if not options.json:
            _show(row)
    worst = min(row.ratio for row in rows)
    if options.json:
        print(json.dumps({"target": TARGET, "rows": [row._asdict() for row in rows]}, indent=2))
    else:
        print(f"\nthe lowest is {worst:.2f} of the bare path: target {TARGET} {verdict(TARGET, worst)}")
        for target in targets:
            print(f"{target.name}: bare is {target.bare}")
    return int(worst < TARGET)


def _show(row: Row) -> None:
    rates = f"{row.ours_per_second:>10,}{row.ours_cpu_us:>8.1f}{row.bare_per_second:>10,}{row.bare_cpu_us:>8.1f}"
    print(f"{row.sink:<12}{rates}{row.ratio:>7.2f}  {row.lowest:.2f} to {row.highest:.2f}", flush=True)


def read_options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sinks", default=",".join(TARGETS), help="which, joined by commas (all)")
    parser.add_argument("--events", type=int, default=50_000, help="events a turn (50000)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each path is measured (5)")
    parser.add_argument("--sizes", action="store_true", help="what an event takes where it is stored, and no rates")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    options = parser.parse_args()
    if unknown := set(options.sinks.split(",")) - set(TARGETS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    if options.events < 1 or options.rounds < 1:
        parser.error("--events and --rounds are at least 1")
    return options


def main() -> int:
    """Measure what the options name."""
    options = read_options()
    targets = [TARGETS[name]() for name in options.sinks.split(",")]
    try:
        return run_sizes(targets, options) if options.sizes else run_rates(targets, options)
    except MissingEventsError as error:
        print(error, file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
