"""The demo's own folder: a copy of the example site, with its policy, its geo database and what it will record."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from secrets import token_hex

import httpx

from centtrack.delivery.paths import default_journal
from centtrack.errors import CenttrackError
from centtrack.signing import SECRET_VARIABLE

WORKERS = 2
_READY_WITHIN_S = 30.0
_STOP_WITHIN_S = 15.0
_MARK = ".centtrack-demo"
_HERE = Path(__file__).parent


class DemoError(CenttrackError):
    """The demo could not run."""


class DemoSite:
    """A folder with the example site, ready to be served.

    Attributes:
        folder: the folder.
        sink: URL of the lake in it.
        journal: the journal that the site's workers use.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.sink = f"delta:{self.folder / 'telemetry'}"
        self.journal = default_journal(str(self.folder / "privacy.toml"), [self.sink], here=self.folder)

    def prepare(self) -> None:
        """Make the folder anew. One that isn't a demo's is left alone.

        Raises:
            DemoError: if there is something else.
        """
        if self.folder.exists():
            if not (self.folder / _MARK).exists():
                raise DemoError(f"{self.folder} is there already, and no demo made it; name another with --folder")
            shutil.rmtree(self.folder)
        shutil.rmtree(self.journal.parent, ignore_errors=True)
        shutil.copytree(_example(), self.folder, ignore=shutil.ignore_patterns("telemetry", "__pycache__"))
        (self.folder / _MARK).touch()
        (self.folder / "places.mmdb").write_bytes(files("centtrack.demo").joinpath("places.mmdb").read_bytes())
        policy = self.folder / "privacy.toml"
        with_places = policy.read_text(encoding="utf-8").replace("databases = []", 'databases = ["places.mmdb"]')
        policy.write_text(with_places, encoding="utf-8")

    @contextmanager
    def serve(self, port: int = 0) -> Iterator[str]:
        """Serve the site under uvicorn with two workers; gives its base URL. Ends the server with the block.

        Raises:
            DemoError: if the server doesn't come up, with what it printed.
        """
        port = port or _free_port()
        command = [
            sys.executable, "-m", "uvicorn", "app:app", "--workers", str(WORKERS), "--port", str(port),
            "--no-proxy-headers", "--log-level", "warning",
        ]  # fmt: skip
        log = self.folder / "server.log"
        with log.open("wb") as output:
            own = {"CENTTRACK_SINK": self.sink, SECRET_VARIABLE: token_hex(32)}
            environment = {**os.environ, **own}
            server = subprocess.Popen(command, cwd=self.folder, stdout=output, stderr=output, env=environment)  # noqa: S603
            try:
                url = f"http://127.0.0.1:{port}"
                _wait_until_ready(server, url, log)
                yield url
            finally:
                _stop(server)


def _example() -> Path:
    """The example site: in an installed package beside this file, in a checkout among the examples."""
    installed = _HERE / "insurance"
    return installed if installed.is_dir() else _HERE.parents[2] / "examples" / "insurance"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < until and server.poll() is None:
        try:
            if httpx.get(f"{url}/health", trust_env=False).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise DemoError(f"the server did not come up:\n{log.read_text(errors='replace')[-2_000:]}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(_STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
