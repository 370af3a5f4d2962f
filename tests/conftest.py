"""Fixtures for all tests, and the rule that CI skips nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from centtrack.capture.capture import Capture
from centtrack.policy import PrivacyPolicy

REQUIRES_SERVICES = os.environ.get("CENTTRACK_REQUIRE_SERVICES") == "1"


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
    for name in ("CENTTRACK_POLICY", "CENTTRACK_SINK", "CENTTRACK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
