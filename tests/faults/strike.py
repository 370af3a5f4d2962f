"""Faults inside SQLite: something happens before the n-th statement, or the n-th call that changes a file.

What a killed process leaves behind is what these calls have done so far, so that to be killed before each of them in
turn is to be killed everywhere.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import apsw

BASE = "unix"


class Strikes:
    """Counts the calls, and strikes.

    Attributes:
        calls: how many there were.
        before: what is done before each, with the name of the call and the file; it may raise an `apsw.Error`.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.before: Callable[[str, str], None] = lambda call, file: None
        self._vfs = _VFS(self)
        apsw.connection_hooks.append(self._watch)

    def kill_at(self, number: int) -> None:
        """Kill this process before the n-th call; 0: never."""
        self.calls = 0

        def strike(_call: str, _file: str) -> None:
            if self.calls == number > 0:
                os.kill(os.getpid(), signal.SIGKILL)

        self.before = strike

    def call(self, name: str, file: str) -> None:
        """Count a call."""
        self.calls += 1
        self.before(name, file)

    def _watch(self, connection: apsw.Connection) -> None:
        def trace(_cursor: object, _statement: str, _bindings: object) -> bool:
            self.call("execute", "")
            return True

        connection.exec_trace = trace


class _VFS(apsw.VFS):
    def __init__(self, strikes: Strikes) -> None:
        self._strikes = strikes
        super().__init__("striking", BASE, makedefault=True)

    def xOpen(self, name, flags):  # noqa: N802 - apsw names it
        return _File(self._strikes, name, flags)

    def xDelete(self, filename, syncdir):  # noqa: N802 - apsw names it
        self._strikes.call("delete", filename)
        super().xDelete(filename, syncdir)


class _File(apsw.VFSFile):
    def __init__(self, strikes, name, flags):
        self._strikes = strikes
        self._name = name if isinstance(name, str) or name is None else name.filename()
        super().__init__(BASE, name, flags)

    def xRead(self, amount, offset):  # noqa: N802 - apsw names it
        self._strikes.before("read", self._name or "")
        return super().xRead(amount, offset)

    def xWrite(self, data, offset):  # noqa: N802 - apsw names it
        self._strikes.call("write", self._name or "")
        super().xWrite(data, offset)

    def xSync(self, flags):  # noqa: N802 - apsw names it
        self._strikes.call("sync", self._name or "")
        super().xSync(flags)

    def xTruncate(self, size):  # noqa: N802 - apsw names it
        self._strikes.call("truncate", self._name or "")
        super().xTruncate(size)
