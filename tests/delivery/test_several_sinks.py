"""Several sinks at once: each gets what the policy lets it have, by whichever way events reach it."""

from __future__ import annotations

import contextlib
import json
import time
from itertools import product

import msgspec
import pytest

from asgi import serve
from centtrack import PrivacyPolicy, TelemetryMiddleware
from centtrack.capture.capture import Capture
from centtrack.capture.observation import Observation
from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.journal.dead_letters import list_dead, read_dead, retry_dead
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.pipeline import Pipeline
from centtrack.delivery.sending.deliverer import Deliverer
from centtrack.delivery.sending.routing import is_in_sample
from centtrack.errors import ConfigurationError, Rejected
from centtrack.event import COLUMNS, Event
from centtrack.policy.model import ALWAYS_SENT
from centtrack.sinks.jsonl import JsonLinesSink
from centtrack.testing import MemorySink, make_event, make_scope
from journals import accept
from waiting import eventually

POLICY = """
[limits.default]
time = "second"
page = "path"
referrer = "domain"
[purposes]
analytics = "Visits"
marketing = "Advertising"
[[sinks]]
name = "whole"
[[sinks]]
name = "narrow"
fields = ["path"]
[[sinks]]
name = "sampled"
sample = 0.5
[[sinks]]
name = "marketing"
purposes = ["marketing"]
[[sinks]]
name = "third"
party = "third"
fields = ["route"]
"""
pytestmark = pytest.mark.usefixtures("unhurried")
NAMES = ("whole", "narrow", "sampled", "marketing", "third")


class Named(MemorySink):
    """Keeps events under a name of its own; rejects what has a path that it is told."""

    def __init__(self, name, refused=None):
        super().__init__()
        self.name = name
        self.refused = refused
        self.refused_route = False

    def write(self, events):
        if self.refused_route and any(event.route for event in events):
            raise Rejected("none that has a route")
        if self.refused and any(event.path == self.refused for event in events):
            raise Rejected("not this one")
        super().write(events)


def record(pipeline, *paths):
    for path in paths:
        pipeline.observe(
            Observation("http", None, [(b"referer", b"https://partner.example/")], time.time(), method="GET", path=path)
        )
    assert pipeline.flush(30)


def filled(event):
    """The columns that hold something, but for those that go everywhere."""
    return {name for name, value in msgspec.structs.asdict(event).items() if value is not None} - {*ALWAYS_SENT}


def test_each_sink_gets_its_part_and_all_counts_close(tmp_path):
    sinks = {name: Named(name) for name in NAMES}
    pipeline = Pipeline(Capture(PrivacyPolicy.parse(POLICY)), [*sinks.values()], tmp_path / "journal.db")
    record(pipeline, *(f"/{number}" for number in range(100)))
    pipeline.close()
    whole = sinks["whole"].events
    assert sorted(event.path for event in whole) == sorted(f"/{number}" for number in range(100))
    assert {"path", "referrer_domain", "method"} <= filled(whole[0])
    assert {frozenset(filled(event)) for event in sinks["narrow"].events} == {frozenset({"path"})}
    assert [event.path for event in sinks["narrow"].events] == [event.path for event in whole]
    assert sinks["sampled"].events == [event for event in whole if is_in_sample(event.event_id, 0.5)]
    assert (sinks["marketing"].events, sinks["third"].events) == ([], [])
    counts = {sink.name: sink for sink in read_counts(tmp_path / "journal.db").sinks}
    assert all(sink.closes and sink.accepted == 100 for sink in counts.values())
    assert {name: sink.withheld for name, sink in counts.items()} == {
        "whole": {}, "narrow": {}, "sampled": {"sampling": 100 - len(sinks["sampled"].events)},
        "marketing": {"consent": 100}, "third": {"consent": 100},
    }  # fmt: skip


def test_dead_letters_hold_what_the_sink_may_have_and_no_more(tmp_path):
    journal = tmp_path / "journal.db"
    sink = Named("narrow", refused="/bad")
    pipeline = Pipeline(Capture(PrivacyPolicy.parse(POLICY)), [sink], journal)
    record(pipeline, "/good", "/bad")
    eventually(lambda: len(list_dead(journal)) == 1)
    letter = read_dead(journal, list_dead(journal)[0].id)
    assert filled(msgspec.json.decode(letter.event, type=Event)) == {"path"}
    sink.refused = None
    assert retry_dead(journal, None) == 1
    assert [event.path for event in sink.wait(2, 30)] == ["/good", "/bad"]
    pipeline.close()
    assert {frozenset(filled(event)) for event in sink.events} == {frozenset({"path"})}


