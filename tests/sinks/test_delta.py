"""The Delta Lake table: each batch once, nothing personal in its log."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import stat

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from centtrack.delivery.journal.counters import read_counts
from centtrack.errors import ConfigurationError, Rejected, RetryLater
from centtrack.sinks import Batch, delta, open_sink
from centtrack.testing import make_event
from processes import python, run_python


@pytest.fixture
def lake(tmp_path):
    return tmp_path / "lake"


def opened(lake):
    sink = open_sink(f"delta:{lake}")
    sink.open()
    return sink


def write(sink, sequence, *events, stream="journal/sink", **options):
    sink.write(Batch(events or [make_event()], stream=stream, sequence=sequence, **options))


def ids(lake):
    return DeltaTable(lake).to_pyarrow_table(columns=["event_id"])["event_id"].to_pylist()


def log(lake):
    """All actions of the log, in order."""
    files = sorted((lake / "_delta_log").glob("*.json"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_it_is_partitioned_by_date(lake):
    days = [dt.datetime(2026, 11, day, 23, 59, tzinfo=dt.UTC) for day in (1, 1, 2)]
    write(opened(lake), 1, *(make_event(time=day) for day in days))
    assert DeltaTable(lake).metadata().partition_columns == ["date"]
    assert sorted(path.name for path in lake.glob("date=*")) == ["date=2026-11-01", "date=2026-11-02"]
    assert len(ids(lake)) == 3


PERSONAL = {
    "path": "/visitor-4711",
    "query": "q=visitor-4711",
    "referrer_path": "/from-4711",
    "ip_network": "203.0.113.0/24",
    "city": "Qostanay",
    "browser": "Vivaldi",
    "browser_version": "4711",
    "utm_campaign": "autumn",
    "language": "kk",
    "route": "/visitors/{visitor}",
    "props": {"plan": "gold"},
    "consent": {"analytics": "refused"},
}


def test_nothing_but_dates_and_times_is_in_its_log(lake, monkeypatch):
    """What a deletion of rows would not reach: statistics of columns, in commits and checkpoints."""
    monkeypatch.setattr(delta, "_COMPACT_EVERY", 3)
    sink = opened(lake)
    event = make_event(**PERSONAL)
    for sequence in range(1, 5):
        write(sink, sequence, event if sequence == 1 else make_event(**PERSONAL))
    DeltaTable(lake).create_checkpoint()
    adds = [action["add"] for action in log(lake) if "add" in action]
    assert len(adds) >= 5  # four batches, and what compaction joined
    for add in adds:
        statistics = json.loads(add["stats"])
        columns = {name for kind in ("minValues", "maxValues", "nullCount") for name in statistics[kind]}
        assert columns <= {"date", "time"}
        assert set(add["partitionValues"]) == {"date"}
    written = b"".join(file.read_bytes() for file in (lake / "_delta_log").rglob("*") if file.is_file())
    values = [event.event_id, *(str(value) for value in PERSONAL.values() if isinstance(value, str)), "gold", "refused"]
    assert [value for value in values if value.encode() in written] == []


def test_its_folder_is_the_owners_only(lake):
    opened(lake)
    assert stat.S_IMODE(lake.stat().st_mode) == 0o700


# Repetitions


def test_a_repeated_batch_changes_nothing(lake):
    """By the same object, by another one, and by another process."""
    sink = opened(lake)
    events = [make_event() for _ in range(10)]
    write(sink, 7, *events)
    version = DeltaTable(lake).version()
    write(sink, 7, *events, repeated=True)
    write(opened(lake), 7, *events, repeated=True)
    repeat = """
