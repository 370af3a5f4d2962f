"""What the tests of the fault matrix share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from faults.apps import open_hosts
from faults.judge import Judge
from faults.table import Figure, report


@pytest.fixture(scope="session")
def row() -> Callable[..., None]:
    """Reports a row of the matrix: `row(3, "200 rounds", accepted=1_000, delivered=1_000, lost=0)`."""

    def tell(number: int, injected: str, **figures: Figure) -> None:
        report(number, injected, figures)

    return tell


@pytest.fixture(autouse=True)
def _end_hosts() -> Iterator[None]:
    """A test that fails leaves no threads behind."""
    yield
    for host in list(open_hosts):
        host.close()


@pytest.fixture
def judge() -> Iterator[Judge]:
    """A counting sink in a process of its own."""
    with Judge() as started:
        yield started
