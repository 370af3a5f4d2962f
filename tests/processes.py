"""Python processes of a test, always ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def python(source: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a script in a process group of its own, which is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", source, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            kill_group(process)


def run_python(source: str, *arguments: object, timeout_s: float = 100) -> str:
    """Run a script to its end; its standard output."""
    with python(source, *arguments) as process:
        output, errors = process.communicate(timeout=timeout_s)
    assert process.returncode == 0, errors
    return output


def kill_group(process: subprocess.Popen[str]) -> None:
    """SIGKILL to a process that we started, and to its children."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
