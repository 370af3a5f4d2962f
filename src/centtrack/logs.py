"""What is logged: each kind of trouble at most once a minute, with fields for machines, and no visitors' data."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import threading
import time
import traceback
from pathlib import PurePath

import apsw
import msgspec

from centtrack.errors import CenttrackError

EVERY_S = 60.0  # of each kind one line in this time
_MAX_KINDS = 256  # kinds that are told apart; what comes beside them shares one
_MAX_TEXT = 500  # characters of an error's text
_TELLING = {"builtins", "socket", "ssl"}  # modules whose errors of the system say what the system said

_Kind = tuple[str, str, str]


class _Limiter:
    """When a line of each kind was last written, and how many were left out since."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        # Reentrant: a line may be written by what the garbage collector runs while one is being counted.
        self._lock = threading.RLock()
        self._written: dict[_Kind, float] = {}
        self._left_out: dict[_Kind, int] = {}

    def admit(self, kind: _Kind) -> int | None:
        """How many lines of this kind were left out since the last one; None if this one is to be left out too."""
        now = time.monotonic()
        with self._lock:
            if kind not in self._written and len(self._written) >= _MAX_KINDS:
                self._forget_past(now - EVERY_S)
                kind = kind if len(self._written) < _MAX_KINDS else ("", "", "")
            if now - self._written.get(kind, -EVERY_S) < EVERY_S:
                self._left_out[kind] = self._left_out.get(kind, 0) + 1
                return None
            self._written[kind] = now
            return self._left_out.pop(kind, 0)

    def _forget_past(self, before: float) -> None:
        self._written = {kind: at for kind, at in self._written.items() if at > before}
        self._left_out = {kind: count for kind, count in self._left_out.items() if kind in self._written}


_limiter = _Limiter()
forget = _limiter.begin_anew
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget)  # a thread that isn't in the child may have held the lock


def report(logger: logging.Logger, level: int, event: str, message: str, *values: object, **fields: object) -> bool:
    """Log something that may come again and again: one line a minute of each kind. Never raises.

    Lines of one `event`, field `sink` and field `path` are of one kind. How many of them were left out stands in the
    next one that is written, in its text and as the field `suppressed`.

    Args:
        logger: which.
        level: as in `logging`.
        event: short name of the kind, as in `journal_unavailable`. A constant, never made of what came in.
        message: for people, with `%s` for each of the values.
        *values: what goes into the message. No visitors' data; of an error `describe(error)`, not itself.
        **fields: for machines; they are on the record as the dict `centtrack`. No visitors' data either.

    Returns:
        Whether the line was written: then one that says it is over is due some time.
    """
    with contextlib.suppress(Exception):  # a handler of the app's that fails must not take ours down with it
        if not logger.isEnabledFor(level):
            return False
        left_out = _limiter.admit((event, str(fields.get("sink", "")), str(fields.get("path", ""))))
        if left_out is None:
            return False
        if left_out:
            message = (
                message if values else message.replace("%", "%%")
            ) + " (%s more like it since the last such line)"
            values, fields = (*values, left_out), {**fields, "suppressed": left_out}
        logger.log(level, message, *values, extra={"centtrack": {"event": event, **fields}}, stacklevel=2)
        return True
    return False


def describe(error: BaseException) -> str:
    """An error in words that hold no visitors' data, on one line.

    Of our own errors, SQLite's and the system's the text; of others' the type, and the file and line that raised it.
    """
    kind = type(error).__name__
    if isinstance(error, (CenttrackError, apsw.Error)):
        text = str(error)
    elif isinstance(error, OSError) and type(error).__module__ in _TELLING:
        text = error.strerror or ""
    else:
        return kind + _place(error)
    words = " ".join(text.split())
    return f"{kind}: {words[:_MAX_TEXT]}" if words else kind


def _place(error: BaseException) -> str:
    """Where an error was raised."""
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return ""
    frame, line = frames[-1]
    return f" at {PurePath(frame.f_code.co_filename).name}:{line}"


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time (UTC), level, logger, message, and the fields of `report()` beside them.

    Of an exception only `describe()` of it, as `error`: tracebacks show texts that may be a visitor's.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _storable(record.getMessage()),
        }
        if record.exc_info and record.exc_info[1]:
            line["error"] = describe(record.exc_info[1])
        fields = getattr(record, "centtrack", {})
        line |= {name: _storable(value) for name, value in fields.items() if name not in line}
        return msgspec.json.encode(line).decode()


def _storable(value: object) -> object:
    """A value as JSON takes it: with lone surrogates escaped, and what has no place in JSON as a text."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    return str(value).encode("utf-8", "backslashreplace").decode()