import sys
from centtrack.sinks import Batch, open_sink
from centtrack.testing import make_event
sink = open_sink(f"delta:{sys.argv[1]}")
sink.open()
sink.write(Batch([make_event()], stream="journal/sink", sequence=7, repeated=True))
"""
    run_python(repeat, lake)
    assert DeltaTable(lake).version() == version
    assert sorted(ids(lake)) == sorted(event.event_id for event in events)


def test_a_handle_sees_what_another_wrote(lake):
    """A worker that was the deliverer, and is again."""
    one, two = opened(lake), opened(lake)
    event = make_event()
    write(one, 1)
    write(two, 2, event)
    write(one, 2, event, repeated=True)
    write(one, 3)
    write(two, 3, repeated=True)
    assert len(ids(lake)) == 3


def test_streams_are_counted_apart(lake):
    sink = opened(lake)
    write(sink, 5, stream="journal-1/sink")
    write(sink, 4, stream="journal-2/sink")
    write(sink, 5, stream="journal-2/sink")
    assert len(ids(lake)) == 3


def test_what_never_fits_is_rejected(lake):
    """Else one bad event would be tried again for ever, and all others would wait behind it."""
    sink = opened(lake)
    with pytest.raises(Rejected):
        write(sink, 1, make_event(response_bytes=2**63))
    write(sink, 2)
    assert len(ids(lake)) == 1


@pytest.mark.parametrize("columns", [{"path": "\ud800"}, {"status": "x"}, {"consent": {1: 2}}], ids=str)
def test_what_has_another_type_is_rejected(lake, columns):
    sink = opened(lake)
    with pytest.raises(Rejected):
        write(sink, 1, make_event(**columns))
    write(sink, 2)
    assert len(ids(lake)) == 1


@pytest.mark.parametrize(
    "text", ["a\0b", "x" * 1_000_000, "\u202e", "\U0001f42b"], ids=["NUL", "1 MB", "direction", "astral"]
)
def test_strange_text_is_stored(lake, text):
    write(opened(lake), 1, make_event(path=text))
    assert DeltaTable(lake).to_pyarrow_table()["path"].to_pylist() == [text]


# Trouble


def test_a_table_of_others_is_for_somebody_to_mend(lake):
    write_deltalake(lake, pa.table({"id": [1]}))
    sink = opened(lake)
    with pytest.raises(ConfigurationError, match=r"lake is a table that events can't be written to .*another folder"):
        write(sink, 1)
    assert DeltaTable(lake).to_pyarrow_table().num_rows == 1


def test_a_table_that_was_removed_is_made_anew(lake):
    """When it is opened, as the delivery does after a failure."""
    sink = opened(lake)
    write(sink, 1)
    shutil.rmtree(lake)
    with pytest.raises(RetryLater, match=r"can't write delta:.*lake: DeltaError$"):
        write(sink, 2, make_event(path="/visitor-4711"))
    sink.close()
    sink.open()
    write(sink, 2, repeated=True)
    assert len(ids(lake)) == 1


def test_a_folder_that_cannot_be_made_is_tried_again(lake):
    lake.write_bytes(b"a file")
    with pytest.raises(RetryLater, match=r"can't write delta:.*lake: File exists"):
        opened(lake)


def test_what_a_storage_says_is_told_without_secrets(lake, monkeypatch):
    def fail(*_args, **_options):
        raise OSError("Generic S3 error: PUT https://key:hunter2@host/lake?sig=geheim failed: refused\nVisitor 4711")

    sink = opened(lake)
    monkeypatch.setattr(delta.deltalake, "write_deltalake", fail)
    with pytest.raises(RetryLater) as caught:
        write(sink, 1)
    assert str(caught.value).endswith("Generic S3 error: PUT https://host/lake failed: refused")


def test_it_is_waited_for(lake):
    """Two attempts at once could both find that the batch isn't there yet."""
    assert open_sink(f"delta:{lake}").timeout_s is None


# Compaction


def test_compaction_keeps_rows_and_transaction_versions(lake, monkeypatch):
    monkeypatch.setattr(delta, "_COMPACT_EVERY", 10)
    sink = opened(lake)
    events = [make_event() for _ in range(25)]
    for sequence, event in enumerate(events, start=1):
        write(sink, sequence, event)
    table = DeltaTable(lake)
    assert len(table.file_uris()) < 10
    assert table.transaction_version("journal/sink") == 25
    assert sorted(ids(lake)) == sorted(event.event_id for event in events)
    for again in (sink, opened(lake)):
        write(again, 25, events[-1], repeated=True)
    assert len(ids(lake)) == 25


def test_it_goes_on_after_another_compacted(lake):
    one, two = opened(lake), opened(lake)
    for sequence in range(1, 6):
        write(one, sequence)
    two.compact()
    write(one, 6)
    write(one, 6, repeated=True)
    assert len(ids(lake)) == 6


# Two hosts, or two apps, with one table

WRITER = """
import sys
from pathlib import Path
import msgspec
from centtrack.delivery.sending.deliverer import Deliverer
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.records import Encoded
from centtrack.sinks import delta, open_sink
from centtrack.testing import make_event

delta._COMPACT_EVERY = 3
delta.DeltaSink.linger_s = 0.0
path, batches = Path(sys.argv[1]), int(sys.argv[3])
sink = open_sink(sys.argv[2])
journal = Journal(path)
journal.open()
journal.register(sink.name)
deliverer = Deliverer(path, sink)
deliverer.start()
for _ in range(batches):
    lines = b"\\n".join(msgspec.json.encode(make_event()) for _ in range(10))
    journal.append(Encoded(10, lines, []), worker="w", counts={("offered", ""): 10, ("accepted", ""): 10})
    while journal.has_pending(sink.name):
        deliverer.wake()
print("done")
"""


def test_two_journals_write_to_one_table_at_once(tmp_path, lake):
    """With compactions of both in between: commits that conflict are tried again, and are not doubled."""
    batches = 30
    with python(WRITER, tmp_path / "other.db", f"delta:{lake}", batches) as other:
        run_python(WRITER, tmp_path / "one.db", f"delta:{lake}", batches)
        _, errors = other.communicate(timeout=60)
        assert other.returncode == 0, errors
    found = ids(lake)
    assert len(found) == len(set(found)) == 2 * batches * 10
    for name in ("one.db", "other.db"):
        [sink] = read_counts(tmp_path / name).sinks
        assert (sink.delivered, sink.closes) == (batches * 10, True)


# Names


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("delta:/srv/lake", "delta:/srv/lake"),
        ("delta:lake", "delta:{}/lake"),
        ("delta:./lake", "delta:{}/lake"),
        ("delta:s3://bucket/lake", "delta:s3://bucket/lake"),
        ("delta:s3://key:hunter2@bucket/lake", "delta:s3://bucket/lake"),
    ],
)
def test_its_name_is_the_location_without_credentials(url, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_sink(url).name == name.format(tmp_path)


def test_a_location_is_needed():
    with pytest.raises(ConfigurationError, match=r"delta:\./telemetry"):
        open_sink("delta:")
