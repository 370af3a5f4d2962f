"""Why a database failed, in plain words.

Of PostgreSQL's own words nothing is handed on: they may tell who connects, and what was written. Its codes are known
(PostgreSQL documentation, appendix A); a connection that failed has none, so a few fixed words are looked for.
"""

from __future__ import annotations

import logging
import re
import sqlite3

from centtrack.errors import CenttrackError
from centtrack.logs import report

logger = logging.getLogger(__name__)

_PASSWORD = "the server refuses the user or the password"  # noqa: S105 - words, not a password
_NO_DATABASE = "the server has no database of this name"
_STOPPED = "the server is starting, or was stopped"
_LOST = "the connection was lost"
_CODES = {
    "28": _PASSWORD,
    "3D000": _NO_DATABASE,
    "42501": "permission denied: its user must be allowed to make tables once, then to read and write them",
    "3F000": "it has no schema to make tables in",
    "42P01": "some of its tables are missing",
    "25006": "it can only be read: it is a standby, or set so",
    "53100": "the server's disk is full",
    "53300": "the server has no free connection",
    "57014": "it took too long",
    "25P03": "it took too long",
    "55P03": "somebody else holds a lock on it",
    "40": "somebody else changed it at the same time",
    "23": "its tables don't fit together: `centtrack consent verify` says more",
    "53": "the server is out of memory, disk or connections",
    "57P": _STOPPED,
    "08": _LOST,
}
_WORDS = (
    (r"Connection refused|No such file or directory", "cannot connect: no server listens there"),
    (r"could not translate host name|failed to resolve host|Name or service not known", "the host isn't known"),
    (r"timeout expired|timed out", "cannot connect: no answer in time"),
    (r"No route to host|Network is unreachable", "cannot connect: no way to the host"),
    (r"password authentication failed|no password supplied|role \".*\" does not exist", _PASSWORD),
    (r"no pg_hba\.conf entry", "the server lets nobody in from this host with this user or without TLS"),
    (r"permission denied for database", "the server refuses this user the database"),
    (r"database \".*\" does not exist", _NO_DATABASE),
    (r"too many (connections|clients)|connection slots", _CODES["53300"]),
    (r"system is (starting up|shutting down|in recovery)", _STOPPED),
    (r"QueuePool limit", "all connections are in use"),
    (r"SSL|certificate", "cannot connect: no TLS connection comes about"),
    (r"server closed the connection|terminating connection|connection (is )?(lost|closed)|reset by peer", _LOST),
)


def describe_failure(error: Exception) -> str:
    """What went wrong, without user, password or anything that was written."""
    if isinstance(error, CenttrackError):
        return str(error)
    if isinstance(error, OSError):
        return ": ".join(str(part) for part in (error.strerror, error.filename) if part) or "the system refuses it"
    original = getattr(error, "orig", None) or error
    if isinstance(original, sqlite3.Error):
        return str(original)
    code = getattr(original, "sqlstate", None)
    text = "the consent ledger's database failed: %s %s"
    report(logger, logging.DEBUG, "ledger_database_failed", text, type(original).__name__, code or "")
    return _of_code(code) if code else _of_words(str(original))


def _of_code(code: str) -> str:
    known = [length for length in (5, 3, 2) if code[:length] in _CODES]
    return _CODES[code[: known[0]]] if known else f"PostgreSQL refuses it, with the code {code}"


def _of_words(words: str) -> str:
    found = (reason for pattern, reason in _WORDS if re.search(pattern, words))
    return next(found, "the database failed, and doesn't say why in words that are known here")
