"""Calls over HTTP: what answers mean, and servers that would hold or fill the caller."""

from __future__ import annotations

import datetime as dt
import gzip
import os
import socket
import threading
from email.utils import format_datetime

import httpx
import pytest

from centtrack.errors import ConfigurationError, MissingExtraError, Rejected, RetryLater
from centtrack.sinks import http_calls
from centtrack.sinks.http_calls import HttpCaller, authorization, need_httpx, raise_for_answer, retry_after
from centtrack.sinks.tls import Tls
from centtrack.sinks.url import SinkUrl
from receivers import Answer, raw_server, receiver
from servers import free_port
from waiting import eventually


@pytest.fixture
def caller():
    """Makes callers, and closes them."""
    made = []

    def make(tls=Tls(), timeout_s=20.0, **options):  # noqa: B008 - a tuple
        made.append(HttpCaller("the sink", tls, timeout_s, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def answer(status, **headers):
    return httpx.Response(status, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, RetryLater) for status in (408, 425, 429, 500, 502, 503, 504)),
        *((status, Rejected) for status in (400, 413, 415, 422)),
        *((status, ConfigurationError) for status in (301, 302, 304, 307, 308, 401, 403, 404, 405, 410, 501, 505, 599)),
    ],
)
def test_what_a_status_means(status, error):
    with pytest.raises(error, match=f"the sink answers {status}"):
        raise_for_answer("the sink", answer(status, location="https://elsewhere.example"))


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success(status):
    raise_for_answer("the sink", answer(status))


def test_other_statuses_to_try_again_after():
    with pytest.raises(ConfigurationError):
        raise_for_answer("the sink", answer(500), later={503})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        (" 0 ", 0),
        ("86400", 3_600),  # not for a day, however busy it is
        ("9" * 5_000, 3_600),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("Fri, 01 Jan 2021 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3_600),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),  # beyond what a time can be
        ("Fri, 99 Dec 2026 23:59:59 GMT", None),
    ],
)
def test_retry_after(text, seconds):
    assert retry_after(answer(503, retry_after=text)) == seconds


def test_retry_after_a_date():
    in_a_minute = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60), usegmt=True)
    assert 0 < retry_after(answer(503, retry_after=in_a_minute)) <= 60


