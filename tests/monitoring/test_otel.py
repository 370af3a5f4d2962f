"""Metrics through the OpenTelemetry API, as an app's SDK reads them: each test in a process of its own, for its SDK."""

import json

import pytest

from processes import run_python

APP = """
import asyncio, json, os, sys
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from centtrack import PrivacyPolicy, TelemetryMiddleware
from centtrack.errors import Rejected
from centtrack.testing import make_scope

async def inner(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})

async def ignore(*_):
    return {}

def request(app, path):
    asyncio.run(app(make_scope(path), ignore, ignore))

def make(journal, sink, **options):
    policy = PrivacyPolicy.parse('[limits.default]\\ntime = "second"\\npage = "path"\\n[exclude]\\npaths = ["/secret"]')
    return TelemetryMiddleware(inner, policy=policy, sink=sink, journal=journal, **options)

def install():
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader]))
    return reader

def read(reader):
    found = {}
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else []:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    labels = ",".join(f"{name}={value}" for name, value in sorted(point.attributes.items()))
                    found[f"{metric.name}{{{labels}}}"] = point.value
    return found

def until(condition):
    import time
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
"""

COUNTS = """
reader = install()
def refuse(events):
    if any(event.path == "/bad" for event in events):
        raise Rejected("no")
app = make(sys.argv[1], refuse)
for path in ("/a", "/b", "/bad", "/secret"):
    request(app, path)
app.pipeline.flush(30)
until(lambda: sum(value for name, value in read(reader).items() if "delivered" in name or "dead" in name) == 3)
print(json.dumps(read(reader)))
"""


def test_what_a_process_counts(tmp_path):
    found = json.loads(run_python(APP + COUNTS, tmp_path / "journal.db"))
    sink = "{sink=__main__.refuse}"
    oldest = found.pop(f"centtrack.sink.oldest{sink}", None)
    assert oldest is None or oldest >= 0
    assert found.pop("centtrack.journal.bytes{}") > 0
    assert {name: value for name, value in found.items() if value} == {
        "centtrack.events.offered{}": 4,
        "centtrack.events.accepted{}": 3,
        "centtrack.events.dropped{reason=excluded}": 1,
        f"centtrack.sink.delivered{sink}": 2,
        f"centtrack.sink.dead_lettered{sink}": 1,
    }
    assert found["centtrack.queue.events{}"] == found["centtrack.queue.bytes{}"] == 0
    assert found["centtrack.events.dropped{reason=other}"] == 0


STANDBY = """
reader = install()
first, second = (make(sys.argv[1], "memory:") for _ in range(2))
request(first, "/a")
first.pipeline.flush(30)
until(lambda: first.pipeline.state().sinks[0].condition == "delivering")
if os.fork() == 0:  # another worker, which has the instruments, and another pipeline
    for _ in range(3):
        request(second, "/b")
    second.pipeline.flush(30)
    until(lambda: second.pipeline.state().sinks[0].condition == "standby")
    print(json.dumps(read(reader)))
    sys.stdout.flush()
    os._exit(0)
os.wait()
"""


def test_a_worker_that_does_not_deliver_tells_nothing_of_sinks(tmp_path):
    """And a forked child tells what is its own, once."""
    found = json.loads(run_python(APP + STANDBY, tmp_path / "journal.db"))
    assert found["centtrack.events.offered{}"] == found["centtrack.events.accepted{}"] == 3
    assert [name for name in found if "sink" in name] == []


TWICE = """
first, second = (make(f"{sys.argv[1]}-{number}", "memory:") for number in (1, 2))
request(first, "/a")
reader = install()  # later than the pipeline: the API hands its instruments over
for _ in range(2):
    request(second, "/b")
for app in (first, second):
    app.pipeline.flush(30)
first_look = read(reader)
first.pipeline.close()
request(first, "/c")
first.pipeline.flush(30)
print(json.dumps([first_look, read(reader)]))
"""


def test_several_pipelines_and_a_restart(tmp_path):
    """Two apps in one process are added up; one that was closed and started again isn't counted twice."""
    before, after = json.loads(run_python(APP + TWICE, tmp_path / "journal"))
    assert before["centtrack.events.offered{}"] == 3
    assert after["centtrack.events.offered{}"] in {3, 4}  # 4 if it still knows of the time before


@pytest.mark.parametrize(
    "broken",
    [
        "sys.modules['opentelemetry'] = None",  # not installed
        "import opentelemetry.metrics as api; api.get_meter = lambda *_: 1 / 0",
    ],
)
def test_metrics_never_keep_an_app_from_recording(broken, tmp_path):
    script = f"""
import sys
{broken}
import asyncio
from centtrack import TelemetryMiddleware
from centtrack.testing import make_scope
async def inner(scope, receive, send):
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b""}})
sent = []
async def send(message): sent.append(message["type"])
async def receive(): return {{}}
app = TelemetryMiddleware(inner, sink="memory:", journal=sys.argv[1])
asyncio.run(app(make_scope("/"), receive, send))
assert app.pipeline.flush(30)
print(len(sent), app.pipeline.state().accepted)
"""
    assert run_python(script, tmp_path / "journal.db").split() == ["2", "1"]
