"""Visits over HTTP that don't mind when servers die."""

from __future__ import annotations

import contextlib
import http.client
import threading
from itertools import count
from typing import Self


class Traffic:
    """Visits from several threads, each to a path of its own, to whichever server there is, until the end of the block.

    Attributes:
        answered: paths that were answered with 200, whole.
        refused: statuses of answers that weren't 200.
    """

    def __init__(self, port: int, *, threads: int = 4, prefix: str = "/") -> None:
        self.answered: list[str] = []
        self.refused: list[int] = []
        self._port = port
        self._numbers = count()
        self._prefix = prefix
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._visit, daemon=True) for _ in range(threads)]

    def _visit(self) -> None:
        while not self._over.is_set():
            # A connection for each: on one that is kept, delayed acknowledgements would make it forty times slower.
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                with contextlib.closing(connection):
                    self._get(connection, f"{self._prefix}{next(self._numbers)}")
            except (OSError, http.client.HTTPException):
                self._over.wait(0.01)  # nobody listens

    def _get(self, connection: http.client.HTTPConnection, path: str) -> None:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        if response.status == 200:
            self.answered.append(path)
        else:
            self.refused.append(response.status)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
