"""A proxy that loses what a ClickHouse answers to an insert."""

from __future__ import annotations

import contextlib
import socket
import threading

from faults.postgres import LosingProxy


class LosingHttpProxy(LosingProxy):
    """Stands before a server of HTTP, and loses the answers to some inserts: they are done, and nobody is told.

    Args:
        target: port of the server.
        losses: how many answers to lose, of every other insert.
    """

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        is_insert = threading.Event()
        back = threading.Thread(target=self._return, args=(server, client, is_insert), daemon=True)
        with client, server, contextlib.suppress(OSError):
            back.start()
            while data := client.recv(65_536):
                if data.startswith(b"POST ") and b"query=insert+into" in data:
                    is_insert.set()
                server.sendall(data)
        back.join(10)

    def _return(self, server: socket.socket, client: socket.socket, is_insert: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if is_insert.is_set() and self._is_to_be_lost():
                    client.shutdown(socket.SHUT_RDWR)
                    return
                is_insert.clear()
                client.sendall(data)
