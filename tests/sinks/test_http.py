"""Webhooks: CloudEvents in batches, signed, to nobody but the receiver that was meant."""

from __future__ import annotations

import base64
import re
import socket
import subprocess
import sys
from ipaddress import IPv6Address
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack import Event
from centtrack.addresses import embedded_address
from centtrack.delivery.sending.outlet import Outlet
from centtrack.errors import ConfigurationError, Rejected, RetryLater
from centtrack.sinks import Batch, open_sink
from centtrack.sinks.base import UnreadableBatchError
from centtrack.sinks.destination import Destination
from centtrack.sinks.http import cloud_events
from centtrack.sinks.http import sink as http
from centtrack.sinks.http.signature import read_secrets, sign
from centtrack.testing import SinkContract, make_event
from receivers import Answer, raw_server, receiver

SECRET = b"01234567890123456789abcd"
LOOPBACK = "allow=127.0.0.0/8,::1"
OLD, NEW = b"an old secret, which is long enough", b"a new secret, which is long enough"


def events_of(request):
    return [
        msgspec.json.decode(msgspec.json.encode(one["data"]), type=Event) for one in msgspec.json.decode(request.body)
    ]


@pytest.fixture
def server(authority):
    with receiver(authority.context("localhost", "hooks.example", "xn--mnchen-3ya.example")) as it:
        yield it


@pytest.fixture
def sink_of(server, authority):
    """Makes sinks for the server, and closes them."""
    made = []

    def make(target="/in", options="", allow=LOOPBACK, host="localhost", port=None):
        ours = "&".join(filter(None, (f"ca={authority.file}", allow, options)))
        made.append(open_sink(f"https://{host}:{port or server.port}{target}#{ours}"))
        return made[-1]

    yield make
    for one in made:
        one.close()


class TestHttpSink(SinkContract):
    """The receiver keeps an event by its id, which is all that it has to do about repeated batches."""

    @pytest.fixture(autouse=True)
    def _server(self, server, sink_of):
        self.server, self.sink_of = server, sink_of

    def make_sink(self, folder):
        return self.sink_of()

    def stored(self, folder):
        return list(
            {event.event_id: event for request in self.server.requests for event in events_of(request)}.values()
        )


def test_cloud_events(server, sink_of):
    event = make_event(site="Café/1", name="signup", path="/é", props={"plan": "gold"})
    sink_of("/in?key=a%20b&x").write([event])
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/in?key=a%20b&x")
    assert request.headers["content-type"] == "application/cloudevents-batch+json"
    assert request.headers["host"] == f"localhost:{server.port}"
    [cloud_event] = msgspec.json.decode(request.body)
    assert cloud_event == {
        "specversion": "1.0",
        "id": event.event_id,
        "source": "/centtrack/Caf%C3%A9%2F1",
        "type": "centtrack.signup",
        "time": "2026-11-22T15:30:00Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:centtrack:event:1",
        "data": msgspec.json.decode(msgspec.json.encode(event)),
    }


def test_lines_are_sent_as_they_are(server, sink_of):
    """What the journal holds is not encoded anew."""
    line = msgspec.json.encode(make_event()).replace(b'{"event_id"', b'{"column of tomorrow": 1,  "event_id"')
    sink_of().write(Batch(lines=line + b"\n"))
    assert b'"data":' + line + b"," in server.requests[0].body


@pytest.mark.parametrize("line", [b"{}", b"nothing", b'{"event_id":1}', b"\xff"])
def test_a_damaged_line_is_left_to_the_delivery(line, sink_of):
    with pytest.raises(UnreadableBatchError):
        sink_of().write(Batch(lines=line + b"\n", stream="s", sequence=1))


