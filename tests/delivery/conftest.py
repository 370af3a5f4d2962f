"""A journal, and deliverers that end with the test."""

from __future__ import annotations

import pytest

from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.sending.deliverer import Deliverer


@pytest.fixture
def journal(tmp_path):
    """An open journal, as the recorder has it."""
    one = Journal(tmp_path / "journal.db")
    one.open()
    yield one
    one.close()


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
