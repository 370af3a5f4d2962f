"""A journal, and deliverers that end with the test."""

from __future__ import annotations

import pytest

from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.sending.deliverer import Deliverer


@pytest.fixture
def path(tmp_path):
    """Where the journal is."""
    return tmp_path / "journal.db"


@pytest.fixture
def opened(path):
    """Open the journal, as a process does: `opened()`."""
    made = []

    def make(**options):
        made.append(Journal(path, **options))
        made[-1].open()
        return made[-1]

    yield make
    for journal in made:
        journal.close()


@pytest.fixture
def journal(opened):
    """An open journal, as the recorder has it."""
    return opened()


@pytest.fixture
def deliver(journal):
    """Register a sink and deliver to it: `deliver(sink)`."""
    made = []

    def start(sink, **options):
        journal.register(sink.name)
        made.append(Deliverer(journal.path, sink, **options))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.drain(1)
        one.join()