def test_batches_are_cut_up(server, sink_of, monkeypatch):
    monkeypatch.setattr(cloud_events, "_MAX_BYTES", 20_000)
    events = [make_event(path="x" * 2_000) for _ in range(25)]
    sink_of(options="batch=4").write(Batch(events, stream="s", sequence=1))
    assert [event for request in server.requests for event in events_of(request)] == events
    assert max(len(events_of(request)) for request in server.requests) == 4
    server.requests.clear()
    sink_of(options="batch=10000").write(Batch(events, stream="s", sequence=1))
    assert len(server.requests) > 1
    assert all(len(request.body) <= 20_000 + 50 for request in server.requests)


def test_what_was_taken_of_a_batch_is_not_sent_again(server, sink_of):
    """Else a receiver that takes three requests a minute would never get to the fourth."""
    batch = Batch([make_event() for _ in range(10)], stream="s", sequence=1)
    server.answers.extend([Answer(), Answer(), Answer(429, {"Retry-After": "7"})])
    sink = sink_of(options="batch=2")
    with pytest.raises(RetryLater) as caught:
        sink.write(batch)
    assert caught.value.after_s == 7
    sink.close()
    sink.open()
    sink.write(batch)
    ids = [request.headers["webhook-id"] for request in server.requests]
    assert len(ids) == 6
    assert ids[2] == ids[3]  # the refused one, and no other, came twice
    assert len(set(ids)) == 5


def test_ids_of_requests_say_what_is_in_them(server, sink_of):
    """The same in another process; another one when the events are others, as under another policy."""
    events = [make_event() for _ in range(3)]
    for some in (events, events, events[:2]):
        sink_of().write(Batch(some, stream="s", sequence=1))
    first, second, third = (request.headers["webhook-id"] for request in server.requests)
    assert first == second != third


SINKS_PAGE = Path(__file__).parents[2] / "docs/sinks.md"
RECEIVE = next(
    block
    for block in re.findall(r"^```python\n(.*?)^```$", SINKS_PAGE.read_text(), re.DOTALL | re.MULTILINE)
    if "hmac" in block
)


def whsec(secret):
    return "whsec_" + base64.b64encode(secret).decode()


def test_a_receiver_verifies_the_signature(server, sink_of, monkeypatch):
    """With the code that the documentation gives; both while secrets are changed."""
    monkeypatch.setenv("HOOK_SECRET", f"{whsec(NEW)},{whsec(OLD)}")
    sink_of(options="secret=${HOOK_SECRET}").write([make_event()])
    [request] = server.requests
    scope = {}
    exec(RECEIVE, scope)
    for secret in (NEW, OLD):
        assert len(scope["verified"](request.headers, request.body, whsec(secret))) == 1
    for changed in ({"webhook-id": "msg_other"}, {"webhook-timestamp": "1700000000"}):
        with pytest.raises(ValueError, match=r"too old|not signed"):
            scope["verified"]({**request.headers, **changed}, request.body, whsec(NEW))
    for body, secret in ((request.body + b" ", NEW), (request.body, b"x" * 32)):
        with pytest.raises(ValueError, match="not signed"):
            scope["verified"](request.headers, body, whsec(secret))


def test_signature_is_that_of_the_specification():
    """The example that its libraries are tested with."""
    secrets = read_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert sign(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}') == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_without_a_secret_there_is_no_signature(server, sink_of):
    sink_of().write([make_event()])
    assert "webhook-signature" not in server.requests[0].headers
    assert "webhook-id" in server.requests[0].headers


@pytest.mark.parametrize(
    "secret",
    ["", ",", "short", "x" * 23, "whsec_", "whsec_AAAA", "whsec_not base64 but long enough", "whsec_" + "%2A" * 40],
)
def test_secrets_that_are_refused(secret):
    with pytest.raises(ConfigurationError, match="secret") as caught:
        open_sink(f"https://hooks.example/#secret={secret.replace(' ', '%20')}")
    assert len(secret) < 10 or secret not in str(caught.value)