def test_credentials_of_a_url():
    assert authorization(SinkUrl("https", (), "")) == {}
    both = SinkUrl("https", (), "", user="Aladdin", password="open sesame")
    assert authorization(both) == {"authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}  # RFC 7617's example


def test_missing_client(monkeypatch):
    need_httpx("The sink", "http")
    monkeypatch.setattr(http_calls, "httpx", None)
    with pytest.raises(MissingExtraError, match=r"centtrack\[http\]"):
        need_httpx("The sink", "http")


def test_what_is_sent(caller, monkeypatch):
    """No proxy of the environment, no cookie that came, one value for each header, a connection that is used again."""
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with receiver() as server:
        server.usual = Answer(headers={"Set-Cookie": "visited=1", "X-Said": "hello"}, body=b"taken")
        one = caller()
        for _ in range(2):
            said = one.post(f"http://127.0.0.1:{server.port}/a%20b?x=1", b"body", {"X-Key": "é", "User-Agent": "mine"})
        one.post(f"http://127.0.0.1:{server.port}/p", b"", {}, params={"query": "select 1 & 2", "a": "+"})
    assert (said.status_code, said.text, said.headers["x-said"]) == (200, "taken", "hello")
    first, second, third = server.requests
    assert (first.method, first.target, first.body) == ("POST", "/a%20b?x=1", b"body")
    assert first.headers["host"] == f"127.0.0.1:{server.port}"
    assert first.headers["user-agent"] == "mine"
    assert first.headers["accept-encoding"] == "identity"
    assert "cookie" not in second.headers
    assert third.target == "/p?query=select+1+%26+2&a=%2B"
    assert third.headers["user-agent"].startswith("centtrack/")


def test_ipv6(caller):
    with receiver(host="::1") as server:
        assert caller().post(f"http://[::1]:{server.port}/", b"", {}).status_code == 200
    assert server.requests[0].headers["host"] == f"[::1]:{server.port}"


def test_headers_that_cannot_be_sent(caller):
    with receiver() as server, pytest.raises(ConfigurationError, match="can't be sent") as caught:
        caller().post(f"http://127.0.0.1:{server.port}/", b"", {"X-Key": "hunter2\r\nX-Other: 1"})
    assert "hunter2" not in str(caught.value)


def test_redirects_are_not_followed(caller):
    with receiver() as server, receiver() as other:
        server.usual = Answer(307, {"Location": f"http://127.0.0.1:{other.port}/"})
        assert caller().post(f"http://127.0.0.1:{server.port}/", b"", {}).status_code == 307
    assert not other.requests


def test_nobody_there(caller):
    with pytest.raises(RetryLater, match="does not answer: nothing listens there"):
        caller().post(f"http://127.0.0.1:{free_port()}/", b"", {})


def test_what_is_wrong_with_the_address_is_told(caller):
    with receiver() as plain:
        for url, words in (
            (f"https://127.0.0.1:{plain.port}/", "TLS fails; is that port one without TLS"),
            ("http://nowhere.invalid/", "nowhere.invalid has no address"),
        ):
            with pytest.raises(RetryLater, match=words):
                caller().post(url, b"", {})


def test_certificates(caller, authority):
    """Only of the named authority, and only for the host that was asked for."""
    url = "https://localhost:{}/"
    with receiver(authority.context("localhost")) as server:
        with pytest.raises(ConfigurationError, match=r"certificate of localhost isn't trusted: .*Option ca"):
            caller().post(url.format(server.port), b"", {})
        trusting = caller(Tls(ca=str(authority.file)))
        assert trusting.post(url.format(server.port), b"", {}).status_code == 200
    with receiver(authority.context("other.example")) as server, pytest.raises(ConfigurationError, match="localhost"):
        caller(Tls(ca=str(authority.file))).post(url.format(server.port), b"", {})


def test_client_certificate(caller, authority):
    certificate, key = map(str, authority.certificate())
    with receiver(authority.context("localhost", needs_certificate=True)) as server:
        url = f"https://localhost:{server.port}/"
        assert caller(Tls(str(authority.file), certificate, key)).post(url, b"", {}).status_code == 200
        with pytest.raises(RetryLater):
            caller(Tls(str(authority.file))).post(url, b"", {})


# Servers that do what they like. Each would go on until the test is over.
def say_nothing(connection, over):
    over.wait()


def read_nothing(connection, over):
    """With a small buffer, so that who sends a large body can't get rid of it."""
    over.wait()


def drip_headers(connection, over):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.wait(0.02):
        connection.sendall(b"X-Drip: 1\r\n")


def drip_continues(connection, over):
    while not over.wait(0.02):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def drip_body(connection, over):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not over.wait(0.02):
        connection.sendall(b"x")


@pytest.mark.parametrize("behave", [say_nothing, read_nothing, drip_headers, drip_continues, drip_body])
@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
def test_one_deadline_for_the_whole_request(behave, is_secure, caller, authority):
    """Each step of these is quick enough for any time-out of a step."""
    body = b"x" * 20_000_000 if behave is read_nothing else b""
    with raw_server(behave, authority.context("localhost") if is_secure else None) as port:
        one = caller(Tls(str(authority.file)), timeout_s=0.5)
        with pytest.raises(RetryLater, match="does not answer"):
            one.post(f"{'https' if is_secure else 'http'}://localhost:{port}/", body, {})


def test_a_handshake_that_never_ends(caller, authority):
    with raw_server(say_nothing) as port, pytest.raises(RetryLater):
        caller(Tls(str(authority.file)), timeout_s=0.5).post(f"https://localhost:{port}/", b"", {})


def test_an_answer_without_end_is_cut(caller):
    """Its status counts; the connection is given up."""

    def stream(connection, over):
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not over.is_set():
            connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

    with raw_server(stream) as port:
        answered = caller().post(f"http://127.0.0.1:{port}/", b"", {})
    assert (answered.status_code, len(answered.content)) == (200, 65_536)


def test_a_packed_answer_is_not_unpacked(caller):
    """A megabyte of nothing has a kilobyte when it is packed, and nobody asked for that."""
    bomb = gzip.compress(bytes(10_000_000))
    with receiver() as server:
        server.usual = Answer(200, {"Content-Encoding": "gzip"}, bomb)
        assert caller().post(f"http://127.0.0.1:{server.port}/", b"", {}).content == bomb[:65_536]


@pytest.mark.parametrize("charset", ["bz2", "zlib", "hex", "rot13", "idna", "utf-16", "nonsense"])
def test_an_answer_does_not_choose_what_its_text_is_decoded_with(charset, caller):
    """To Python some codecs unpack: 242 bytes that say they are `bz2` would be 300 megabytes."""
    with receiver() as server:
        server.usual = Answer(200, {"Content-Type": f"text/plain; charset={charset}"}, b"hello")
        assert caller().post(f"http://127.0.0.1:{server.port}/", b"", {}).text == "hello"


@pytest.mark.parametrize("garbage", [b"", b"hello\r\n", b"\x00" * 9, b"HTTP/1.1 999999 no\r\n\r\n", b"X" * 300_000])
def test_garbage(garbage, caller):
    def behave(connection, over):
        connection.recv(65_536)
        connection.sendall(garbage)

    with raw_server(behave) as port, pytest.raises(RetryLater, match="does not answer"):
        caller().post(f"http://127.0.0.1:{port}/", b"", {})


def test_an_early_refusal_is_heard(caller):
    """A server that has had enough answers before all has come, and closes."""

    def refuse(connection, over):
        connection.recv(1_000)
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass

    with raw_server(refuse) as port:
        assert caller().post(f"http://127.0.0.1:{port}/", b"x" * 5_000_000, {}).status_code == 413


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
def test_close_ends_a_request_of_another_thread(is_secure, caller, authority):
    """As delivery does with a call that it has given up."""
    came = threading.Event()

    def behave(connection, over):
        connection.recv(65_536)
        came.set()
        over.wait()

    failed = []
    with raw_server(behave, authority.context("localhost") if is_secure else None) as port:
        one = caller(Tls(str(authority.file)), timeout_s=100.0)

        def post():
            try:
                one.post(f"{'https' if is_secure else 'http'}://localhost:{port}/", b"", {})
            except RetryLater as error:
                failed.append(error)

        thread = threading.Thread(target=post)
        thread.start()
        assert came.wait(30)
        one.close()
        eventually(lambda: failed)
        thread.join()


def test_it_goes_on_after_closing(caller):
    with receiver() as server:
        one = caller()
        for _ in range(2):
            one.post(f"http://127.0.0.1:{server.port}/", b"", {})
            one.close()
    assert len(server.requests) == 2


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_child_has_a_connection_of_its_own(caller):
    """Two processes that write to one connection would mix what they say."""
    ports = []

    def behave(connection, over):
        ports.append(connection.getpeername()[1])
        while connection.recv(65_536):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with raw_server(behave) as port:
        one = caller()
        one.post(f"http://127.0.0.1:{port}/", b"", {})
        if (child := os.fork()) == 0:
            try:
                one.post(f"http://127.0.0.1:{port}/", b"", {})
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        one.post(f"http://127.0.0.1:{port}/", b"", {})
        one.close()
    assert len(ports) == len(set(ports)) == 2
