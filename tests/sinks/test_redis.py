"""Redis streams: each batch once, whatever happens in between; what is wrong is said without what is secret."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading

import msgspec
import pytest
import redis
import trustme
from redis.crc import key_slot

from centtrack import Event
from centtrack.errors import ConfigurationError, RetryLater
from centtrack.sinks import open_sink
from centtrack.sinks.base import Batch, UnreadableBatchError
from centtrack.sinks.redis import RedisSink
from centtrack.testing import SinkContract, make_event
from databases import RedisServer
from servers import free_port
from waiting import eventually

BINARY = shutil.which("redis-server")
needs_binary = pytest.mark.skipif(BINARY is None, reason="needs redis-server")


@pytest.fixture
def stream(redis_url, request):
    """The URL of a stream of the test's own."""
    name = f"{request.node.originalname}-{os.urandom(4).hex()}"
    yield f"{redis_url.removesuffix('/0')}/{name}"
    with redis.Redis.from_url(redis_url) as client:
        client.delete(name, f"{{{name}}}:batches")


@pytest.fixture
def server(tmp_path):
    """A Redis of the test's own, which logs to the disk."""
    if BINARY is None:
        pytest.skip("needs redis-server")
    with RedisServer(BINARY, "--appendonly", "yes", "--appendfsync", "no", "--dir", str(tmp_path)) as started:
        yield started


@pytest.fixture
def admin(server):
    """A client of that server that may do all."""
    with redis.Redis.from_url(server.url) as client:
        yield client


def url_of(server, stream="events", credentials=""):
    return server.url.removesuffix("/0").replace("//", f"//{credentials}") + f"/{stream}"


def entries(url):
    """The entries of a stream, by their ids."""
    server, _, name = url.partition("?")[0].rpartition("/")
    with redis.Redis.from_url(server) as client:
        return client.xrange(name)


def stored(url):
    return [msgspec.json.decode(fields[b"event"], type=Event) for _, fields in entries(url)]


def batch(count=3, sequence=1, **columns):
    return Batch([make_event(**columns) for _ in range(count)], stream="journal/sink", sequence=sequence)


def ids(events):
    return sorted(event.event_id for event in events)


class TestRedisSink(SinkContract):
    @pytest.fixture(autouse=True)
    def _target(self, stream):
        self.url = stream

    def make_sink(self, folder):
        return open_sink(self.url)

    def stored(self, folder):
        return stored(self.url)


def test_an_entry_has_id_version_and_json(stream):
    event = make_event(path="/a")
    open_sink(stream).write([event])
    ((_, fields),) = entries(stream)
    assert fields == {
        b"event_id": event.event_id.encode(),
        b"schema_version": b"1",
        b"event": msgspec.json.encode(event),
    }


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://host", "needs a stream"),
        ("redis://host/", "needs a stream"),
        ("redis://host/a%20b", "needs a stream"),
        ("redis://host/a/b", "needs a stream"),
        ("redis://host/a{b", "one part may stand in braces"),
        ("redis://host/a{}b", "one part may stand in braces"),
        ("redis://host/a{b}{c}", "one part may stand in braces"),
        ("redis://one,two/events", "a single host"),
        ("redis://host/events?db=x", "whole number"),
        ("redis://host/events?db=-1", "whole number"),
        ("redis://host/events?maxlen=0", "whole number"),
        ("redis://host/events?maxlen=\u0663", "whole number"),
        ("redis://host/events?max=5", "no option"),
        ("redis://host/events?ca=/etc/hosts", "rediss:"),
        ("rediss://host/events?ca=/nowhere", "names no file"),
        ("redis://user:${NOWHERE_SET}@host/events", "NOWHERE_SET"),
    ],
)
def test_a_wrong_url_is_refused(url, said):
    with pytest.raises(ConfigurationError, match=said):
        RedisSink(url)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://ann:secret-word@host/events", "redis://host:6379/events"),
        ("redis://:secret-word@host/events?maxlen=5&db=0", "redis://host:6379/events"),
        ("rediss://ann:secret-word@host:7000/events?db=3", "rediss://host:7000/events?db=3"),
    ],
)
def test_its_name_holds_no_credentials(url, name):
    sink = RedisSink(url)
    assert sink.name == name
    assert "secret" not in str(vars(sink))


@pytest.mark.parametrize("name", ["events", "site:{shop}:events", "{shop}", "events{shop}"])
def test_all_its_keys_lie_on_one_node_of_a_cluster(server, admin, name):
    RedisSink(url_of(server, name)).write(batch())
    keys = admin.keys()
    assert len(keys) == 2
    assert len({key_slot(key) for key in keys}) == 1


def test_what_is_no_event_is_left_to_the_delivery(stream):
    with pytest.raises(UnreadableBatchError):
        open_sink(stream).write(Batch(lines=b"{}\n", stream="journal/sink", sequence=1))
    assert not entries(stream)


