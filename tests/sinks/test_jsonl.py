"""JSON Lines: one event a line, whatever happened to the file before."""

from __future__ import annotations

import math
import os
import stat
import subprocess
import sys

import msgspec
import pytest

from centtrack.errors import Rejected, RetryLater
from centtrack.sinks import Batch, open_sink
from centtrack.testing import make_event


@pytest.fixture
def file(tmp_path):
    return tmp_path / "events.jsonl"


def opened(file):
    sink = open_sink(f"jsonl:{file}")
    sink.open()
    return sink


def batch(events, sequence=1, *, repeated=False):
    return Batch(events, stream="s", sequence=sequence, repeated=repeated)


def lines_of(events):
    return b"".join(msgspec.json.encode(event) + b"\n" for event in events)


def test_one_object_a_line(file):
    events = [make_event(path="/a\n/b"), make_event(city="Қостанай")]
    opened(file).write(batch(events))
    assert file.read_bytes() == lines_of(events)


# A crash in the middle of a batch, then the same batch again


@pytest.mark.parametrize("size", [10, 200_000], ids=["short lines", "long lines"])
@pytest.mark.parametrize("whole", [0, 1, 2, 3])
@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.999])
def test_a_repeated_batch_completes_what_was_written(file, whole, part, size):
    before = [make_event()]
    events = [make_event(path="x" * size) for _ in range(4)]
    half = lines_of(events[whole : whole + 1])
    file.write_bytes(lines_of(before + events[:whole]) + half[: int(part * len(half))])
    opened(file).write(batch(events, repeated=True))
    assert file.read_bytes() == lines_of(before + events)


def test_a_repeated_batch_that_is_there_changes_nothing(file):
    events = [make_event() for _ in range(100)]
    opened(file).write(batch(events))
    opened(file).write(batch(events, repeated=True))
    assert file.read_bytes() == lines_of(events)


@pytest.mark.parametrize("stands_there", [b"", b"# a note\n", b"\xff\xfe\n", b'{"other": "program"}\n'])
def test_lines_of_others_stay(file, stands_there):
    events = [make_event()]
    file.write_bytes(stands_there)
    opened(file).write(batch(events, repeated=True))
    assert file.read_bytes() == stands_there + lines_of(events)


def test_a_new_batch_begins_on_a_line_of_its_own(file):
    """Else it would become one unreadable line with what stands there."""
    events = [make_event()]
    file.write_bytes(b'{"event_id": "cut')
    opened(file).write(batch(events))
    assert file.read_bytes().endswith(b"\n" + lines_of(events)) or file.read_bytes() == lines_of(events)


# Its file


def test_it_is_the_owners_only(tmp_path):
    before = os.umask(0)
    try:
        opened(tmp_path / "folder" / "events.jsonl").write([make_event()])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "folder" / "events.jsonl").stat().st_mode) == 0o600


def test_the_mode_that_its_owner_gave_it_stays(file):
    file.touch(0o640)
    file.chmod(0o640)
    opened(file).write([make_event()])
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_symbolic_link_is_not_followed(file, tmp_path):
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    file.symlink_to(target)
    with pytest.raises(RetryLater, match=r"can't write .*events.jsonl"):
        opened(file).write([make_event()])
    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize("obstacle", ["a folder", "no folder"])
def test_what_cannot_be_written_is_tried_again(file, obstacle):
    sink = opened(file)
    if obstacle == "a folder":
        file.mkdir()
    else:
        file.parent.rename(file.parent.with_name("away"))
    with pytest.raises(RetryLater, match="can't write"):
        sink.write([make_event()])


@pytest.mark.parametrize("columns", [{"path": "\ud800"}, {"props": {"plan": object()}}], ids=str)
def test_what_is_no_json_is_rejected(file, columns):
    """Else it would be tried again for ever, and all others would wait behind it."""
    with pytest.raises(Rejected, match="a value can't be written as JSON"):
        opened(file).write(batch([make_event(), make_event(**columns)]))
    assert not file.exists()


@pytest.mark.parametrize("text", ["a\0b", "x" * 1_000_000, "\u2028"], ids=["NUL", "1 MB", "line separator"])
def test_strange_text_is_one_line(file, text):
    events = [make_event(path=text), make_event(duration_ms=math.nan)]
    opened(file).write(batch(events))
    assert len(file.read_bytes().splitlines()) == 2


def test_it_is_waited_for():
    """Two attempts at once would write the same lines."""
    assert open_sink("jsonl:-").timeout_s is None


def test_a_standard_output_that_nobody_reads_is_tried_again():
    script = """
import os, sys
from centtrack.errors import RetryLater
from centtrack.sinks import open_sink
from centtrack.testing import make_event
sys.stdin.read()
try:
    open_sink("jsonl:-").write([make_event()])
except RetryLater as error:
    print(error, file=sys.stderr, flush=True)
os._exit(0)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b"can't write standard output: Broken pipe\n"


def test_it_may_be_rotated(file):
    sink = opened(file)
    first, second = [make_event()], [make_event()]
    sink.write(batch(first, 1))
    file.rename(file.with_suffix(".1"))
    sink.write(batch(second, 2))
    assert file.with_suffix(".1").read_bytes() == lines_of(first)
    assert file.read_bytes() == lines_of(second)


def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    events = [make_event() for _ in range(3)]
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        opened(pipe).write(batch(events, repeated=True))
        assert os.read(reader, 65_536) == lines_of(events)
    finally:
        os.close(reader)


def test_standard_output():
    script = """
from centtrack.sinks import open_sink
from centtrack.testing import make_event
sink = open_sink("jsonl:-")
sink.open()
sink.write([make_event(city="Қостанай"), make_event()])
assert sink.name == "jsonl:-"
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    assert len(found.stdout.splitlines()) == 2
    assert msgspec.json.decode(found.stdout.splitlines()[0])["city"] == "Қостанай"


@pytest.mark.parametrize(
    ("url", "name"),
    [("jsonl:-", "jsonl:-"), ("jsonl:/a/b.jsonl", "jsonl:/a/b.jsonl"), ("jsonl:b.jsonl", "jsonl:{}/b.jsonl")],
)
def test_its_name_is_the_absolute_path(url, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_sink(url).name == name.format(tmp_path)
