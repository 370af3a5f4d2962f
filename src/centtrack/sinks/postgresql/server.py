"""The server that a URL names: what libpq gets of it, and what it takes from its own variables, as PGPASSWORD."""

from __future__ import annotations

import contextlib
import os
import socket

import psycopg
from psycopg import Connection
from psycopg.conninfo import make_conninfo

from centtrack.errors import ConfigurationError
from centtrack.sinks.url import SinkUrl

OPTIONS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "target_session_attrs")

_SSL_MODES = ("prefer", "disable", "allow", "require", "verify-ca", "verify-full")
_SESSIONS = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
_IDENTITY = ("host", "port", "dbname", "user", "password")
_CONNECT_S = "5"


class Server:
    """Where to connect to.

    Args:
        url: it.
        timeout_s: after which a server that acknowledges nothing more is given up.

    Raises:
        ConfigurationError: if an option has no such value.
    """

    def __init__(self, url: SinkUrl, timeout_s: float) -> None:
        if not url.path or "/" in url.path:
            raise ConfigurationError("the URL of postgresql: names no database: write postgresql://USER@HOST/DATABASE")
        for option, allowed in (("sslmode", _SSL_MODES), ("target_session_attrs", _SESSIONS)):
            if option in url.options:
                url.choice(option, *allowed)
        wait = url.options.get("connect_timeout", _CONNECT_S)
        if not wait.isdecimal() or not 2 <= int(wait) <= 20:
            raise ConfigurationError("postgresql: option connect_timeout is a number of seconds from 2 to 20")
        given = {
            "host": ",".join(host for host, _ in url.hosts),
            "port": ",".join(str(port) for _, port in url.hosts),
            "dbname": url.path,
            "user": url.user,
            "password": url.password,
            **url.options,
        }
        self._given = {name: value for name in (*_IDENTITY, *OPTIONS) if (value := given.get(name))}
        self._has_several = len(url.hosts) > 1
        self._timeout_ms = int(timeout_s * 1_000)

    def connect(self) -> Connection:
        """A new connection, whose transactions begin where they are begun.

        Raises:
            psycopg.Error: if there is none to be had. Its text may show the user.
        """
        defaults = {} if "PGCONNECT_TIMEOUT" in os.environ else {"connect_timeout": _CONNECT_S}
        if self._has_several and "PGTARGETSESSIONATTRS" not in os.environ:
            defaults["target_session_attrs"] = "read-write"  # the first that answers may be a standby
        parameters = make_conninfo(
            **{**defaults, **self._given},
            client_encoding="utf8",
            fallback_application_name="centtrack",
            keepalives_idle=5,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=self._timeout_ms,
        )
        # Nothing is prepared: PgBouncer may give each transaction another session.
        return psycopg.connect(parameters, autocommit=True, prepare_threshold=None)


def cut(connection: Connection) -> None:
    """Wake the thread that waits for the server, which finds the connection at its end; from another thread.

    libpq's connection belongs to the thread that waits on it, so nothing of it is called.
    """
    with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)
