"""Rows 1, 2 and 11: load. How long answers take is measured in benchmarks/latency.py; here it is only told."""

from __future__ import annotations

import asyncio

from faults.client import Load, load
from faults.loaded import LoadedSite, page_requests, usage_of
from faults.table import LONG
from servers import uvicorn
from waiting import eventually

ROUNDS = 10 if LONG else 2
PER_SECOND = 400
ROUND = 2_000 if LONG else 400  # requests
MAX_GROWTH = 20_000_000  # bytes: queue, caches and the allocator's reserve, of two workers


def asked(server, requests, **options) -> Load:
    return asyncio.run(load(server.port, requests, **options))


# 1


def test_steady_load(tmp_path, row, monkeypatch):
    site, bare = LoadedSite(tmp_path / "with"), LoadedSite(tmp_path / "without")
    loads: dict[str, list[Load]] = {"with": [], "without": []}
    with uvicorn(site) as server:
        monkeypatch.setenv("BARE", "1")
        with uvicorn(bare) as bare_server:
            for number in range(ROUNDS):
                requests = page_requests(ROUND, number * ROUND)
                loads["with"].append(asked(server, requests, per_second=PER_SECOND))
                loads["without"].append(asked(bare_server, requests, per_second=PER_SECOND))
        eventually(lambda: site.accepted() == ROUNDS * ROUND)
        site.wait_for_delivery()
        server.stop()
    totals, total = site.totals(), ROUNDS * ROUND
    assert [one.failed for one in loads["with"]] == [0] * ROUNDS
    assert totals == {"offered": total, "accepted": total}
    ids = site.ids.ids()
    assert (len(ids), ids.total()) == (total, total)
    medians = {name: sorted(one.percentile(0.99) for one in found)[ROUNDS // 2] for name, found in loads.items()}
    row(
        1, f"{PER_SECOND} requests a second, one worker", requests=total, failed=0, accepted=total, delivered=len(ids),
        p99_ms_without=1_000 * medians["without"], p99_ms_with=1_000 * medians["with"],
    )  # fmt: skip


# 2


def test_memory_threads_and_descriptors_stay(tmp_path, row):
    warm, total = (20_000, 300_000) if LONG else (4_000, 4_000)  # the first load fills queues and caches as the second
    site = LoadedSite(tmp_path)
    with uvicorn(site, "--workers", "2") as server:
        eventually(lambda: len(site.workers()) == 2)
        assert asked(server, page_requests(warm)).failed == 0
        eventually(lambda: sum(site.totals().values()) == 2 * warm)  # each is accepted, or dropped
        site.wait_for_delivery()
        before = usage_of(server)
        found = asked(server, page_requests(total, warm))
        eventually(lambda: sum(site.totals().values()) == 2 * (warm + total))
        site.wait_for_delivery()
        eventually(lambda: usage_of(server).descriptors <= before.descriptors)  # connections are closed
        after = usage_of(server)
        server.stop()
    totals, ids = site.totals(), site.ids.ids()
    assert (found.failed, totals["offered"]) == (0, warm + total)
    assert (len(ids), ids.total()) == (totals["accepted"], totals["accepted"])
    assert after.threads <= before.threads
    assert after.rss - before.rss < MAX_GROWTH
    row(
        2, "two workers at full load", requests=total, accepted=totals["accepted"], delivered=len(ids), failed=0,
        memory_grew_by_MB=(after.rss - before.rss) / 1e6, descriptors=after.descriptors,
        descriptors_more=after.descriptors - before.descriptors, threads=after.threads,
        threads_more=after.threads - before.threads,
    )  # fmt: skip


# 11


def test_a_sink_at_a_tenth_of_the_load(tmp_path, row, monkeypatch):
    per_second, total, max_bytes = (1_000, 60_000, 10_000_000) if LONG else (800, 3_000, 1_000_000)
    monkeypatch.setenv("SLOW_SINK", "1")
    monkeypatch.setenv("MAX_BYTES", str(max_bytes))
    site = LoadedSite(tmp_path)
    with uvicorn(site) as server:
        server.get("/first")
        eventually(lambda: site.accepted() == 1)  # the engines are built: what that costs isn't the sink's
        found = asked(server, page_requests(total), per_second=per_second)
        server.stop()
    totals = site.totals()
    [sink] = site.counts().sinks
    assert site.counts().closes
    assert (found.failed, totals["offered"], sum(totals.values())) == (0, total + 1, 2 * (total + 1))
    assert totals["journal_full"] > 0
    assert sink.delivered + sink.pending == totals["accepted"]
    monkeypatch.delenv("SLOW_SINK")
    with uvicorn(site) as server:
        server.get("/last")
        eventually(lambda: site.accepted() == totals["accepted"] + 1)
        site.wait_for_delivery()
        server.stop()
    ids = site.ids.ids()
    assert len(ids) == ids.total() == totals["accepted"] + 1
    halves = found.latencies[: total // 2], found.latencies[total // 2 :]
    before, after = (1_000 * found._replace(latencies=half).percentile(0.99) for half in halves)
    row(
        11, "the sink takes a tenth of the load, the journal has a limit", requests=total, failed=0,
        accepted=totals["accepted"], dropped_as_the_journal_was_full=totals["journal_full"], delivered=sink.delivered,
        pending=sink.pending, delivered_when_it_was_fast_again=len(ids) - 1 - sink.delivered, lost=0, doubled=0,
        p99_ms_in_the_first_half=before, p99_ms_in_the_second_half=after,
    )  # fmt: skip
