"""`jsonl:PATH` appends one JSON object a line; `jsonl:-` writes to standard output."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from centtrack.errors import ConfigurationError, Rejected, RetryLater
from centtrack.event import Event
from centtrack.sinks.base import Batch

_TAIL = 65_536
_LOOK_BACK = 4  # how many times the size of a repeated batch is searched for what it already wrote


class JsonLinesSink:
    """Appends to a file, opened anew for each batch, so that it may be rotated.

    A repeated batch changes nothing: the lines of it that stand at the end of the file aren't written again, and half
    a line of a killed process is cut off. Into pipes and standard output, events may come twice.
    """

    timeout_s = None  # a second attempt beside one that hangs on a slow disk would write the same lines

    def __init__(self, url: str) -> None:
        target = url.removeprefix("jsonl:")
        if not target:
            raise ConfigurationError('"jsonl:" needs a path, as in jsonl:./events.jsonl, or - for standard output')
        self.path = None if target == "-" else Path(target).expanduser().absolute()
        self.name = url if self.path is None else f"jsonl:{self.path}"

    def open(self) -> None:
        """Make the folder."""
        if self.path is not None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, events: Sequence[Event]) -> None:
        """Append the events, and wait until they are on the disk.

        Raises:
            Rejected: if an event is no JSON, as with half a surrogate pair in a text.
            RetryLater: if the file can't be written.
        """
        batch = events if isinstance(events, Batch) else Batch(events)
        try:
            lines = batch.lines
        except (OverflowError, TypeError, ValueError) as error:
            raise Rejected(f"a value can't be written as JSON: {type(error).__name__}") from error
        try:
            if self.path is None:
                sys.stdout.buffer.write(lines)
                sys.stdout.buffer.flush()
            else:
                _append(self.path, batch)
        except OSError as error:
            raise RetryLater(f"can't write {self.path or 'standard output'}: {error.strerror}") from error


def _append(path: Path, batch: Batch) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            _write_all(file, batch.lines)
            return
        if batch.repeated:
            _cut_half_line(file)
            written = _ids_at_end(file, _LOOK_BACK * len(batch.lines))
            batch = Batch([event for event in batch if event.event_id not in written])
        _write_all(file, batch.lines if _ends_with_line(file) else b"\n" + batch.lines)
        os.fsync(file.fileno())


def _write_all(file: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _tail(file: io.FileIO, size: int) -> bytes:
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - size))
    return file.read(size)


def _ends_with_line(file: io.FileIO) -> bool:
    return _tail(file, 1) in {b"", b"\n"}


def _cut_half_line(file: io.FileIO) -> None:
    """Cut off what stands behind the last line's end, however long it is."""
    size = _TAIL
    end = file.seek(0, os.SEEK_END)
    while (position := _tail(file, size).rfind(b"\n")) < 0 and size < end:
        size *= 2
    file.truncate(max(0, end - size) + position + 1)


def _ids_at_end(file: io.FileIO, size: int) -> set[str]:
    class Line(msgspec.Struct):
        event_id: str

    ids = set()
    for line in _tail(file, size).split(b"\n"):
        try:
            ids.add(msgspec.json.decode(line, type=Line).event_id)
        except msgspec.DecodeError:
            continue  # the first one may be cut, and the file may hold lines of others
    return ids
