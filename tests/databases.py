"""Real database servers for the tests: the one that an environment variable names, or one that is started here."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from servers import free_port
from waiting import eventually


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a Redis."""
    if given := os.environ.get("CENTTRACK_TEST_REDIS_URL"):
        yield given
        return
    binary = shutil.which("redis-server") or pytest.skip("needs redis-server, or CENTTRACK_TEST_REDIS_URL")
    with RedisServer(binary) as server:
        yield server.url


class RedisServer:
    """A Redis that can be stopped and started again on the same port.

    Args:
        binary: the server.
        options: more of them, without any it keeps nothing on the disk.
    """

    def __init__(self, binary: str, *options: str) -> None:
        self._binary = binary
        self._options = options
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [*self._options, "--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen([self._binary, *options], stdout=subprocess.DEVNULL)
        eventually(self._answers)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def _answers(self) -> bool:
        import redis

        with contextlib.suppress(redis.RedisError), redis.Redis.from_url(self.url) as client:
            return bool(client.ping())
        return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextlib.contextmanager
def postgresql_server() -> Iterator[str]:
    """The URL of a database in a PostgreSQL."""
    if given := os.environ.get("CENTTRACK_TEST_POSTGRESQL_URL"):
        yield given
        return
    with own_postgresql_server() as server:
        yield server.url


@contextlib.contextmanager
def own_postgresql_server() -> Iterator[PostgresqlServer]:
    """A PostgreSQL of the test's own, which it may restart."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [Path(shutil.which("initdb") or "").parent]
    if not (found[-1] / "initdb").is_file():
        pytest.skip("needs PostgreSQL's initdb")
    folder = Path(tempfile.mkdtemp(prefix="centtrack-postgresql-"))
    try:
        with PostgresqlServer(found[-1], folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class PostgresqlServer:
    """A PostgreSQL that can be stopped and started again on the same port. What it was told to keep, it keeps."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        # PostgreSQL refuses to run as root; its package makes a user for it.
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as_user:
            shutil.chown(folder, "postgres")
        self._binaries, self._folder, self._data = binaries, folder, str(folder / "data")
        self.port = free_port()
        self.url = f"postgresql://centtrack@127.0.0.1:{self.port}/postgres"
        self._run("initdb", "-U", "centtrack", "--auth=trust", "--no-sync")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """End it: `fast` ends connections and writes down what it has, `immediate` is as if it was killed."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def set_up(self, *rules: str, **settings: str) -> None:
        """Change settings while it runs; connections of before aren't touched.

        Args:
            *rules: who may connect, and how: lines of `pg_hba.conf`. The first that fits counts.
            **settings: of `postgresql.conf`.
        """
        Path(self._data, "pg_hba.conf").write_text("\n".join(rules) + "\n")
        lines = [f"{name} = '{value}'" for name, value in settings.items()]
        Path(self._data, "postgresql.auto.conf").write_text("\n".join(lines) + "\n")
        self._run("pg_ctl", "reload")

    def keep(self, name: str, data: bytes) -> str:
        """Put a file where it alone can read it, as it wants it for a key. Its path."""
        path = self._folder / name
        path.write_bytes(data)
        path.chmod(0o600)
        if self._as_user:
            shutil.chown(path, "postgres")
        return str(path)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self._binaries / program), "-D", self._data, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
