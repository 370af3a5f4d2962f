"""The example of a large site: its files fit together, as far as that shows without containers.

tests/faults/test_topology.py runs the same topology as processes.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from starlette.testclient import TestClient
from typer.testing import CliRunner

from centtrack import PrivacyPolicy
from centtrack.cli.app import app as command
from centtrack.sinks import open_sink
from centtrack.sinks.base import name_of
from centtrack.testing import make_event
from clickhouse import run_statement

ROOT = Path(__file__).parent.parent
SCALE = ROOT / "examples" / "scale"
COMPOSE = yaml.safe_load((SCALE / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
PANELS = json.loads((SCALE / "grafana/events.json").read_text())["panels"]
BROKERS = "kafka1:9092,kafka2:9092,kafka3:9092"
RETENTION = "400"


def test_services_name_what_is_there():
    named = {name for service in SERVICES.values() for name in service.get("depends_on", ())}
    assert named <= set(SERVICES)
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    files = {mount.split(":")[0] for mount in mounts if mount.startswith("./")}
    assert {mount.split(":")[0] for mount in mounts} - files == set(COMPOSE["volumes"])
    assert [name for name in files if not (SCALE / name).is_file()] == []


@pytest.mark.parametrize("number", [1, 2, 3])
def test_brokers_are_those_that_others_name(number):
    settings = SERVICES[f"kafka{number}"]["environment"]
    assert settings["KAFKA_NODE_ID"] == str(number)
    assert settings["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://kafka{number}:9092"
    assert f"{number}@kafka{number}:9093" in settings["KAFKA_CONTROLLER_QUORUM_VOTERS"].split(",")


def test_images_have_versions():
    for service in SERVICES.values():
        assert "build" in service or re.search(r":\d", service["image"])


def test_the_image_installs_what_there_is():
    [extras] = re.findall(r"/source\[([\w,]+)\]", (SCALE / "Dockerfile").read_text())
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= set(known)


def test_the_tables_are_those_of_the_schema():
    """`centtrack schema --format clickhouse --retention 400 --kafka BROKERS/events > clickhouse.sql` makes them."""
    arguments = ["schema", "--format", "clickhouse", "--retention", RETENTION, "--kafka", f"{BROKERS}/events"]
    result = CliRunner().invoke(command, arguments)
    assert result.stdout == (SCALE / "clickhouse.sql").read_text()


def test_the_policy_names_the_sinks_of_the_services():
    policy = PrivacyPolicy.load(SCALE / "privacy.toml")
    options = dict(word.removeprefix("--").split("=", 1) for word in SERVICES["lake"]["command"][2:])
    sinks = [SERVICES["app"]["environment"]["CENTTRACK_SINK"], options["sink"]]
    assert [entry.name for entry in policy.document.sinks] == [name_of(open_sink(url)) for url in sinks]
    assert options["from"] == f"{sinks[0]}?group=lake"
    assert Path(options["policy"]).name == "privacy.toml"


def test_the_command_of_the_lake_has_these_options():
    program, *arguments = SERVICES["lake"]["command"]
    assert program == "centtrack"
    shown = CliRunner().invoke(command, [arguments[0], "--help"], env={"COLUMNS": "200"}).stdout
    assert all(argument.split("=")[0] in shown for argument in arguments[1:]), shlex.join(arguments)


@pytest.mark.usefixtures("unhurried")
def test_the_app_answers_and_leaves_health_checks_out(tmp_path, monkeypatch):
    monkeypatch.setenv("CENTTRACK_SINK", f"jsonl:{tmp_path / 'events.jsonl'}")
    monkeypatch.setenv("CENTTRACK_JOURNAL", str(tmp_path / "journal.db"))
    scope: dict[str, object] = {"__file__": str(SCALE / "app.py")}
    exec(compile((SCALE / "app.py").read_text(), SCALE / "app.py", "exec"), scope)
    with TestClient(scope["app"]) as client:
        assert [client.get(path).status_code for path in ("/products/motor", "/health")] == [200, 200]
    routes = [json.loads(line)["route"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert routes == ["/products/{product}"]


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_the_dashboard_asks_what_clickhouse_can_answer(panel, clickhouse_url):
    """With Grafana's macros in the place of which stands what they become."""
    sink = open_sink(clickhouse_url)
    sink.open()
    sink.write([make_event(kind="document", bot=False, route="/", country_code="KZ", consent={"analytics": "given"})])
    sink.close()
    [target] = panel["targets"]
    query = target["rawSql"].replace("$__timeFilter(time)", "time > '2000-01-01'")
    query = query.replace("$__timeInterval(time)", "toStartOfInterval(time, interval 1 minute)")
    assert "$" not in query
    [row] = run_statement(clickhouse_url, f"{query} format JSONEachRow")
    assert 1 in row.values()