def test_a_stream_is_cut_only_if_that_is_asked_for(stream):
    for sequence in range(1, 6):
        open_sink(f"{stream}?maxlen=100").write(batch(400, sequence))
    assert 100 <= len(entries(stream)) < 400
    open_sink(stream).write(batch(2_000, 6))
    assert len(entries(stream)) >= 2_000


def test_one_batch_from_two_attempts_at_once_comes_once(stream):
    sent = batch(500)
    threads = [threading.Thread(target=open_sink(stream).write, args=(sent,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert ids(stored(stream)) == ids(sent)


def test_goes_on_when_the_server_forgot_its_scripts(stream, redis_url):
    sink = open_sink(stream)
    sink.write(batch(2, 1))
    with redis.Redis.from_url(redis_url) as client:
        client.script_flush()
    sink.write(batch(2, 2))
    assert len(entries(stream)) == 4


def test_a_forked_child_has_a_connection_of_its_own(stream):
    sink = open_sink(stream)
    sink.write(batch(1, 1))
    child = os.fork()
    if not child:
        try:
            sink.write(batch(1, 2))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    sink.write(batch(1, 3))
    assert len(entries(stream)) == 3


def test_a_restart_loses_and_doubles_nothing(server):
    sink, sent = RedisSink(url_of(server)), [batch(100, sequence) for sequence in range(1, 4)]
    sink.write(sent[0])
    sink.write(sent[1])
    server.stop()
    with pytest.raises(RetryLater, match="doesn't answer: nothing listens there"):
        sink.write(sent[2])
    server.start()
    sink.open()
    for one in sent[1:]:
        sink.write(one)
    assert ids(stored(url_of(server))) == ids([event for one in sent for event in one])


def test_close_ends_a_call_that_hangs(server, admin):
    sink, sent, ended = RedisSink(url_of(server)), batch(), []
    sink.open()
    admin.execute_command("CLIENT", "PAUSE", 100_000, "WRITE")

    def write():
        with contextlib.suppress(Exception):  # whatever it is: nobody waits for this call any more
            sink.write(sent)
        ended.append(True)

    thread = threading.Thread(target=write)
    thread.start()
    eventually(lambda: admin.info("clients")["blocked_clients"])
    sink.close()
    thread.join(10)
    assert ended
    admin.execute_command("CLIENT", "UNPAUSE")
    sink.write(sent)
    assert ids(stored(url_of(server))) == ids(sent)


def fill(admin):
    admin.config_set("maxmemory", "1mb")
    return lambda: admin.config_set("maxmemory", "0")


def demote(admin):
    admin.execute_command("REPLICAOF", "127.0.0.1", "9")
    return lambda: admin.execute_command("REPLICAOF", "NO", "ONE")


def want_replicas(admin):
    admin.config_set("min-replicas-to-write", "1")
    return lambda: admin.config_set("min-replicas-to-write", "0")


def be_busy(admin):
    admin.config_set("busy-reply-threshold", "1")

    def run():
        with pytest.raises(redis.ResponseError, match="killed"):
            admin.eval("while true do end", 0)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(lambda: is_busy(admin))

    def end():
        admin.script_kill()
        thread.join(10)

    return end


def is_busy(admin):
    try:
        admin.ping()
    except redis.ResponseError as error:
        return "BUSY" in str(error)
    return False


@pytest.mark.parametrize(
    ("begin", "said"),
    [
        (fill, "memory is full"),
        (demote, "is a replica"),
        (want_replicas, "too few replicas"),
        (be_busy, "busy with a script"),
    ],
)
def test_what_passes_is_waited_for(server, admin, begin, said):
    sink, sent = RedisSink(url_of(server)), batch(10)
    sink.open()
    end = begin(admin)
    with pytest.raises(RetryLater, match=said):
        sink.write(sent)
    end()
    sink.write(sent)
    assert ids(stored(url_of(server))) == ids(sent)


def test_what_somebody_must_mend_pauses_delivery(server, admin):
    admin.set("text", "x")
    admin.execute_command("ACL", "SETUSER", "ann", "on", ">right-word", "~events", "+ping")
    cases = [
        (url_of(server, "text"), "something else than a stream"),
        (url_of(server, "events?db=99"), "so many databases"),
        (url_of(server, "events", "ann:wrong-word@"), "user and password"),
        (url_of(server, "events", "nobody:right-word@"), "user and password"),
        (url_of(server, "events", "ann:right-word@"), "ACL SETUSER ann ~events"),
    ]
    for url, said in cases:
        with pytest.raises(ConfigurationError, match=said) as caught:
            RedisSink(url).write(batch())
        assert "-word" not in str(caught.value)
    admin.config_set("requirepass", "right-word")
    with pytest.raises(ConfigurationError, match="password"):
        RedisSink(url_of(server)).open()


def test_the_rights_it_names_are_enough(server, admin):
    admin.execute_command("ACL", "SETUSER", "ann", "on", ">right-word")
    with pytest.raises(ConfigurationError) as caught:
        RedisSink(url_of(server, credentials="ann:right-word@")).write(batch())
    rights = str(caught.value).partition("ACL SETUSER ann ")[2].split()
    admin.execute_command("ACL", "SETUSER", "ann", "reset", "on", ">right-word", *rights)
    sink = RedisSink(url_of(server, credentials="ann:right-word@"))
    sink.write(batch(2))
    assert not [finding for finding in sink.check() if finding.problem]
    without = [right for right in rights if right not in {"+xrange", "+xdel", "+type", "+info"}]
    admin.execute_command("ACL", "SETUSER", "bob", "on", ">right-word", *without)
    RedisSink(url_of(server, credentials="bob:right-word@")).write(batch(2, 2))
    assert len(entries(url_of(server))) == 4


@pytest.mark.parametrize("missing", ["+xadd", "+hget", "+hset", "~{events}:batches"])
def test_half_its_rights_add_nothing(server, admin, missing):
    """A batch that is tried again and again, while somebody looks for what is missing."""
    rights = {"~events", "~{events}:batches", "+ping", "+select", "+evalsha", "+script|load", "+xadd", "+hget", "+hset"}
    admin.execute_command("ACL", "SETUSER", "ann", "on", ">right-word", *(rights - {missing}))
    sink, sent = RedisSink(url_of(server, credentials="ann:right-word@")), batch()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="may not do that: ACL SETUSER"):
            sink.write(sent)
    assert not entries(url_of(server))
    admin.execute_command("ACL", "SETUSER", "ann", missing)
    for _ in range(2):
        sink.write(sent)
    assert ids(stored(url_of(server))) == ids(sent)


@needs_binary
def test_tls(tmp_path):
    ours, other = trustme.CA(), trustme.CA()
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "other", "cert", "key", "server", "server_key")}
    ours.cert_pem.write_to_path(files["ca"])
    other.cert_pem.write_to_path(files["other"])
    for certificate, cert, key in [
        (ours.issue_cert("127.0.0.1"), "server", "server_key"),
        (ours.issue_cert("app.example"), "cert", "key"),
    ]:
        certificate.cert_chain_pems[0].write_to_path(files[cert])
        certificate.private_key_pem.write_to_path(files[key])
    port = free_port()
    options = [
        "--tls-port", str(port), "--tls-cert-file", str(files["server"]), "--tls-key-file", str(files["server_key"]),
        "--tls-ca-cert-file", str(files["ca"]), "--tls-auth-clients", "yes",
    ]  # fmt: skip
    with RedisServer(BINARY, *options) as server:
        own = f"&cert={files['cert']}&key={files['key']}"
        sent = batch()
        RedisSink(f"rediss://127.0.0.1:{port}/events?ca={files['ca']}{own}").write(sent)
        assert ids(stored(url_of(server))) == ids(sent)
        for url in (
            f"rediss://127.0.0.1:{port}/events?ca={files['other']}{own}",
            f"rediss://127.0.0.1:{port}/events",
            f"rediss://localhost:{port}/events?ca={files['ca']}{own}",
        ):
            with pytest.raises(ConfigurationError, match="certificate"):
                RedisSink(url).open()
        for url in (f"redis://127.0.0.1:{port}/events", f"rediss://127.0.0.1:{port}/events?ca={files['ca']}"):
            with pytest.raises(RetryLater):
                RedisSink(url).open()


