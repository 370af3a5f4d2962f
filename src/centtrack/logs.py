"""What is logged: each kind of trouble at most once a minute, with fields for machines, and no visitors' data."""

from __future__ import annotations

import logging
import threading
import time

import apsw

from centtrack.errors import CenttrackError

EVERY_S = 60.0
_MAX_KINDS = 256

_lock = threading.Lock()
_last: dict[tuple[str, str], float] = {}


def report(logger: logging.Logger, level: int, event: str, message: str, *values: object, **fields: object) -> None:
    """Log something that may come again and again.

    Args:
        logger: which.
        level: as in `logging`.
        event: short name of the kind, as in `journal_unavailable`.
        message: for people, with `%s` for each of the values.
        *values: what goes into the message.
        **fields: for machines; they are on the record as the dict `centtrack`.
    """
    key = (event, str(fields.get("sink", "")))
    now = time.monotonic()
    with _lock:
        if now - _last.get(key, -EVERY_S) < EVERY_S or len(_last) >= _MAX_KINDS:
            return
        _last[key] = now
    logger.log(level, message, *values, extra={"centtrack": {"event": event, **fields}})


def describe(error: BaseException) -> str:
    """An error in words that hold no visitors' data: of others' errors the type alone."""
    if isinstance(error, (CenttrackError, apsw.Error)):
        return f"{type(error).__name__}: {error}"
    if isinstance(error, OSError):
        return f"{type(error).__name__}: {error.strerror}"
    return type(error).__name__
