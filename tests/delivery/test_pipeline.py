"""The pipeline: started late, closed in time, and what lies between."""

from __future__ import annotations

import logging
import os
import threading
import time

import msgspec
import pytest

from centtrack import PrivacyPolicy
from centtrack.capture.capture import Capture
from centtrack.capture.observation import Observation
from centtrack.consent.token import Choice, ConsentTokens
from centtrack.delivery import clock
from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.pipeline import Pipeline
from centtrack.delivery.records import Encoded, Limits
from centtrack.errors import RetryLater
from centtrack.locks import FileLock
from centtrack.sinks.jsonl import JsonLinesSink
from centtrack.testing import MemorySink, make_event
from journals import hold
from processes import run_python
from waiting import eventually

AT_ONCE, BY_HOUR = "cent", "strict"  # profiles
LOCK = "journal.db.lock"
THREADS = ["centtrack-deliver-memory:", "centtrack-recorder", "centtrack-write-memory:"]


@pytest.fixture
def pipeline(tmp_path):
    """Make a pipeline: `pipeline(*sinks, profile=…)`."""
    made = []

    def make(*sinks, profile=AT_ONCE, journal=tmp_path / "journal.db", **options):
        policy = PrivacyPolicy.profile(profile) if isinstance(profile, str) else profile
        made.append(Pipeline(Capture(policy), sinks, journal, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def visit(pipeline, count=1, **seen):
    for _ in range(count):
        defaults = {"time": time.time(), "method": "GET", "status": 200}
        pipeline.observe(Observation("http", "127.0.0.1", [], **{**defaults, **seen}))


@pytest.fixture
def threads():
    """Names of the threads that were started since the test began."""
    before = set(threading.enumerate())
    return lambda: sorted(thread.name for thread in threading.enumerate() if thread not in before)


def test_nothing_runs_before_the_first_use(pipeline, threads, tmp_path):
    one = pipeline(MemorySink())
    assert (threads(), list(tmp_path.iterdir())) == ([], [])
    visit(one)
    assert threads() == THREADS


def test_starting_at_once_from_many_threads_starts_once(pipeline, threads):
    one = pipeline(MemorySink())
    starters = [threading.Thread(target=one.start) for _ in range(8)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert threads() == THREADS


@pytest.mark.usefixtures("unhurried")
def test_closing_delivers_everything_and_ends_the_threads(pipeline, threads, tmp_path):
    sink = MemorySink()
    one = pipeline(sink)
    visit(one, 2_000)
    one.close()
    assert len(sink.events) == 2_000
    eventually(lambda: threads() == [])
    counts = read_counts(tmp_path / "journal.db")
    assert [(worker.state, worker.offered, worker.accepted) for worker in counts.workers] == [("ended", 2_000, 2_000)]
    assert counts.closes


def test_the_engines_are_not_waited_for(pipeline):
    """The first observations are captured in the recorder's thread: none is lost."""
    sink = MemorySink()
    one = pipeline(sink)
    visit(one, 100)
    eventually(lambda: one.capture.is_warm)
    visit(one, 100)
    assert one.flush(30)
    assert len(sink.wait(200, 30)) == 200


def test_what_a_failing_sink_did_not_take_stays_for_the_next_start(pipeline):
    class Down(MemorySink):
        def write(self, events):
            raise RetryLater("down")

    one = pipeline(Down())
    one.start()
    visit(one, 10)
    assert one.flush(30)
    one.close()
    sink = MemorySink()
    pipeline(sink).start()
    assert len(sink.wait(10, 30)) == 10


@pytest.mark.usefixtures("unhurried")
def test_a_storing_sink_waits_for_the_bucket_and_says_so(pipeline, tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    half_past = clock.now() // 3_600 * 3_600 + 1_800
    monkeypatch.setattr(clock, "now", lambda: half_past)  # so that the hour doesn't end meanwhile
    one = pipeline(JsonLinesSink(f"jsonl:{tmp_path}/events.jsonl"), profile=BY_HOUR)
    visit(one, 5)
    one.close()
    counts = read_counts(tmp_path / "journal.db")
    assert (counts.held, [sink.pending for sink in counts.sinks], counts.closes) == (5, [5], True)
    assert not (tmp_path / "events.jsonl").exists()
    assert "events are released every 60 minutes" in caplog.text


def test_a_sink_that_keeps_nothing_needs_no_bucket(pipeline):
    sink = MemorySink()
    visit(pipeline(sink, profile=BY_HOUR))
    [event] = sink.wait(1, 30)
    assert event.time_precision == "hour"
    assert (event.time.minute, event.time.second) == (0, 0)


@pytest.mark.parametrize("profile", [AT_ONCE, BY_HOUR])
def test_events_that_an_earlier_start_held_are_released(pipeline, tmp_path, profile):
    """Also if the policy, or the sinks, need no buckets any more."""
    journal = Journal(tmp_path / "journal.db")
    journal.open()
    journal.register("memory:")
    event = make_event()
    hold(journal, 1, {event.event_id: msgspec.json.encode(event)})
    journal.close()
    sink = MemorySink()
    sink.stores = True
    pipeline(sink, profile=profile).start()
    [released] = sink.wait(1, 30)
    assert released.event_id == event.event_id


THIRD = """
[[sinks]]
name = "memory:"
party = "third"
[[sinks]]
name = "delta:./somewhere"
"""


@pytest.mark.usefixtures("unhurried")
def test_a_third_party_gets_nothing_without_consent(pipeline, tmp_path):
    sink = MemorySink()
    one = pipeline(sink, profile=PrivacyPolicy.parse(THIRD + '[limits.default]\ntime = "second"'))
    visit(one, 5)
    assert one.flush(30)
    one.close()
    assert sink.events == []
    [counts] = read_counts(tmp_path / "journal.db").sinks
    assert (counts.accepted, counts.delivered, counts.withheld, counts.closes) == (5, 0, {"consent": 5}, True)


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize(
    ("decisions", "headers", "withheld"),
    [
        ({"analytics": "granted"}, [], {}),
        ({"analytics": "refused", "marketing": "granted"}, [], {"consent": 1}),
        ({"analytics": "granted"}, [(b"sec-gpc", b"1")], {"signal": 1}),
    ],
)
def test_a_third_party_gets_what_visitors_consented_to(tmp_path, decisions, headers, withheld):
    policy = PrivacyPolicy.parse(THIRD + '[limits.default]\ntime = "second"')
    sink, secrets = MemorySink(), [b"s" * 32]
    one = Pipeline(Capture(policy, None, secrets), [sink], tmp_path / "journal.db")
    tokens = ConsentTokens(secrets)
    token = tokens.sign(Choice(decisions, policy.consent_hash, int(time.time() // 86_400), "ab" * 16))
    cookie = (b"cookie", b"__Host-centtrack=" + token)
    one.observe(Observation("http", None, [(b"host", b"shop.example"), cookie, *headers], time.time(), method="GET"))
    assert one.flush(30)
    one.close()
    [counts] = read_counts(tmp_path / "journal.db").sinks
    assert (len(sink.events), counts.withheld, counts.closes) == (1 - sum(withheld.values()), withheld, True)


@pytest.mark.usefixtures("unhurried")
def test_a_third_party_gets_nothing_from_before_it_was_declared(pipeline, tmp_path):
    """What another policy recorded waits in the journal, for a sink that has become a third party's since."""
    policy = PrivacyPolicy.parse(THIRD + '[limits.default]\ntime = "second"')
    journal = Journal(tmp_path / "journal.db")
    journal.open()
    journal.register("memory:")
    granted = {"consent": {"analytics": "given"}, "consent_source": "cookie", "time_precision": "second"}
    hashes = [PrivacyPolicy.profile("strict").hash, None, policy.hash]
    pending, held, ours = (make_event(policy_hash=one, **granted) for one in hashes)
    lines = b"\n".join(map(msgspec.json.encode, (pending, ours)))
    journal.append(Encoded(2, lines, []), worker="w", counts={("accepted", ""): 2})
    hold(journal, 1, {held.event_id: msgspec.json.encode(held)})
    journal.close()
    sink = MemorySink()
    one = pipeline(sink, profile=policy)
    one.start()
    one.close()
    assert sink.events == [ours]
    [counts] = read_counts(tmp_path / "journal.db").sinks
    assert counts.withheld == {"policy": 2}


def test_old_salts_go_in_the_background(pipeline, tmp_path):
    salts = tmp_path / "salts"
    salts.write_text("1 " + "ab" * 32 + "\n")
    salts.chmod(0o600)
    pipeline(MemorySink()).start()
    eventually(lambda: salts.read_text() == "")


@pytest.mark.usefixtures("unhurried")
def test_two_pipelines_share_a_journal(pipeline, tmp_path):
    """Two mounted apps in one process: what is offered to either is delivered once."""
    sink = MemorySink()
    one, two = pipeline(sink), pipeline(sink)
    for _ in range(50):
        visit(one)
        visit(two)
    one.close()
    two.close()
    assert len(sink.events) == 100
    counts = read_counts(tmp_path / "journal.db")
    assert sorted(worker.accepted for worker in counts.workers) == [50, 50]
    assert counts.closes


def test_a_custom_event_that_is_refused_is_said_once(pipeline, caplog):
    one = pipeline(MemorySink())
    for _ in range(3):
        one.refuse("undeclared", 'custom event "a" is not declared')
    one.refuse("undeclared", 'custom event "b" is not declared')
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ['custom event "a" is not declared', 'custom event "b" is not declared']


@pytest.mark.usefixtures("unhurried")
def test_names_that_visitors_make_up_do_not_fill_the_log(pipeline, caplog, tmp_path):
    """An app that passes a form on to `track`: after a while no more is said, but all is counted."""
    one = pipeline(MemorySink())
    for number in range(200):
        one.refuse("undeclared", f'custom event "a": property "field{number}" is not declared')
    one.close()
    assert 60 < sum("is not declared" in record.message for record in caplog.records) <= 64
    assert read_counts(tmp_path / "journal.db").workers[0].dropped == {"undeclared": 200}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["confirmed", "durable"])
async def test_what_is_confirmed_is_committed(pipeline, tmp_path, mode):
    one = pipeline(MemorySink(), mode=mode)
    one.start()
    assert one.flush(30)  # the engines are built first
    for number in range(1, 20):
        before = one.state().unconfirmed
        visit(one)
        await one.confirmed()
        assert one.state().unconfirmed > before or one.state().accepted == number
        assert one.flush(30)  # a busy machine may need more than 50 ms for one; the next one waits anew then
    assert one.state().unconfirmed < 19


@pytest.mark.anyio
async def test_nobody_waits_for_a_journal_that_cannot_be_written(pipeline, tmp_path):
    (tmp_path / "state").write_text("a file where the folder should be")
    one = pipeline(MemorySink(), mode="confirmed", journal=tmp_path / "state" / "journal.db")
    visit(one)
    eventually(lambda: one.state().journal == "degraded")
    await one.confirmed()
    state = one.state()
    assert (state.unconfirmed, state.offered) == (1, 1)
    (tmp_path / "state").unlink()
    assert one.flush(30)
    assert read_counts(tmp_path / "state" / "journal.db").noted == {"unconfirmed": 1}


@pytest.mark.anyio
async def test_few_wait_for_a_journal_that_somebody_else_holds(pipeline, tmp_path):
    """Else each of many requests would wait its 50 ms, and be kept in mind."""
    one = pipeline(MemorySink(), mode="confirmed")
    one.start()
    assert one.flush(30)
    with FileLock(tmp_path / LOCK):
        for _ in range(100):
            visit(one)
            await one.confirmed()
        assert one.state().unconfirmed == 100
        assert len(one.recorder.queue._waiting) + len(one.recorder._waiting) < 10
    assert one.flush(30)


@pytest.mark.usefixtures("unhurried")
def test_what_comes_while_it_closes_is_counted_once(pipeline, tmp_path):
    one = pipeline(MemorySink())
    one.start()
    assert one.flush(30)
    one.capture.note("gate_failed")
    with FileLock(tmp_path / LOCK):  # so that closing takes a while
        closing = threading.Thread(target=one.close)
        closing.start()
        eventually(lambda: not one.is_running)
        visit(one)
    closing.join()
    assert one.flush(30)
    one.close()
    counts = read_counts(tmp_path / "journal.db")
    assert counts.noted == {"gate_failed": 1}
    assert sum(worker.accepted for worker in counts.workers) == 1


def test_a_process_that_only_records_leaves_delivery_to_others(pipeline, tmp_path, threads):
    file = tmp_path / "events.jsonl"
    one = pipeline(JsonLinesSink(f"jsonl:{file}"), deliver=False)
    visit(one, 10)
    assert one.flush(30)
    assert threads() == ["centtrack-recorder"]
    one.close()
    assert not file.exists()
    assert [sink.pending for sink in read_counts(tmp_path / "journal.db").sinks] == [10]
    pipeline(JsonLinesSink(f"jsonl:{file}")).start()
    eventually(lambda: file.exists() and len(file.read_bytes().splitlines()) == 10)


def test_the_state_of_a_pipeline(pipeline):
    sink = MemorySink()
    one = pipeline(sink)
    assert (one.state().journal, one.state().sinks) == ("closed", ())
    visit(one, 10)
    one.refuse("excluded")
    assert one.flush(30)
    sink.wait(10, 30)
    state = one.state()
    assert (state.offered, state.accepted, state.dropped, state.queued) == (11, 10, {"excluded": 1}, 0)
    assert (state.journal, state.problem, [each.name for each in state.sinks]) == ("open", None, ["memory:"])
    assert state.journal_bytes > 0


def test_who_wants_to_know_is_told_of_each_start(pipeline):
    started = []
    one = pipeline(MemorySink(), on_start=started.append)
    assert started == []
    one.start()
    one.start()
    assert started == [one]
    one.close()
    one.start()
    assert started == [one, one]


def test_at_its_limit_the_journal_takes_no_more(pipeline, tmp_path, caplog):
    class Down(MemorySink):
        def write(self, events):
            raise RetryLater("down")

    one = pipeline(Down(), limits=Limits(max_bytes=1_000_000, min_free=0))
    for _ in range(20):
        visit(one, 400)
        assert one.flush(30)
    single = 0
    while one.state().journal != "full":  # the last commit was small enough for the room that is left
        visit(one)
        single += 1
        assert one.flush(30)
    state = one.state()
    assert state.offered == 8_000 + single == state.accepted + state.dropped["journal_full"]
    counts = read_counts(tmp_path / "journal.db")
    assert sum(worker.accepted for worker in counts.workers) == state.accepted == counts.sinks[0].pending > 500
    assert "takes no more" in caplog.text


def test_a_disk_with_too_little_space_takes_no_more(pipeline, tmp_path):
    one = pipeline(MemorySink(), limits=Limits(min_free=10**15))
    visit(one, 10)
    assert one.flush(30)
    assert (one.state().journal, one.state().dropped) == ("full", {"disk_low": 10})


EXIT = """
import os, sys
from pathlib import Path
from centtrack import PrivacyPolicy
from centtrack.capture.capture import Capture
from centtrack.capture.observation import Observation
from centtrack.delivery.pipeline import Pipeline
from centtrack.sinks import open_sink

folder, ending = Path(sys.argv[1]), sys.argv[2]
pipeline = Pipeline(Capture(PrivacyPolicy.profile("cent")), [open_sink(f"jsonl:{folder}/events.jsonl")],
                    folder / "journal.db")
pipeline.start()
assert pipeline.flush(60)  # the engines are built: that may take longer than the exit waits
for _ in range(100):
    pipeline.observe(Observation("http", None, [], 1.7e9, path="/", method="GET", status=200))
if ending == "exit":
    sys.exit(0)
assert pipeline.flush(30)
os._exit(0)
"""


@pytest.mark.parametrize(("ending", "state"), [("exit", "ended"), ("_exit", "killed")])
def test_a_process_that_ends_without_closing(tmp_path, pipeline, ending, state):
    """An exit hook delivers; where none runs, the next start does."""
    run_python(EXIT, tmp_path, ending)
    file = tmp_path / "events.jsonl"
    if ending == "_exit":
        pipeline(JsonLinesSink(f"jsonl:{file}")).start()
    eventually(lambda: file.exists() and len(file.read_bytes().splitlines()) == 100)
    assert read_counts(tmp_path / "journal.db").workers[0].state == state


FORK = """
import os, sys, threading, warnings
from pathlib import Path
from centtrack import PrivacyPolicy
from centtrack.capture.capture import Capture
from centtrack.capture.observation import Observation
from centtrack.delivery.pipeline import Pipeline
from centtrack.testing import MemorySink

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 says that this process has threads
begun, goes_on = threading.Event(), threading.Event()

def stop_here():
    if threading.current_thread().name == "held":
        begun.set()
        assert goes_on.wait(90)

class Sink(MemorySink):
    @property
    def name(self):  # asked for while the pipeline starts
        stop_here()
        return "sink"

    name = name.setter(lambda *_: None)

class What(str):
    def __hash__(self):  # asked for while it is counted
        stop_here()
        return super().__hash__()

def record():
    pipeline.observe(Observation("http", None, [], 1.7e9, path="/", method="GET", status=200))
    assert pipeline.flush(60)

def note():
    pipeline.capture.note(What("what"))

pipeline = Pipeline(Capture(PrivacyPolicy.profile("cent")), [Sink()], Path(sys.argv[1]))
thread = threading.Thread(target={"start": pipeline.start, "note": note}[sys.argv[2]], name="held", daemon=True)
thread.start()
assert begun.wait(30)
child = os.fork()
if child == 0:
    try:
        record()
        note()
        threads = [threading.Thread(target=record) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        pipeline.close()
        os._exit(0)
    finally:
        os._exit(1)
assert os.waitpid(child, 0)[1] == 0
goes_on.set()
thread.join()
record()
pipeline.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("work", ["start", "note"])
def test_a_fork_while_another_thread_holds_a_lock(tmp_path, work):
    """Of the pipeline that starts, or of what counts. Nobody in the child could release it."""
    run_python(FORK, tmp_path / "journal.db", work)
    counts = read_counts(tmp_path / "journal.db")
    assert sorted((worker.state, worker.offered, worker.accepted) for worker in counts.workers) == [
        ("ended", 1, 1),
        ("ended", 9, 9),
    ]
    assert counts.noted == {"what": 2 if work == "note" else 1}
    assert counts.closes
    assert [(sink.name, sink.delivered) for sink in counts.sinks] == [("sink", 10)]