def test_base64_in_a_url_stays_what_it_is(server, sink_of):
    """With plus, slash and equals signs."""
    key = bytes([0xFB, 0xFF, 0xFE] * 10 + [1])
    sink_of(options=f"secret={whsec(key)}").write([make_event()])
    [request] = server.requests
    signed = sign((key,), request.headers["webhook-id"], int(request.headers["webhook-timestamp"]), request.body)
    assert request.headers["webhook-signature"] == signed["webhook-signature"]


def test_credentials_are_sent_and_never_shown(server, sink_of, monkeypatch, authority):
    """User, password, a secret path, the receiver's own key, ours for signatures."""
    monkeypatch.setenv("SECRET_PATH", "T0/h1dden p?th")
    monkeypatch.setenv("SECRET_KEY", "h1dden&key")
    monkeypatch.setenv("SIGNING", "h1dden secret that is long enough for signing".replace(" ", "-"))
    sink = sink_of(
        "/services/${SECRET_PATH}?code=${SECRET_KEY}&v=1",
        "secret=${SIGNING}",
        host="Us3r:h1dden%40word@localhost",
    )
    server.answers.append(Answer(401))
    with pytest.raises(ConfigurationError) as caught:
        sink.write([make_event()])
    [request] = server.requests
    assert request.target == "/services/T0/h1dden%20p%3Fth?code=h1dden%26key&v=1"
    assert request.headers["authorization"] == f"Basic {base64.b64encode(b'Us3r:h1dden@word').decode()}"
    assert sink.name == f"https://localhost:{server.port}/services/${{SECRET_PATH}}"
    shown = repr([sink.name, str(caught.value), vars(sink)["_webhook"], [str(one) for one in sink.check()]])
    assert "h1dden" not in shown
    assert "Us3r" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "https:",
        "https://",
        "https:///path",
        "http://hooks.example/",
        "https://one.example,two.example/",
        "https://hooks.example/a b",
        "https://user:12?hunter2@hooks.example/",
        "https://hooks.example/#batch=0",
        "https://hooks.example/#batch=10001",
        "https://hooks.example/#batch=-1",
        "https://hooks.example/#batch=٣",
        "https://hooks.example/#secrets=x",
        "https://hooks.example/#allow=10.0.0.1/8",
        "https://hooks.example/#allow=all",
        "https://hooks.example/#allow=127.1",
        "https://hooks.example/#ca=/nowhere.pem",
        "https://hooks.example/${NOT_THERE}",
    ],
)
def test_urls_that_are_refused(url):
    with pytest.raises(ConfigurationError) as caught:
        http.HttpSink(url)
    assert "hunter2" not in str(caught.value)


# Who may be connected to.
OPEN = ["8.8.8.8", "1.1.1.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808",
        "2002:808:808::1"]  # fmt: skip
CLOSED = [
    "0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.1.2.3", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "fe80::1", "fe80::1%1", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "100::1",
    "2001:db8::1", "3fff::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1", "2002:7f00:1::1", "2002:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:80ff:fffe",
]  # fmt: skip


@pytest.mark.parametrize("address", OPEN + CLOSED)
def test_addresses(address, monkeypatch):
    answer_with(monkeypatch, [[address]])
    if address in OPEN:
        assert Destination().addresses("hooks.example", 443) == [address]
    else:
        with pytest.raises(ConfigurationError, match=r"isn't one of the internet.*#allow="):
            Destination().addresses("hooks.example", 443)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "[::1]"])
def test_spellings_of_the_loopback(host, server, sink_of):
    """However it is written, the system's own reading of it is what is looked at."""
    with pytest.raises((ConfigurationError, RetryLater)):
        sink_of(host=host, allow="allow=10.0.0.0/8").write([make_event()])
    assert not server.requests


