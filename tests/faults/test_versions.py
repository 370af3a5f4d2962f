"""Row 28: a journal that a newer version wrote."""

from __future__ import annotations

import logging

import apsw

from faults.apps import Host, accepted
from faults.judge import CountingSink
from waiting import eventually

NEWER = 99


def test_journal_of_a_newer_version(tmp_path, caplog, row):
    before = Host(tmp_path, CountingSink(), deliver=False)  # nobody is at the journal after the end
    before.visit(7)
    assert before.pipeline.flush(60)
    before.close()
    connection = apsw.Connection(str(before.journal))
    connection.pragma("user_version", NEWER)
    connection.close()
    kept = before.journal.read_bytes()

    sink = CountingSink()
    host = Host(tmp_path, sink)
    with caplog.at_level(logging.ERROR):
        host.visit(500)
        eventually(lambda: f"has version {NEWER}" in caplog.text)
    said = caplog.text.count("update centtrack")
    assert before.journal.read_bytes() == kept
    assert sink.verdict.delivered == 0

    host.journal.rename(host.journal.with_name("newer.db"))  # what the message says: use another file
    eventually(lambda: sink.verdict.distinct == 500)
    host.close()
    assert host.journal.with_name("newer.db").read_bytes() == kept
    counts = host.counts()
    assert counts.closes
    assert accepted(counts) == 500
    row(28, f"version {NEWER}", answered=500, file_kept="yes", said=said, accepted_after_it_was_moved=500, lost=0)
