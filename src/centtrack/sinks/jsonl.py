"""`jsonl:PATH` appends one JSON object a line; `jsonl:-` writes to standard output."""

from __future__ import annotations

import errno
import io
import os
import shlex
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from centtrack.errors import ConfigurationError, Rejected, RetryLater
from centtrack.event import Event
from centtrack.sinks.base import Batch
from centtrack.sinks.finding import Finding

_TAIL = 65_536
_PROBE = b'{"event_id":"probe"}\n'
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

    def check(self) -> Iterator[Finding]:
        """Whether the file can be appended to; one that isn't there, whether a probe beside it can be read back."""
        if self.path is None:
            yield Finding("events go to standard output; those of a batch that comes again come twice there")
            return
        try:
            mode = os.lstat(self.path).st_mode
        except FileNotFoundError:
            yield _check_folder(self.path.parent)
        except OSError as error:
            yield Finding(f"{self.path} can be looked at", error.strerror)
        else:
            yield from _check_file(self.path, mode)


def _check_folder(folder: Path) -> Finding:
    """Write a file, and read it back. A folder that isn't there is made with the first batch, if its parent lets us."""
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    what = f"a file can be written and read back in {there}"
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(_PROBE)
            file.seek(0)
            is_same = file.read() == _PROBE
    except OSError as error:
        return Finding(what, error.strerror, f'sudo install -d -m 700 -o "$USER" {shlex.quote(str(folder))}')
    if not is_same:
        return Finding(what, "what was read is not what was written")
    return Finding(f"{what}; the first batch makes " + ("the file" if there == folder else f"{folder} and the file"))


def _check_file(path: Path, mode: int) -> Iterator[Finding]:
    """Without a probe: its lines are read as events."""
    what, quoted = f"{path} can be appended to", shlex.quote(str(path))
    if stat.S_ISLNK(mode):
        yield Finding(what, "it is a link, and these aren't followed: name what it leads to", f"readlink -f {quoted}")
        return
    try:
        os.close(os.open(path, os.O_RDWR | os.O_APPEND | os.O_NONBLOCK))
    except OSError as error:
        yield Finding(what, error.strerror, f"chmod u+rw {quoted}" if error.errno == errno.EACCES else None)
        return
    if not stat.S_ISREG(mode):
        yield Finding(f"{what}; it is no ordinary file, so events of a batch that comes again come twice there")
        return
    yield Finding(what)
    others = "others on this machine may, too" if mode & 0o007 else None
    yield Finding("only its owner and group may use it", others, f"chmod o= {quoted}" if others else None)


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