@pytest.mark.parametrize(
    ("allow", "address", "is_allowed"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", True),  # of the internet
        ("10.0.0.0/8", "172.16.0.1", False),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "64:ff9b::a01:203", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("10.0.0.0/8, fd00::/8", "fd12::1", True),
        ("fd00::/8", "fe80::1", False),
        ("2002::/16", "2002:7f00:1::1", True),
        ("", "10.1.2.3", False),
    ],
)
def test_allowed_networks(allow, address, is_allowed, monkeypatch):
    answer_with(monkeypatch, [[address]])
    sink = http.HttpSink(f"https://hooks.example/#allow={allow.replace(' ', '%20')}")
    [finding, *_] = sink.check() if not is_allowed else [None]
    assert (finding is None) is is_allowed
    if is_allowed:
        assert sink._webhook.destination.addresses("hooks.example", 443) == [address]
    else:
        assert "isn't one of the internet" in finding.problem


def answer_with(monkeypatch, answers):
    """Name servers that say something else each time; the last answer stays. Numbers are read as ever."""
    asked = []
    system = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **options):
        if host not in ("hooks.example", "xn--mnchen-3ya.example"):
            return system(host, port, *args, **options)
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(family[":" in one], socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_one_closed_address_among_open_ones_is_too_many(monkeypatch):
    answer_with(monkeypatch, [["8.8.8.8", "10.0.0.1"]])
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.1"):
        Destination().addresses("hooks.example", 443)


def test_a_name_that_changes_its_address_leads_nowhere_else(server, sink_of, monkeypatch, authority):
    """DNS rebinding: what was looked at is connected to, and the name isn't asked again in between."""
    with receiver(authority.context("hooks.example"), "127.0.0.2") as inner:
        asked = answer_with(monkeypatch, [["127.0.0.1"], ["127.0.0.2"]])
        sink = sink_of(host="hooks.example", allow="allow=127.0.0.1", port=server.port)
        sink.write([make_event()])
        assert asked == ["hooks.example"]
        sink.close()
        with pytest.raises(ConfigurationError, match=r"127\.0\.0\.2"):  # asked anew for another connection
            sink.write([make_event()])
        assert len(asked) == 2
    assert len(server.requests) == 1
    assert not inner.requests


def test_certificate_is_that_of_the_name(server, sink_of, monkeypatch):
    """Though an address is connected to."""
    answer_with(monkeypatch, [["127.0.0.1"]])
    sink_of(host="hooks.example").write([make_event()])
    assert server.requests[0].headers["host"] == f"hooks.example:{server.port}"
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1"):
        sink_of(host="127.0.0.1").write([make_event()])


@pytest.mark.parametrize("host", ["münchen.example", "xn--mnchen-3ya.example", "MÜNCHEN.example"])
def test_international_names(host, server, sink_of, monkeypatch):
    asked = answer_with(monkeypatch, [["127.0.0.1"]])
    sink = sink_of(host=host)
    sink.write([make_event()])
    assert asked == ["xn--mnchen-3ya.example"]
    assert sink.name == f"https://xn--mnchen-3ya.example:{server.port}/in"


def test_the_next_address_is_tried(server, sink_of, monkeypatch):
    answer_with(monkeypatch, [["127.0.0.3", "127.0.0.1"]])
    sink_of(host="hooks.example").write([make_event()])
    assert len(server.requests) == 1


@pytest.mark.parametrize("host", ["hooks.example", f"{'x' * 70}.example", "a..b"])
def test_names_without_an_address(host, sink_of, monkeypatch):
    system = socket.getaddrinfo

    def getaddrinfo(asked, *args, **options):
        if asked == "hooks.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return system(asked, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(RetryLater, match="has no address"):
        sink_of(host=host).write([make_event()])


def test_redirects_lead_nowhere(server, sink_of):
    server.usual = Answer(308, {"Location": f"https://localhost:{server.port}/other"})
    with pytest.raises(ConfigurationError, match="redirect"):
        sink_of().write([make_event()])
    assert [request.target for request in server.requests] == ["/in"]


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Rejected), (413, Rejected), (401, ConfigurationError), (404, ConfigurationError), (410, ConfigurationError),
     (429, RetryLater), (500, RetryLater), (503, RetryLater)],
)  # fmt: skip
def test_answers(status, error, server, sink_of):
    """What the receiver writes is not passed on: it may quote the events."""
    server.usual = Answer(status, body=b"visitor-4711 is not welcome")
    with pytest.raises(error, match=f"answers {status}") as caught:
        sink_of().write([make_event(path="/visitor-4711")])
    assert "visitor" not in str(caught.value)


