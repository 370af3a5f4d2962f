"""What is in PostgreSQL, and a proxy that loses what the server replies."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

import psycopg


def count_rows(url: str) -> int:
    """Different events in the table, which holds none twice."""
    with psycopg.connect(url) as connection:
        query = "select count(*), count(distinct event_id) from event"
        [(count, distinct)] = connection.execute(query).fetchall()
    assert count == distinct
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
        copies = False
        with client, server, contextlib.suppress(OSError):
            back.start()
            while data := client.recv(65_536):
                copies = copies or b"copy " in data
                if copies and b"COMMIT" in data and self._is_to_be_lost():
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