def problems(url):
    return {finding.problem: finding.fix for finding in RedisSink(url).check() if finding.problem}


def test_check_finds_nothing_wrong_and_leaves_nothing(server, admin):
    findings = list(RedisSink(url_of(server)).check())
    assert len(findings) == 7
    assert not [finding for finding in findings if finding.problem]
    assert admin.xlen("events") == 0
    RedisSink(url_of(server)).write(batch(2))
    assert not problems(url_of(server))
    assert admin.xlen("events") == 2


def test_no_reader_sees_the_probe(server, admin):
    admin.xgroup_create("events", "readers", "$", mkstream=True)
    list(RedisSink(url_of(server)).check())
    assert not admin.xreadgroup("readers", "one", {"events": ">"})


def test_check_says_what_is_wrong(server, admin):
    admin.config_set("appendonly", "no")
    admin.config_set("maxmemory-policy", "allkeys-lru")
    admin.set("text", "x")
    found = problems(url_of(server, "text"))
    assert "CONFIG SET appendonly yes\nCONFIG REWRITE" in found.values()
    assert "CONFIG SET maxmemory-policy noeviction\nCONFIG REWRITE" in found.values()
    assert "it is a string: name another one" in found
    admin.execute_command("REPLICAOF", "127.0.0.1", "9")
    assert "it is a replica, which takes no events: name the master" in problems(url_of(server))
    found = list(RedisSink(url_of(server, credentials="ann:wrong-word@")).check())
    assert len(found) == 1
    assert "user and password" in found[0].problem
    assert "word@" not in str(found)


@pytest.mark.parametrize(
    ("host", "said"), [("127.0.0.1", "nothing listens there"), ("no-such-host.invalid", "no such host is known")]
)
def test_check_of_a_server_that_is_not_there(host, said):
    (finding,) = RedisSink(f"redis://{host}:{free_port()}/events").check()
    assert f"doesn't answer: {said}" in finding.problem
