"""Fixtures for all tests, and the rule that CI skips nothing."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from centtrack.capture.capture import Capture
from centtrack.capture.observation import Observation
from centtrack.delivery import pipeline
from centtrack.logs import forget
from centtrack.policy import PROFILES, PrivacyPolicy
from clickhouse import clickhouse_server, own_database
from databases import postgresql_server, redis_server
from kafka_cluster import KafkaCluster, kafka_cluster
from s3 import s3_server
from s3 import settings as s3_settings

REQUIRES_SERVICES = os.environ.get("CENTTRACK_REQUIRE_SERVICES") == "1"

# How long an example takes tells of the machine, and of what else runs on it.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A skip is a failure where everything must be there; only tests on real data may lack theirs."""
    report = yield
    if REQUIRES_SERVICES and report.skipped and not item.get_closest_marker("real_data"):
        report.outcome = "failed"
    return report


@pytest.fixture(autouse=True, scope="session")
def _warm_engines() -> None:
    """Build the engines once, not in the first test that records something: on a busy machine that takes seconds."""
    Capture(PrivacyPolicy.profile("cent")).warm()


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals go to the test's own folder, never to the home of who runs the tests."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("CENTTRACK_POLICY", "CENTTRACK_SINK", "CENTTRACK_DISABLED", "CENTTRACK_SECRET", "CENTTRACK_LEDGER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _own_minute() -> None:
    """What an earlier test logged keeps no line of this one back."""
    forget()


@pytest.fixture(autouse=True)
def _own_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No lines of threads that an earlier test left behind, and no set-up of logs for a later one."""
    earlier = {thread for thread in threading.enumerate() if thread.name.startswith("centtrack-")}

    def is_own(_record: logging.LogRecord) -> bool:
        return threading.current_thread() not in earlier  # their numbers are given to new ones when they end

    handlers, levels = list(logging.root.handlers), {name: logging.getLogger(name).level for name in ("", "centtrack")}
    caplog.handler.addFilter(is_own)
    yield
    caplog.handler.removeFilter(is_own)
    for handler in [one for one in logging.root.handlers if one not in handlers]:
        logging.root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing takes the time it needs: on a busy machine a commit may take longer than an app's end may."""
    monkeypatch.setattr(pipeline, "COMMIT_WITHIN_S", 60.0)
    monkeypatch.setattr(pipeline, "DELIVER_WITHIN_S", 60.0)


@pytest.fixture(scope="session")
def test_data():
    """The folder that CENTTRACK_TEST_DATA names."""
    folder = os.environ.get("CENTTRACK_TEST_DATA")
    if not folder:
        pytest.skip("CENTTRACK_TEST_DATA is not set: it names the folder of MaxMind's test databases")
    return Path(folder)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis."""
    with redis_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL."""
    with postgresql_server() as url:
        yield url


@pytest.fixture(scope="session")
def clickhouse_server_url() -> Iterator[str]:
    """A ClickHouse."""
    with clickhouse_server() as url:
        yield url


@pytest.fixture
def clickhouse_url(clickhouse_server_url: str) -> Iterator[str]:
    """A new database in it."""
    with own_database(clickhouse_server_url) as url:
        yield url


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaCluster]:
    """A Kafka cluster for all, with users, rights and TLS beside its plain listener. Nobody kills its brokers."""
    with kafka_cluster(secured=True) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def s3_server_url() -> Iterator[str]:
    """A server of S3's protocol."""
    with s3_server() as url:
        yield url


@pytest.fixture
def s3_url(s3_server_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """That server, which clients find by the environment, as in deployments."""
    for name, value in s3_settings(s3_server_url).items():
        monkeypatch.setenv(name, value)
    return s3_server_url


CHROME = (
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.127 "
    b"Safari/537.36"
)


def _observation(**seen):
    defaults = {
        "protocol": "http",
        "peer": "203.0.113.77",
        "headers": [(b"host", b"shop.example"), (b"user-agent", CHROME)],
        "time": 1_700_000_000.123,
        "method": "GET",
        "status": 200,
    }
    return Observation(**{**defaults, **seen})


@cache
def _capture_of(policy):
    """A profile by its name, or a policy by its text. Engines are shared, so this is cheap."""
    return Capture(PrivacyPolicy.profile(policy) if policy in PROFILES else PrivacyPolicy.parse(policy))


@pytest.fixture(scope="session")
def observation():
    """Makes an observation: what isn't given is that of a plain visit with Chrome."""
    return _observation


@pytest.fixture(scope="session")
def capture_of():
    """The `Capture` of a policy."""
    return _capture_of


@pytest.fixture(scope="session")
def event_of():
    """The event that a policy makes of an observation."""
    return lambda policy, **seen: _capture_of(policy).capture(_observation(**seen))