def test_what_waits_is_cut_to_the_fields_of_the_policy_in_force(tmp_path):
    """Recorded when the sink got everything; delivered, after a start with another policy, when it doesn't any more."""
    journal, target = tmp_path / "journal.db", tmp_path / "events.jsonl"
    before = PrivacyPolicy.parse('[limits.default]\ntime = "second"\npage = "path"\nreferrer = "domain"\n')
    sinks = [JsonLinesSink(f"jsonl:{target}")]
    first = Pipeline(Capture(before), sinks, journal, deliver=False)
    record(first, "/a", "/b")
    first.close()
    entry = f'[[sinks]]\nname = "jsonl:{target}"\nfields = ["path"]\n'
    after = PrivacyPolicy.parse(f'[limits.default]\ntime = "second"\npage = "path"\nreferrer = "domain"\n{entry}')
    second = Pipeline(Capture(after), sinks, journal)
    second.start()
    second.close()
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert [line["path"] for line in lines] == ["/a", "/b"]
    assert b"partner.example" not in target.read_bytes()
    assert all({*line} == {column.name for column in COLUMNS} for line in lines)  # left out is null, not missing


def test_a_third_party_gets_nothing_more_by_halves_by_dead_letters_or_by_another_policy(tmp_path):
    """Whatever the signals, the choice and where it came from; with a sink that rejects, and is given them again."""
    signals, states = (True, False), ("given", "refused", "expired", "unknown")
    sources = ("cookie", "cookie+gpc", "cookie+banner", "banner", "implied", "default", None)
    before = PrivacyPolicy.parse(POLICY.replace('party = "third"\n', ""))
    now = PrivacyPolicy.parse(POLICY)
    events = [
        make_event(
            policy_hash=policy.hash, gpc=gpc, dnt=dnt, consent={"analytics": state}, consent_source=source,
            time_precision="second", path="/p", route="/r", referrer_domain="partner.example",
        )
        for policy, gpc, dnt, state, source in product((before, now), signals, signals, states, sources)
    ]  # fmt: skip
    path, sink = tmp_path / "journal.db", Named("third")
    sink.refused_route = True
    with contextlib.closing(Journal(path)) as journal:
        journal.open()
        journal.register(sink.name)
        for policy in (before, now):
            journal.note_policy(policy.hash, policy.consent_hash)
        accept(journal, *map(msgspec.json.encode, events))
    deliverer = Deliverer(path, sink, now)
    deliverer.start()
    allowed = {
        event.event_id
        for event in events
        if event.policy_hash == now.hash and event.consent["analytics"] == "given" and not event.gpc
        and event.consent_source in {"cookie", "cookie+gpc"}
    }  # fmt: skip
    eventually(lambda: len(list_dead(path)) == len(allowed))
    sink.refused_route = False
    assert retry_dead(path, None) == len(allowed)
    got = sink.wait(len(allowed), 30)
    deliverer.drain(30)
    assert deliverer.join()
    assert sorted(event.event_id for event in got) == sorted(allowed)
    assert {frozenset(filled(event)) for event in got} == {frozenset({"route"})}


FORBIDDEN = [
    ('[recipients]\nundeclared_sinks = "refuse"\n', "has no entry in [[sinks]]"),
    ('[limits.default]\npage = "path"\n[recipients]\npersonal_data_in = ["KZ"]\n', "no country is stated"),
    ('[purposes]\nsecurity = "Fraud"\n', "has no purpose"),
    ('[[sinks]]\nname = "misspelled"\nfields = []\n', 'limits what "misspelled" gets'),
]


@pytest.mark.parametrize(("policy", "words"), FORBIDDEN)
def test_a_sink_that_the_policy_forbids_stops_the_start(tmp_path, caplog, policy, words):
    async def answer(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    rules = PrivacyPolicy.parse(policy)
    with pytest.raises(ConfigurationError):
        Pipeline(Capture(rules), [MemorySink()], tmp_path / "journal.db")
    refused = TelemetryMiddleware(answer, policy=rules, sink="memory:", journal=tmp_path / "journal.db")
    assert words in str(refused.problem)
    assert serve(refused, make_scope("/"), {"type": "http.request", "body": b""})[0]["status"] == 200
    assert "nothing is recorded" in caplog.text


@pytest.mark.parametrize(
    ("entries", "is_said"),
    [
        (["delta:./somewhere"], True),  # the one that is there may be meant
        (["delta:./somewhere", "memory:"], False),  # another process's
        (["memory:"], False),
    ],
)
def test_an_entry_that_is_about_none_of_the_sinks_is_said_where_it_may_be_misspelled(
    tmp_path, caplog, entries, is_said
):
    tables = "".join(f'[[sinks]]\nname = "{name}"\nretention = 30\n' for name in entries)
    pipeline = Pipeline(Capture(PrivacyPolicy.parse(tables)), [MemorySink()], tmp_path / "journal.db")
    pipeline.start()
    pipeline.close()
    said = [one.getMessage() for one in caplog.records if "[[sinks]]" in one.getMessage()]
    assert bool(said) is is_said
    assert [text for text in said if '"delta:./somewhere"' not in text or "named memory:" not in text] == []


def test_what_no_sink_gets_is_said(tmp_path, caplog):
    rules = PrivacyPolicy.parse('[limits.default]\ngeo = "city"\n[[sinks]]\nname = "memory:"\nfields = ["route"]\n')
    pipeline = Pipeline(Capture(rules), [MemorySink()], tmp_path / "journal.db")
    pipeline.start()
    pipeline.close()
    assert [one.getMessage() for one in caplog.records if "no sink gets anything of geo;" in one.getMessage()]
