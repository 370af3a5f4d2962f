"""A sink into PostgreSQL as a user would write it, and a proxy that loses what the server replies."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence
from typing import Self

import psycopg

from centtrack import Event
from centtrack.errors import Rejected, RetryLater
from centtrack.sinks.base import Batch

_TABLE = """create table if not exists event (
    event_id uuid primary key, time timestamptz not null, path varchar(2048), status integer
)"""
_INSERT = "insert into event values (%s, %s, %s, %s) on conflict do nothing"


class PostgresSink:
    """Inserts events; the event's id is the key, so that one that comes twice changes nothing.

    Args:
        url: of the database.

    Attributes:
        failures: attempts that failed because of the server or the connection.
        repeats: batches that came again.
    """

    name = "postgresql"
    linger_s = 0.0

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection | None = None
        self.failures = 0
        self.repeats = 0

    def open(self) -> None:
        """Make the table."""
        with psycopg.connect(self._url, connect_timeout=5) as connection:
            connection.execute(_TABLE)

    def write(self, events: Sequence[Event]) -> None:
        """Insert a batch in one transaction.

        Raises:
            Rejected: if a column can't hold a value.
            RetryLater: if the server doesn't answer.
        """
        self.repeats += isinstance(events, Batch) and events.repeated
        rows = [(event.event_id, event.time, event.path, event.status) for event in events]
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._url, connect_timeout=5)
            with self._connection.transaction(), self._connection.cursor() as cursor:
                cursor.executemany(_INSERT, rows)
        except psycopg.DataError as error:
            raise Rejected(type(error).__name__) from error
        except psycopg.Error as error:
            self.failures += 1
            self.close()
            raise RetryLater(type(error).__name__) from error

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def count_rows(url: str) -> int:
    """Rows in the table. Their key is the event's id, so all are different events."""
    with psycopg.connect(url) as connection:
        [(count,)] = connection.execute("select count(*) from event").fetchall()
    return int(count)


class LosingProxy:
    """Stands before a PostgreSQL, and loses the replies to some commits: they are done, and the client doesn't know.

    Args:
        target: port of the server.
        losses: how many replies to lose, of every other commit of a batch.

    Attributes:
        lost: how many were lost.
    """

    def __init__(self, target: int, losses: int) -> None:
        self.lost = 0
        self._losses = losses
        self._commits = 0
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        """Both ways: in this thread what the client says, which begins each exchange."""
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        inserts = False
        with client, server, contextlib.suppress(OSError):
            back.start()
            while data := client.recv(65_536):
                inserts = inserts or b"insert into" in data
                if inserts and b"COMMIT" in data and self._is_to_be_lost():
                    client.shutdown(socket.SHUT_RDWR)  # whatever comes now reaches nobody
                    server.sendall(data)
                    server.shutdown(socket.SHUT_WR)
                    back.join()  # the server has read it all, and is done
                    return
                server.sendall(data)

    def _is_to_be_lost(self) -> bool:
        self._commits += 1
        is_lost = self.lost < self._losses and self._commits % 2 == 1
        self.lost += is_lost
        return is_lost

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # ends accept(); closing alone doesn't
        self._listener.close()
        self._thread.join(10)


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes until the source ends; what the target doesn't take any more is read, and lost."""
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            with contextlib.suppress(OSError):
                target.sendall(data)
