"""Importing an access log: line by line through the same capture as a live request, into the journal, then on.

The position in the log is committed together with the events made of it, so that an import that was cut short goes on
where it stood, and one that is repeated adds nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Self, cast

import msgspec

from centtrack.access_log import LineError, read_line
from centtrack.capture.capture import Capture
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.records import Encoded, ImportProgress
from centtrack.errors import CenttrackError
from centtrack.event import Event

_HEAD = 65_536  # bytes that a log is recognised by
_CHUNK = 2_000  # lines a transaction
_SHOWN_LINES = 20
_GZIP = b"\x1f\x8b"
_MAX_LINE = 65_536


class LogFileError(CenttrackError):
    """The log can't be read."""


@dataclass(slots=True)
class ImportSummary:
    """What came of an import, with what earlier runs did of the same log.

    Attributes:
        lines: lines read.
        events: events accepted.
        rejected: lines that made none, whatever the reason.
        already: lines that an earlier run had done.
        reasons: why lines of this run made no event → how many.
        bad_lines: number and reason of the first unreadable lines of this run.
    """

    lines: int = 0
    events: int = 0
    rejected: int = 0
    already: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    bad_lines: list[tuple[int, str]] = field(default_factory=list)


class LogFile:
    """A log, plain, gzip or from standard input, and how far it has been read.

    Args:
        path: the file; `-` is standard input.

    Raises:
        LogFileError: if it can't be opened.
    """

    def __init__(self, path: str) -> None:
        self.name = "standard input" if path == "-" else path
        try:
            self._raw: BinaryIO = _open_stdin() if path == "-" else Path(path).open("rb")  # noqa: SIM115 - see __exit__
        except OSError as error:
            raise LogFileError(f"can't read {path}: {error.strerror}") from None
        self.size = os.fstat(self._raw.fileno()).st_size if path != "-" else 0
        buffered = io.BufferedReader(self._raw, _HEAD)  # type: ignore[type-var]  # reads like a raw stream
        packed = buffered.peek(2)[:2] == _GZIP
        self._stream = cast("IO[bytes]", gzip.GzipFile(fileobj=buffered) if packed else buffered)
        try:
            self.head = self._read_head()
        except (OSError, EOFError) as error:
            raise LogFileError(f"can't read {path}: {error}") from None

    def _read_head(self) -> bytes:
        head = b""
        while len(head) < _HEAD and (more := self._stream.read(_HEAD - len(head))):
            head += more
        return head

    def lines(self) -> Iterator[bytes]:
        """All lines. A line that is absurdly long comes in pieces.

        Raises:
            LogFileError: if the compressed data is damaged.
        """
        rest = io.BytesIO(self.head)
        cut = b""
        for line in rest:
            cut = line
            if line.endswith(b"\n"):
                yield line
                cut = b""
        try:
            while line := self._stream.readline(_MAX_LINE):
                yield cut + line
                cut = b""
        except (OSError, EOFError) as error:
            raise LogFileError(f"{self.name} is damaged: {error}") from None
        if cut:
            yield cut

    def position(self) -> int:
        """Bytes of the file read so far, compressed ones if it is compressed; 0 for standard input."""
        return self._raw.tell() if self.size else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stream.close()
        self._raw.close()


def _open_stdin() -> BinaryIO:
    """Standard input once more, so that closing it leaves the process's own open."""
    return os.fdopen(os.dup(sys.stdin.fileno()), "rb")


class LogImport:
    """Imports one log into a journal.

    Args:
        log: the log.
        journal: an open journal, in which the sinks are registered.
        capture: makes the events. Warm.
        holds: whether the policy holds events for buckets of time. Those of a log ended long ago, but their order in
            it must not show: they are released together when the import is through.
    """

    def __init__(self, log: LogFile, journal: Journal, capture: Capture, *, holds: bool) -> None:
        self.log = log
        self.summary = ImportSummary()
        self._journal = journal
        self._capture = capture
        self._holds = holds
        self._encoder = msgspec.json.Encoder()
        self._counted: Counter[tuple[str, str]] = Counter(capture.totals())
        self._worker = f"import-{os.getpid()}-{secrets.token_hex(2)}"

    def run(self, on_progress: Callable[[int], None] = lambda _: None) -> ImportSummary:
        """Read the whole log. After each chunk, `on_progress` gets the position in it, in bytes.

        Raises:
            LogFileError: if the log is damaged; what stood before is accepted.
        """
        done = self._earlier()
        self.summary = ImportSummary(done.lines, done.events, done.rejected, already=done.lines)
        policy = self._capture.policy
        self._journal.note_policy(policy.hash, policy.consent_hash)
        self._journal.begin_worker(self._worker, os.getpid())
        chunk: list[bytes] = []
        for number, line in enumerate(self.log.lines()):
            if number < done.lines or self._is_unfinished(line):
                continue
            chunk.append(line)
            if len(chunk) >= _CHUNK:
                self._commit(chunk, done)
                on_progress(self.log.position())
                chunk = []
        if chunk:
            self._commit(chunk, done)
        on_progress(self.log.position())
        self._journal.end_worker(self._worker)
        return self.summary

    def _is_unfinished(self, line: bytes) -> bool:
        """Whether a line is still being written: the log's last, without its end, and not readable so."""
        if line.endswith(b"\n"):
            return False
        try:
            read_line(line)
        except LineError:
            return True
        return False

    def _earlier(self) -> ImportProgress:
        """How far an earlier import came of a log with the same first bytes, as many as there were then."""
        for known in self._journal.imports():
            if known.source == _digest(self.log.head[: known.head_size]):
                return known
        return ImportProgress(_digest(self.log.head), len(self.log.head), 0, 0, 0)

    def _commit(self, chunk: list[bytes], done: ImportProgress) -> None:
        events: list[Event] = []
        for line in chunk:
            self.summary.lines += 1
            made = self._make(line)
            if isinstance(made, Event):
                events.append(made)
            else:
                self.summary.reasons[made] += 1
                self.summary.rejected += 1
        self.summary.events += len(events)
        held = [(0, event.event_id, self._encoder.encode(event)) for event in events] if self._holds else []
        lines = b"" if self._holds else self._encoder.encode_lines(events).rstrip(b"\n")
        self._journal.append(
            Encoded(len(events), lines, held),
            worker=self._worker,
            counts=self._counts(len(chunk), len(events)),
            progress=done._replace(
                lines=self.summary.lines, events=self.summary.events, rejected=self.summary.rejected
            ),
        )

    def _make(self, line: bytes) -> Event | str:
        """The event of a line, or why there is none."""
        try:
            made = self._capture.capture(read_line(line))
        except LineError as error:
            if len(self.summary.bad_lines) < _SHOWN_LINES:
                self.summary.bad_lines.append((self.summary.lines, str(error)))
            return "unreadable_line"
        return made if isinstance(made, Event) else made.reason

    def _counts(self, offered: int, accepted: int) -> dict[tuple[str, str], int]:
        totals = Counter({("dropped", reason): total for reason, total in self.summary.reasons.items()})
        totals.update(self._capture.totals())
        new = totals - self._counted
        self._counted = totals
        return {("offered", ""): offered, ("accepted", ""): accepted, **new}


def _digest(head: bytes) -> str:
    """What a log is known by. Over many lines, so that no visitor's line can be guessed from it."""
    return hashlib.blake2b(head, digest_size=16).hexdigest()
