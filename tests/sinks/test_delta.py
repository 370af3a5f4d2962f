"""The Delta Lake table: each batch once, nothing personal in its log."""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
import random
import shutil
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Field, write_deltalake
from deltalake.table import TableOptimizer

from centtrack.delivery.journal.counters import read_counts
from centtrack.errors import ConfigurationError, Rejected, RetryLater
from centtrack.schema.arrow import event_table
from centtrack.sinks import Batch, open_sink
from centtrack.sinks.base import OverlapError
from centtrack.sinks.delta import columns
from centtrack.sinks.delta import sink as delta
from centtrack.testing import SinkContract, make_event
from lakes import events_of
from processes import python, run_python
from s3 import make_bucket


class TestDeltaSink(SinkContract):
    def make_sink(self, folder):
        return open_sink(f"delta:{folder}/lake")

    def stored(self, folder):
        return events_of(folder / "lake")


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


# Long enough that a log, which has numbers, times and compressed pages, doesn't hold one of them by chance.
PERSONAL = {
    "path": "/visitor-4711",
    "query": "q=visitor-4711",
    "referrer_path": "/from-4711",
    "ip_network": "203.0.113.0/24",
    "city": "Qostanay",
    "browser": "Vivaldi",
    "browser_version": "126.0.6478.127",
    "utm_campaign": "autumn",
    "language": "kk-Cyrl-KZ",
    "route": "/visitors/{visitor}",
    "props": {"plan": "gold-and-silver"},
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
    values = [
        event.event_id,
        *(str(value) for value in PERSONAL.values() if isinstance(value, str)),
        "gold-and-silver",
        "refused",
    ]
    assert [value for value in values if value.encode() in written] == []


def test_its_folder_is_the_owners_only(lake):
    opened(lake)
    assert stat.S_IMODE(lake.stat().st_mode) == 0o700


# Repetitions


def test_a_repeated_batch_changes_nothing(lake):
    """By the same object, and by another one."""
    sink = opened(lake)
    events = [make_event() for _ in range(10)]
    write(sink, 7, *events)
    version = DeltaTable(lake).version()
    write(sink, 7, *events, repeated=True)
    write(opened(lake), 7, *events, repeated=True)
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
    with pytest.raises(ConfigurationError, match=r"lake is a table that events can't be written to: .*another folder"):
        opened(lake)
    assert DeltaTable(lake).to_pyarrow_table().to_pylist() == [{"id": 1}]
    assert DeltaTable(lake).version() == 0


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
        raise OSError("Generic error: PUT https://key:hunter2@host/lake?sig=geheim of visitor-4711: no (os error 28)")

    sink = opened(lake)
    monkeypatch.setattr(delta.deltalake, "write_deltalake", fail)
    with pytest.raises(RetryLater, match=f"^can't write delta:{lake}: No space left on device$"):
        write(sink, 1)


def test_it_is_waited_for(lake):
    """What a disk does can't be ended."""
    assert open_sink(f"delta:{lake}").timeout_s is None


# Several writers of one stream, whose events are numbered


@pytest.mark.parametrize(
    ("other", "outcome"),
    [
        (None, None),  # nobody else wrote
        ((1, 10), None),  # the same batch
        ((1, 15), None),  # more than that
        ((1, 5), 5),  # its beginning
        ((1, 9), 9),  # all but its last event
    ],
    ids=str,
)
def test_what_another_wrote_in_between_is_not_written_again(lake, monkeypatch, other, outcome):
    """Between reading the table's number and committing: the commit fails, and the number is read again."""
    one, two, append = opened(lake), opened(lake), delta._append

    def append_after_the_other(table, events):
        monkeypatch.setattr(delta, "_append", append)
        if other:
            two.write(numbered(*other))
        append(table, events)

    monkeypatch.setattr(delta, "_append", append_after_the_other)
    if outcome is None:
        one.write(numbered(1, 10))
    else:
        with pytest.raises(OverlapError) as caught:
            one.write(numbered(1, 10))
        assert caught.value.done == outcome
        one.write(numbered(outcome + 1, 10))
    last = max(10, other[1] if other else 0)
    assert sorted(ids(lake), key=int) == [str(number) for number in range(1, last + 1)]
    assert one.last_sequence("topic-0") == two.last_sequence("topic-0") == last


def test_what_another_wrote_of_another_stream_in_between_is_noticed(lake, monkeypatch):
    """Then the commit succeeds on top of the other's."""
    one, two, append = opened(lake), opened(lake), delta._append
    one.write(numbered(1, 1, "topic-1"))

    def append_after_the_other(table, events):
        monkeypatch.setattr(delta, "_append", append)
        two.write(numbered(2, 2, "topic-1"))
        append(table, events)

    monkeypatch.setattr(delta, "_append", append_after_the_other)
    one.write(numbered(3, 3, "topic-0"))
    one.write(numbered(2, 2, "topic-1"))
    assert sorted(ids(lake)) == ["1", "2", "3"]


def test_events_of_no_stream_hide_nothing_of_another(lake):
    one, two = opened(lake), opened(lake)
    one.write(numbered(1, 1))
    two.write(numbered(2, 2))
    one.write([make_event(event_id="3")])
    one.write(numbered(2, 2))
    assert sorted(ids(lake)) == ["1", "2", "3"]


def numbered(first, last, stream="topic-0"):
    events = [make_event(event_id=str(number)) for number in range(first, last + 1)]
    return Batch(events, stream=stream, sequence=last, first=first)


def test_what_is_known_of_streams_is_forgotten_when_others_commit(lake):
    """Whatever the order of the writers, and of the streams."""
    chance, sinks, ends = random.Random(4711), [opened(lake), opened(lake)], {"topic-0": 0, "topic-1": 0}
    for _ in range(20):
        sink, stream = chance.choice(sinks), chance.choice(list(ends))
        if chance.random() < 0.2:
            write(sink, 1, stream=f"other-{chance.random()}")
        assert (sink.last_sequence(stream) or 0) == ends[stream]
        sink.write(numbered(ends[stream] + 1, ends[stream] + 2, stream))
        ends[stream] += 2
        chance.choice(sinks).write(numbered(ends[stream] - 1, ends[stream], stream))
    assert sum(event_id.isdecimal() for event_id in ids(lake)) == sum(ends.values())


def test_where_a_stream_ends(lake):
    sink = opened(lake)
    assert sink.last_sequence("topic-0") is None
    sink.write(numbered(0, 0))
    assert sink.last_sequence("topic-0") == 0
    sink.write(numbered(7, 9))  # numbers between are of events that aren't there, as a topic's markers
    assert sink.last_sequence("topic-0") == 9
    assert sink.last_sequence("topic-1") is None
    assert sorted(ids(lake)) == ["0", "7", "8", "9"]


def write_numbered(location, seed, end):
    """Write all events of a stream, in batches of any size, with reopenings in between."""
    chance, sink = random.Random(seed), open_sink(f"delta:{location}")
    done = sink.last_sequence("topic-0") or 0
    while done < end:
        last = min(done + chance.randint(1, 12), end)
        try:
            sink.write(numbered(done + 1, last))
            done = last
        except OverlapError as error:
            done = error.done
        except RetryLater:
            sink.close()
        if chance.random() < 0.1:
            sink.close()
            done = sink.last_sequence("topic-0") or 0


def write_at_once(location, end):
    """Two writers, each with all events of a stream, in batches whose bounds differ."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda seed: write_numbered(location, seed, end), (1, 2)))
    assert sorted(map(int, ids(location))) == list(range(1, end + 1))


def test_two_writers_of_one_stream_on_disk(lake):
    write_at_once(lake, 300)


def test_two_writers_of_one_stream_in_an_object_store(s3_url):
    write_at_once(f"s3://{make_bucket(s3_url)}/lake", 60)


# Columns


STATISTICS = {"delta.dataSkippingStatsColumns": "time"}


def older(lake, *without, **more):
    """A lake of a version that had fewer columns, with an event."""
    event = event_table([make_event(path="/old", visitor_id="4711")]).drop_columns(list(without))
    for name, value in more.items():
        event = event.append_column(name, pa.array([value]))
    write_deltalake(lake, event, partition_by=["date"], configuration=STATISTICS)


def test_an_older_table_gets_the_columns_that_are_new(lake):
    older(lake, "visitor_id", "cookies")
    sink = opened(lake)
    write(sink, 1, make_event(path="/new", visitor_id="4712", cookies={"necessary": 2}))
    found = {event.path: (event.visitor_id, event.cookies) for event in events_of(lake)}
    assert found == {"/old": (None, None), "/new": ("4712", {"necessary": 2})}
    assert DeltaTable(lake).version() == 2  # the columns are added by one commit, and once
    opened(lake)
    assert DeltaTable(lake).version() == 2


def test_columns_of_a_newer_version_stay_empty(lake):
    """While hosts are updated one by one; also if the other comes when this one is at work already."""
    sink = opened(lake)
    write(sink, 1)
    DeltaTable(lake).alter.add_columns(Field("weather", "string"))
    write(sink, 2)
    write(opened(lake), 3)
    assert DeltaTable(lake).to_pyarrow_table()["weather"].to_pylist() == [None] * 3


@pytest.mark.parametrize(
    ("without", "more", "says"),
    [
        (["event_id"], {}, "it has no column event_id"),
        (["consent", "time"], {}, "it has no column consent"),
        (["status"], {"status": "ok"}, "it has another type in column status"),
    ],
    ids=str,
)
def test_a_table_of_others_gets_no_column(lake, without, more, says):
    older(lake, *without, **more)
    with pytest.raises(ConfigurationError, match=says):
        opened(lake)
    assert DeltaTable(lake).version() == 0


def test_a_table_without_partitions_is_refused(lake):
    write_deltalake(lake, event_table([make_event()]))
    with pytest.raises(ConfigurationError, match="it is not partitioned by date"):
        opened(lake)


@pytest.mark.parametrize(
    ("given", "then"),
    [
        (None, "time"),  # by default the smallest and the largest values are noted there
        ("date,time", "time"),  # Spark takes no change of a table that has a partition's column there
        ("country_code", "country_code"),  # it was asked for
    ],
)
def test_a_table_made_by_others_keeps_values_out_of_its_log_too(lake, given, then):
    settings = {"delta.dataSkippingStatsColumns": given} if given else None
    write_deltalake(lake, event_table([]), partition_by=["date"], configuration=settings)
    write(opened(lake), 1, make_event(path="/visitor-4711"))
    [adds] = [action["add"] for action in log(lake) if "add" in action]
    assert "4711" not in adds["stats"]
    assert DeltaTable(lake).metadata().configuration == {"delta.dataSkippingStatsColumns": then}


def test_two_hosts_add_columns_at_once(s3_url, monkeypatch):
    lake = f"s3://{make_bucket(s3_url)}/lake"
    older(lake, "visitor_id")
    add = columns.add_missing_columns

    def add_after_another_did(table):
        monkeypatch.setattr(columns, "add_missing_columns", add)
        opened(lake)
        add(table)

    monkeypatch.setattr(columns, "add_missing_columns", add_after_another_did)
    write(opened(lake), 1)
    assert DeltaTable(lake).version() == 2


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


def test_a_compaction_that_fails_holds_nothing_up(lake, monkeypatch, caplog):
    """As when rows are deleted while it is at work."""
    monkeypatch.setattr(delta, "_COMPACT_EVERY", 2)
    compact = TableOptimizer.compact

    def compact_after_a_deletion(optimizer):
        DeltaTable(lake).delete("path = '/visitor-4711'")
        return compact(optimizer)

    monkeypatch.setattr(TableOptimizer, "compact", compact_after_a_deletion)
    sink = opened(lake)
    write(sink, 1)
    write(sink, 2, make_event(path="/visitor-4711"))
    assert len(ids(lake)) == 1
    monkeypatch.undo()
    write(sink, 3)
    assert len(ids(lake)) == 2
    [line] = [record.getMessage() for record in caplog.records if record.name == delta.__name__]
    assert line.startswith(f"can't join files of delta:{lake}: CommitFailedError. Delivery goes on")


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
import sys, time
from pathlib import Path
import msgspec
from centtrack.delivery.sending.deliverer import Deliverer
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.records import Encoded
from centtrack.sinks import open_sink
from centtrack.sinks.delta import sink as delta
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
        time.sleep(0.005)
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
    ],
)
def test_its_name_is_its_location(url, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_sink(url).name == name.format(tmp_path)


def test_a_location_is_needed():
    with pytest.raises(ConfigurationError, match=r"delta:\./telemetry"):
        open_sink("delta:")


# centtrack sink check


def found(lake):
    return list(open_sink(f"delta:{lake}").check())


def test_check_of_a_new_folder(lake):
    assert found(lake) == [("there is no folder yet: it is made with the first delivery", None, None)]
    assert not lake.exists()


def test_check_of_a_lake(lake):
    opened(lake)
    assert found(lake) == [
        ("the table is there, with all columns", None, None),
        ("writes and reads files there", None, None),
    ]


def test_check_tells_which_columns_come(lake):
    older(lake, "visitor_id")
    assert found(lake)[0] == (
        "the table is there; columns that it gets with the first delivery: visitor_id",
        None,
        None,
    )
    assert DeltaTable(lake).version() == 0


def test_check_of_a_table_of_others(lake):
    write_deltalake(lake, pa.table({"id": [1]}))
    [finding] = found(lake)
    assert finding.problem == "what is there is something else: it has no column consent"


def test_check_of_a_file(lake):
    lake.write_bytes(b"")
    assert found(lake)[0].problem == f"{lake} is a file"


def refuse(**_options):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_check_of_a_folder_that_cannot_be_made():
    [finding] = found("/proc/nowhere/lake")
    assert finding.problem.startswith("no folder can be made in /proc by this user: ")


def test_check_says_how_a_folder_is_made(tmp_path, monkeypatch):
    lake = tmp_path / "the team's lake"
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.TemporaryFile", refuse)  # a superuser may write anywhere
        [finding] = found(lake)
    assert finding.problem == f"no folder can be made in {tmp_path} by this user: Permission denied"
    subprocess.run(finding.fix.removeprefix("sudo "), shell=True, check=True)
    assert (lake.stat().st_uid, stat.S_IMODE(lake.stat().st_mode)) == (os.geteuid(), 0o700)
