"""Why a server isn't reached, in words."""

from __future__ import annotations

import socket
import ssl

_CAUSES: dict[type[BaseException], str] = {
    ConnectionRefusedError: "nothing listens there (ConnectionRefusedError)",
    socket.gaierror: "no such host is known (gaierror)",
    ssl.SSLError: "TLS fails; is that port one without TLS? (SSLError)",
}


def find_cause(error: BaseException) -> str:
    """What lies behind an error of a connection, in words; else the error's type. Its text isn't shown."""
    name, behind = type(error).__name__, [error]
    while (cause := behind[-1].__cause__ or behind[-1].__context__) and cause not in behind:
        behind.append(cause)
    return next((words for kind, words in _CAUSES.items() if any(isinstance(one, kind) for one in behind)), name)
