"""Health and metrics of a process that serves nothing else."""

import socket
from contextlib import ExitStack, closing

import httpx
import pytest

from centtrack.errors import ConfigurationError
from centtrack.monitoring.health import Health
from centtrack.monitoring.server import Address, MonitoringServer, read_address
from waiting import eventually


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("[::1]:9464", ("::1", 9464)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_addresses(text, address):
    assert read_address(text) == address


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3.4:", "x:y", "x:-1", "x:65536", "x:9²"])
def test_what_is_no_address(text):
    with pytest.raises(ConfigurationError, match="no address to listen on"):
        read_address(text)


def test_it_listens_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match=f"can't listen on {address}"):
            MonitoringServer(address, lambda: Health("ok"), lambda accept: (b"", ""))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(
    ("health", "status"),
    [(Health("ok"), 200), (Health("degraded", ("a ъ",)), 200), (Health("failing", ("b", "c")), 503)],
)
def test_answers(host, health, status):
    server = MonitoringServer(Address(host, 0), lambda: health, lambda accept: (accept.encode(), "text/x"))
    with closing(server), httpx.Client(base_url=f"http://{server.address}", trust_env=False) as client:
        found = client.get("/healthz?probe=1")
        assert (found.status_code, found.json()) == (status, health.as_dict())
        metrics = client.get("/metrics", headers={"accept": "text/plain"})
        assert (metrics.text, metrics.headers["content-type"]) == ("text/plain", "text/x")
        assert client.head("/metrics").content == b""
        assert client.get("/elsewhere").status_code == 404
        assert client.post("/healthz").status_code == 501


def test_clients_that_say_nothing_take_no_more_threads_than_there_may_be():
    server = MonitoringServer(Address("127.0.0.1", 0), lambda: Health("ok"), lambda accept: (b"", ""))

    def is_answered():
        try:
            return httpx.get(f"http://{server.address}/healthz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    with closing(server), ExitStack() as silent:
        for _ in range(32):
            silent.enter_context(socket.create_connection(server.address))
        eventually(lambda: not is_answered())
        silent.close()
        eventually(is_answered)


def test_a_client_that_says_nothing_holds_nothing_up():
    server = MonitoringServer(Address("127.0.0.1", 0), lambda: Health("ok"), lambda accept: (b"", ""))
    with socket.create_connection(server.address) as silent:
        assert httpx.get(f"http://{server.address}/healthz", trust_env=False).status_code == 200
        server.close()
        assert silent.fileno() > 0
