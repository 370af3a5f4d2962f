"""What PostgreSQL's errors mean for a batch, in words of ours: the server's hold values of events."""

from __future__ import annotations

import re

import psycopg

from centtrack.errors import CenttrackError, ConfigurationError, Rejected, RetryLater
from centtrack.schema.postgresql import quote


class StatementNeededError(ConfigurationError):
    """Somebody has to run a statement that this user may not run, or that the URL says isn't run by itself.

    Attributes:
        what: what is missing.
        statement: one or more, ready to be run.
    """

    def __init__(self, what: str, statement: str, shown: str | None = None) -> None:
        self.what, self.statement = what, statement
        super().__init__(f"{what}. Somebody who may has to run {shown or statement}")


# Classes and codes: "PostgreSQL Error Codes" in its manual, appendix A.
_REJECTED = ("22", "23", "54000")  # data, constraints, a row or an index entry that is too large
_TO_BE_MENDED = ("0A", "28", "3D", "3F", "42", "P0")
_EMPTY_COLUMN = "23502"
_MEANINGS = {
    "42P01": "the table is gone",
    "3F000": "there is no such schema",
    "0A000": "the server can't do this: a table with row level security takes no COPY",
    "42703": "the table has not all columns",
    "42P16": "the table is divided otherwise than by ranges of its date",
    "42P10": 'the table has no unique key on ("event_id", "date")',
    "P0001": "a trigger of the table refuses the batch",
    _EMPTY_COLUMN: "the table demands a value where an event may have none",
    "25006": "the server takes no writes: it is a standby, or set to read-only",
    "57014": "the statement took too long, or was cancelled",
    "55P03": "the table is locked",
    "53100": "the server's disk is full",
    "53300": "the server has too many connections",
    "57P01": "the server is being shut down",
}
# What the server or libpq says when no connection comes about, names replaced by *. There are no codes then.
_NOT_CONNECTED = {
    "password authentication failed": "user or password is wrong",
    "no password supplied": "the server asks for a password, and there is none",
    "authentication failed": "the server does not let this user in",
    "no pg_hba.conf entry": "the server lets no such connection in: see its pg_hba.conf",
    "is not permitted to log in": "the user may not log in",
    "permission denied for database": "the user may not connect to the database",
    "role * does not exist": "there is no such user",
    "certificate verify failed": "the server's certificate isn't trusted: see sslrootcert",
    "does not match host name": "the server's certificate is for another host",
    "does not support SSL": "the server has no TLS, and sslmode wants it",
    "certificate file": "a file of a certificate isn't there or can't be used: see sslrootcert",
    "private key file": "the file of the key isn't there or can't be used",
}
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_COMES_BACK = {
    "refused": "connection refused",
    "timeout": "no answer in time",
    "timed out": "no answer in time",
    "starting up": "the server is starting",
    "shutting down": "the server is being shut down",
    "recovery mode": "the server is recovering",
    "too many": _MEANINGS["53300"],
    "remaining connection slots": _MEANINGS["53300"],
    "session is read-only": "no server that is reached takes writes",
    "hot standby": "no server that is reached takes writes",
    "closed the connection": "the server closed the connection",
    "resolve": "the host's name isn't known",
}


def explain(error: psycopg.Error, name: str, grants: str) -> CenttrackError:
    """What to raise instead of an error of psycopg.

    Args:
        error: it.
        name: of the sink.
        grants: statements that give the user what it needs.
    """
    code = error.sqlstate
    if code is None:
        if isinstance(error, psycopg.DataError):  # found by the client
            return Rejected(f"a value does not fit its column: {type(error).__name__}")
        return _explain_connection(error, name)
    if code == "42501":
        return StatementNeededError(f"{name}: the user may not do what it has to", grants)
    if code == "23514" and not error.diag.constraint_name:
        return Rejected(
            f"{name}: there is no partition for its date, and none is made for a day so far from today, or if another "
            "table has its name, as a partition that was detached"
        )
    if code.startswith(_REJECTED) and code != _EMPTY_COLUMN:
        return Rejected(f"a value does not fit the table (SQLSTATE {code})")
    text = f"{name}: {_MEANINGS.get(code, 'the server refuses')} (SQLSTATE {code})"
    return ConfigurationError(text) if code.startswith((*_TO_BE_MENDED, _EMPTY_COLUMN)) else RetryLater(text)


def _explain_connection(error: psycopg.Error, name: str) -> CenttrackError:
    said = _QUOTED.sub("*", str(error))
    if "database * does not exist" in said:
        database = quote((error.pgconn.db if error.pgconn else b"").decode())
        statement = f"create database {database} encoding 'UTF8' template template0;"
        return StatementNeededError(f"{name}: there is no such database", statement)
    for part, meaning in _NOT_CONNECTED.items():
        if part in said:
            return ConfigurationError(f"{name}: {meaning}")
    for part, meaning in _COMES_BACK.items():
        if part in said:
            return RetryLater(f"can't reach {name}: {meaning}")
    if isinstance(error, psycopg.ProgrammingError):  # before any server was asked
        return ConfigurationError(f"{name}: libpq can't use the URL or one of the environment's PG variables")
    if error.pgconn is not None and (error.pgconn.used_password or error.pgconn.needs_password):
        # A server that speaks another language than English.
        return ConfigurationError(f"{name}: the server refuses: user, password or database may be wrong")
    return RetryLater(f"no connection to {name}: the server's log may say why")
