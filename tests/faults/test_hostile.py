"""Rows 24, 25 and 26: geo databases that break, and requests that are made to hurt. See benchmarks/latency.py, too."""

from __future__ import annotations

import time

import pytest

from asgi import Recording, body, sending, start
from centtrack import PrivacyPolicy
from centtrack.event import Event
from centtrack.testing import make_scope
from faults.hostile import KINDS, bombs, hostile_scopes
from faults.table import LONG
from mmdb import damaged, rename_mmdb, write_mmdb
from policies import FINEST, policy_text
from waiting import eventually

pytestmark = pytest.mark.usefixtures("unhurried")
_FLUSH_EVERY = 50  # requests: more of these would fill the queue's 16 MB
ANSWER = [start(), body(b"x")]
PLACES = {"203.0.113.0/24": {"country_code": "KZ", "state1": "Abay", "city": "Semey"}}
NEW_PLACES = {"203.0.113.0/24": {"country_code": "KZ", "state1": "Qostanay", "city": "Rudnyy"}}


# 24


class GeoSite:
    """A site with a geo database, which the recorder looks at with every batch, and visits to it."""

    def __init__(self, folder, content):
        self.database = folder / "geo.mmdb"
        self.database.write_bytes(content)
        policy = PrivacyPolicy.parse(
            f'[limits.default]\ngeo = "city"\ntime = "second"\n'
            f'[geo]\ndatabases = ["{self.database}"]\nmin_population = 0'
        )
        self.recording = Recording(folder, sending(*ANSWER), policy=policy)
        self.visits = 0

    def cities(self, visits):
        """The cities of so many visits."""
        for _ in range(visits):
            assert self.recording.serve(make_scope(client=("203.0.113.7", 1))) == ANSWER
        self.visits += visits
        return [event.city for event in self.recording.sink.wait(self.visits, 30)[-visits:]]


def replaced(database, content):
    (database.parent / "new").write_bytes(content)
    (database.parent / "new").replace(database)


def test_a_geo_database_that_breaks_costs_the_place_alone(tmp_path, row, monkeypatch):
    monkeypatch.setattr("centtrack.geo.databases._CHECK_EVERY_S", 0.0)
    good = write_mmdb(tmp_path / "good.mmdb", PLACES).read_bytes()
    visits = 500 if LONG else 20
    kinds = list(damaged(good))
    null = kept = reopened = total = 0
    for number, (_, content) in enumerate(kinds):
        folder = tmp_path / str(number)
        folder.mkdir()
        site = GeoSite(folder, content)
        null += site.cities(visits).count(None)
        rename_mmdb(site.database, PLACES)
        reopened += eventually(lambda site=site: site.cities(1) == ["Semey"])
        replaced(site.database, content)
        kept += site.cities(visits).count("Semey")
        rename_mmdb(site.database, NEW_PLACES)
        reopened += eventually(lambda site=site: site.cities(1) == ["Rudnyy"])
        counts = site.recording.counts()
        assert counts.closes
        assert [sink.delivered for sink in counts.sinks] == [site.visits]
        total += site.visits
    assert (null, kept, reopened) == (visits * len(kinds), visits * len(kinds), 2 * len(kinds))
    row(
        24, "each kind of damage, from the start and while running; then a good file",
        kinds=len(kinds), requests=total, delivered=total, without_a_place_while_broken=null,
        with_that_of_the_file_before=kept, reopened=reopened,
    )  # fmt: skip


# 25


def texts_of(event):
    return [value for name in Event.__struct_fields__ if isinstance(value := getattr(event, name), str)]


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_requests_are_cut_and_hurt_nothing(tmp_path, row, kind):
    requests, seed = 5_000 if LONG else 200, time.time_ns()
    recording = Recording(
        tmp_path, sending(*ANSWER), policy=PrivacyPolicy.parse(policy_text(FINEST)), trusted_proxies=1
    )
    for number, scope in enumerate(hostile_scopes(kind, requests, seed)):
        assert recording.serve(scope) == ANSWER, f"seed {seed}"
        if number % _FLUSH_EVERY == 0:
            recording.app.pipeline.flush(60)
    counts = recording.counts()
    [worker] = counts.workers
    longest = max(len(text.encode()) for event in recording.sink.events for text in texts_of(event))
    assert counts.closes
    assert (worker.offered, worker.dropped) == (requests, {}), f"seed {seed}"
    assert len(recording.sink.events) == worker.accepted == requests
    assert longest <= 2_048
    row(
        25, kind, requests=requests, accepted=worker.accepted, delivered=len(recording.sink.events),
        longest_text_in_bytes=longest, noted=sum(worker.noted.values()), responses_changed=0,
    )  # fmt: skip


# 26


def test_bombs_go_off_without_harm(tmp_path, row):
    recording = Recording(tmp_path, sending(*ANSWER), policy=PrivacyPolicy.parse(policy_text(FINEST)))
    thrown = list(bombs())
    for number, (_, scope) in enumerate(thrown):
        assert recording.serve(scope) == ANSWER
        if number % _FLUSH_EVERY == 0:
            recording.app.pipeline.flush(60)
    counts = recording.counts()
    [worker] = counts.workers
    assert counts.closes
    assert (worker.offered, worker.dropped) == (len(thrown), {})
    assert len(recording.sink.events) == worker.accepted == len(thrown)
    row(
        26, "for user agent, cookies, path, query and referrer, of 512 B to 64 KB",
        bombs=len(thrown), accepted=worker.accepted, delivered=len(recording.sink.events), responses_changed=0,
    )  # fmt: skip