def test_a_receiver_that_holds_the_line(sink_of, authority, monkeypatch):
    """Byte by byte, for ever."""

    def drip(connection, over):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not over.wait(0.02):
            connection.sendall(b"x")

    monkeypatch.setattr(http, "_REQUEST_S", 0.5)
    with raw_server(drip, authority.context("localhost")) as port, pytest.raises(RetryLater):
        sink_of(port=port).write([make_event()])


def test_an_open_line_is_refused(sink_of):
    """A server that doesn't speak TLS gets no event."""
    with receiver() as plain, pytest.raises(RetryLater):
        sink_of(port=plain.port).write([make_event()])
    assert not plain.requests


def test_check(server, sink_of):
    found = list(sink_of(options=f"secret={whsec(SECRET)}").check())
    assert [(finding.what, finding.problem) for finding in found] == [
        ("localhost may be connected to", None),
        ("the receiver takes an empty batch", None),
        ("requests are signed with 1 secret", None),
    ]
    [request] = server.requests
    assert request.body == b"[]"
    assert request.headers["webhook-signature"].startswith("v1,")


def test_check_of_what_is_wrong(server, sink_of, authority):
    server.usual = Answer(403)
    [_, refused] = sink_of().check()
    assert "answers 403" in refused.problem
    [closed] = sink_of(allow="").check()
    assert "#allow=" in closed.problem
    [_, untrusted] = http.HttpSink(f"https://localhost:{server.port}/#{LOOPBACK}").check()
    assert "isn't trusted" in untrusted.problem


def test_import_needs_no_client():
    """The core install has none."""
    code = """
import sys
sys.modules["httpx"] = sys.modules["httpcore"] = None
from centtrack.errors import MissingExtraError
from centtrack.sinks import open_sink
try:
    open_sink("https://hooks.example/")
except MissingExtraError as error:
    assert "centtrack[http]" in str(error)
else:
    raise SystemExit(1)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def embed(number):
    """An IPv4 address in one of the forms that lead to it."""
    return IPv6Address(
        [0xFFFF << 32, 0x64FF9B << 96, 0x2002 << 112][number % 3] | number << (80 if number % 3 == 2 else 0)
    )


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6), st.integers(0, 2**32 - 1).map(embed)))
def test_whoever_may_be_connected_to_is_of_the_internet(address):
    """By Python's own reading of the registries, which differs from one version to the next, but not in this way."""
    if Destination().allows(address):
        inner = getattr(address, "ipv4_mapped", None) or embedded_address(address)
        assert inner.is_global
        assert not inner.is_multicast


def test_one_event_that_is_refused_stops_no_other(server, sink_of):
    """As the delivery does it: the batch is halved until the event is alone."""
    events = [make_event(path=f"/{number}") for number in range(100)]

    def take(request):
        server.requests.append(request)
        return Answer(422 if b'"/37"' in request.body else 200)

    server.take = take
    outlet = Outlet(sink_of(options="batch=10"), lambda: None)
    outlet.open()
    try:
        [(reason, letter)] = outlet.write(Batch(events, stream="s", sequence=1), len(events))
    finally:
        outlet.end()
    assert reason.endswith("answers 422")
    assert b'"/37"' in letter
    arrived = {
        event.path for request in server.requests if b'"/37"' not in request.body for event in events_of(request)
    }
    assert arrived == {event.path for event in events} - {"/37"}
