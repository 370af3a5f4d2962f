"""`metrics_app`, mounted as users mount it, and read as Prometheus reads it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import FastAPI
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from centtrack import PrivacyPolicy, TelemetryMiddleware
from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.journal.place import JournalPlace
from centtrack.errors import Rejected
from centtrack.monitoring import app as metrics
from centtrack.monitoring import metrics_app, prometheus
from waiting import eventually

POLICY = PrivacyPolicy.parse('[limits.default]\ntime = "second"\npage = "path"\n[exclude]\npaths = ["/secret"]')


def page(request):
    return PlainTextResponse("hello")


def make_app(journal, sink, **options):
    app = Starlette(routes=[Mount("/metrics", metrics_app), Route("/{path}", page)])
    app.add_middleware(TelemetryMiddleware, policy=POLICY, sink=sink, journal=journal, **options)
    return app


def scrape(client, path="/metrics/"):
    """{"name{label=value}": number} of all samples."""
    response = client.get(path)
    assert response.status_code == 200
    samples = {}
    for family in read_text(response.text):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}"] = sample.value
    return samples


def named(events):
    if any(event.path == "/bad" for event in events):
        raise Rejected("no")


def test_what_all_workers_of_a_host_counted(tmp_path):
    """Two workers, with a pipeline each: both show the same, and it is what the journal's counters say."""
    journal = tmp_path / "journal.db"
    with TestClient(make_app(journal, named)) as one, TestClient(make_app(journal, named)) as other:
        for path in ("/a", "/b", "/bad", "/secret"):
            one.get(path)
        for _ in range(3):
            other.get("/c")
        name = f"{named.__module__}.named"
        sink = f"{{sink={name}}}"
        delivered, dead = f"centtrack_sink_delivered_total{sink}", f"centtrack_sink_dead_letters{sink}"
        eventually(lambda: (now := scrape(one))[delivered] == 5 and now[dead] == 1)
        shown, again = scrape(one), scrape(other)
        counts = read_counts(journal)
    # Scrapes themselves are kept out: that is their trace, and it grows from one to the next.
    changing = {
        "centtrack_events_offered_total{}", "centtrack_events_dropped_total{reason=excluded}",
        "centtrack_journal_bytes{}",
    }  # fmt: skip
    assert {key: shown[key] for key in shown.keys() - changing} == {key: again[key] for key in again.keys() - changing}
    assert shown["centtrack_events_accepted_total{}"] == 6 == sum(worker.accepted for worker in counts.workers)
    assert shown["centtrack_events_dropped_total{reason=excluded}"] >= 1
    assert shown["centtrack_journal_bytes{}"] > 0
    assert shown["centtrack_journal_up{}"] == 1
    assert (shown[delivered], shown[dead]) == (5, 1)
    assert shown[f"centtrack_sink_pending_events{sink}"] == shown[f"centtrack_sink_oldest_seconds{sink}"] == 0
    assert shown[f"centtrack_sink_lost_total{{reason=corrupt,sink={name}}}"] == 0
    assert {"centtrack_queue_events{}", "centtrack_queue_bytes{}"} <= shown.keys()


def test_only_configured_sinks_are_shown(tmp_path):
    with TestClient(make_app(tmp_path / "journal.db", "memory:")) as client:
        client.get("/a")
        eventually(lambda: "centtrack_sink_delivered_total{sink=memory:}" in scrape(client))
    with TestClient(make_app(tmp_path / "journal.db", named)) as client:
        eventually(lambda: f"centtrack_sink_delivered_total{{sink={named.__module__}.named}}" in scrape(client))
        assert [sample for sample in scrape(client) if "memory" in sample] == []


def test_it_is_not_recorded(tmp_path):
    with TestClient(make_app(tmp_path / "journal.db", "memory:")) as client:
        for _ in range(3):
            scrape(client)
        eventually(lambda: scrape(client)["centtrack_events_dropped_total{reason=excluded}"] >= 3)
        assert scrape(client)["centtrack_events_accepted_total{}"] == 0


def make_fastapi():
    app = FastAPI()
    app.mount("/metrics", metrics_app)
    return app


def make_fastapi_with_route():
    app = FastAPI()
    app.add_route("/metrics", metrics_app)
    return app


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: Starlette(routes=[Route("/metrics", metrics_app)]), "/metrics"),
        (make_fastapi_with_route, "/metrics"),
        (make_fastapi, "/metrics/"),
        (lambda: metrics_app, "/anything"),
    ],
    ids=["route", "route of FastAPI", "mount of FastAPI", "by itself"],
)
def test_other_ways_to_serve_it(make, path, tmp_path):
    app = TelemetryMiddleware(make(), policy=POLICY, sink="memory:", journal=tmp_path / "journal.db")
    with TestClient(app) as client:
        assert scrape(client, path)["centtrack_queue_events{}"] == 0


def test_methods_and_formats(tmp_path):
    with TestClient(make_app(tmp_path / "journal.db", "memory:")) as client:
        head = client.head("/metrics/")
        assert (head.status_code, head.content) == (200, b"")
        refused = client.post("/metrics/")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
        modern = client.get("/metrics/", headers={"accept": "application/openmetrics-text; version=1.0.0"})
        assert modern.headers["content-type"].startswith("application/openmetrics-text")
        assert [family.name for family in read_openmetrics(modern.text)]
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/metrics/"):
            pass


def test_without_a_readable_journal_the_queue_is_shown(tmp_path):
    """Another program's file in its place: the app goes on, and so does what the process itself knows."""
    (tmp_path / "journal.db").write_text("mine")
    with TestClient(make_app(tmp_path / "journal.db", "memory:")) as client:
        client.get("/a")
        shown = scrape(client)
    assert shown.keys() == {"centtrack_journal_up{}", "centtrack_queue_events{}", "centtrack_queue_bytes{}"}
    assert shown["centtrack_journal_up{}"] == 0
    assert (tmp_path / "journal.db").read_text() == "mine"


def test_a_lock_that_is_held_for_long_costs_the_app_no_thread(tmp_path, monkeypatch):
    """As by a process that was stopped: 50 scrapes answer without the journal, and pages go on meanwhile."""
    monkeypatch.setattr(prometheus, "READ_WITHIN_S", 0.5)
    monkeypatch.setattr(metrics, "_MAX_WAITING_S", 0.5)
    up, lock = "centtrack_journal_up{}", JournalPlace(tmp_path / "journal.db").lock
    with TestClient(make_app(tmp_path / "journal.db", "memory:")) as client, ThreadPoolExecutor(51) as pool:
        eventually(lambda: scrape(client)[up] == 1)
        with lock:
            scrapes = [pool.submit(scrape, client) for _ in range(50)]
            assert pool.submit(client.get, "/a").result(30).text == "hello"
            assert {shown.result(30)[up] for shown in scrapes} == {0}
            assert [thread.name for thread in threading.enumerate()].count("centtrack-counts") == 1
        eventually(lambda: scrape(client)[up] == 1)


def test_without_the_middleware():
    client = TestClient(Starlette(routes=[Mount("/metrics", metrics_app)]))
    assert client.get("/metrics/").status_code == 503
