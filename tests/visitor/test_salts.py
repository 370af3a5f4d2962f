import multiprocessing
import os
import shutil
import stat
import threading
import time

import pytest

from centtrack.errors import ConfigurationError
from centtrack.locks import FileLock
from centtrack.logs import forget
from centtrack.visitor import salts as module
from centtrack.visitor.salt_file import purge_salts
from centtrack.visitor.salts import KEPT_DAYS, SALT_BYTES, Salts, open_salts
from databases import RedisServer
from salting import ask
from waiting import eventually

TODAY = 20_000
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def today(monkeypatch):
    """Sets the day, for salts that are opened in this process."""

    def set_day(day, *, is_late=False):
        monkeypatch.setattr(module, "_today", lambda later_s=0: day + bool(later_s and is_late))

    set_day(TODAY)
    return set_day


@pytest.fixture(params=["file", "redis", "postgresql"])
def location(request, tmp_path):
    """Where salts are kept; nothing is there yet."""
    if request.param == "file":
        return str(tmp_path / "salts")
    url = request.getfixturevalue(f"{request.param}_url")
    _empty(url)
    return url


def _empty(url):
    if url.startswith("redis"):
        import redis

        with redis.Redis.from_url(url) as client:
            client.flushdb()
    else:
        import psycopg

        with psycopg.connect(url) as connection:
            connection.execute("drop table if exists centtrack_salt")


def asked(location):
    """Salts that have asked their store once."""
    salts = open_salts(location)
    salts.refresh()
    return salts


def test_workers_agree(location):
    """Eight processes ask at once: one salt."""
    answers = SPAWN.Queue()
    workers = [SPAWN.Process(target=ask, args=(location, module._today(), answers)) for _ in range(8)]
    for worker in workers:
        worker.start()
    given = [answers.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert len(set(given)) == 1
    assert len(given[0]) == SALT_BYTES


def test_a_restart_keeps_the_salt(location):
    day = module._today()
    assert asked(location).salt_of(day) == asked(location).salt_of(day)


def test_each_day_has_its_own(today, location):
    day = int(time.time() // 86_400)  # Redis has a clock of its own
    today(day)
    salts = asked(location)
    today(day + 1)
    salts.refresh()
    assert salts.salt_of(day) not in {None, salts.salt_of(day + 1)}


def test_the_next_is_agreed_on_before_midnight(today, tmp_path):
    """So that nobody waits for it then; but it isn't used before."""
    today(TODAY, is_late=True)
    salts = asked(tmp_path / "salts")
    assert salts.salt_of(TODAY + 1) is None
    today(TODAY + 1)
    assert salts.salt_of(TODAY + 1) is not None


def test_only_today_and_yesterday(today, tmp_path):
    salts = asked(tmp_path / "salts")
    assert [salts.salt_of(TODAY + days) is not None for days in (-2, -1, 0, 1)] == [False, False, True, False]
    today(TODAY + 1)
    assert salts.salt_of(TODAY) is not None
    today(TODAY + 2)
    assert salts.salt_of(TODAY) is None


def test_destroyed_after_two_days(today, tmp_path):
    path = tmp_path / "salts"
    salts = asked(path)
    first = salts.salt_of(TODAY)
    today(TODAY + 1)
    salts.refresh()
    assert salts.salt_of(TODAY) == first
    assert first.hex().encode() in path.read_bytes()
    today(TODAY + KEPT_DAYS)
    salts.refresh()
    assert first.hex().encode() not in path.read_bytes()
    assert first not in salts._known.values()


def test_overwritten_in_place(today, tmp_path):
    """The same file, so that the old bytes are written over and not left in blocks of a file that was removed."""
    path = tmp_path / "salts"
    asked(path)
    before = path.stat().st_ino
    today(TODAY + KEPT_DAYS)
    asked(path)
    assert path.stat().st_ino == before
    assert path.read_text().startswith(str(TODAY + KEPT_DAYS))


def test_a_file_that_nobody_uses_any_more_is_purged(today, tmp_path):
    path = tmp_path / "salts"
    asked(path)
    purge_salts(path, oldest=TODAY)
    assert path.read_text().startswith(str(TODAY))
    purge_salts(path, oldest=TODAY + 1)
    assert path.read_bytes() == b""
    purge_salts(tmp_path / "none", oldest=TODAY)
    assert not (tmp_path / "none").exists()


def test_purging_leaves_no_lock_behind_where_it_fails(today, tmp_path):
    path = tmp_path / "salts"
    asked(path)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError) as failed:  # which keeps the frame, and all that is in it
        purge_salts(path, oldest=TODAY + 1)
    lock = FileLock(tmp_path / "salts.lock")
    assert lock.acquire(blocking=False), failed
    lock.close()


def test_destroyed_in_postgresql(today, postgresql_url):
    import psycopg

    _empty(postgresql_url)
    salts = asked(postgresql_url)
    today(TODAY + KEPT_DAYS)
    salts.refresh()
    with psycopg.connect(postgresql_url) as connection:
        days = connection.execute("select day - date '1970-01-01' from centtrack_salt").fetchall()
    assert days == [(TODAY + KEPT_DAYS,)]


def test_destroyed_by_redis(redis_url):
    """The key expires when the day after its own is over."""
    import redis

    _empty(redis_url)
    day = module._today()
    asked(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        expiries = [client.expiretime(key) for key in sorted(client.keys("centtrack:salt:*"))]
    assert expiries[0] == (day + KEPT_DAYS) * 86_400


def test_nobody_else_can_read_the_file(tmp_path):
    asked(tmp_path / "salts")
    assert stat.S_IMODE((tmp_path / "salts").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_file_that_others_can_use_is_refused(tmp_path, mode, caplog):
    path = tmp_path / "salts"
    path.touch()
    path.chmod(mode)
    assert asked(path).salt_of(module._today()) is None
    assert f"chmod 600 {path}" in caplog.text
    assert path.read_bytes() == b""


def test_a_link_is_not_followed(tmp_path, caplog):
    (tmp_path / "salts").symlink_to(tmp_path / "elsewhere")
    assert asked(tmp_path / "salts").salt_of(module._today()) is None
    assert not (tmp_path / "elsewhere").exists()
    assert "can't be asked for the salt" in caplog.text


def test_a_damaged_file_starts_anew(today, tmp_path):
    path = tmp_path / "salts"
    path.write_bytes(b"\xff\x00\n20000 xyz\n19999 " + b"0" * 63 + b"\n" + os.urandom(200))
    path.chmod(0o600)
    salt = asked(path).salt_of(TODAY)
    assert path.read_text() == f"{TODAY} {salt.hex()}\n"


@pytest.fixture
def server():
    binary = shutil.which("redis-server") or pytest.skip("needs redis-server")
    server = RedisServer(binary)
    yield server
    server.stop()


def test_a_server_that_is_away(server, caplog):
    """No salt, one line in the log, no password in it; when it is back, another line."""
    salts = open_salts(server.url.replace("//", "//:s3cret@"))
    for _ in range(3):
        salts.refresh()
    assert salts.salt_of(module._today()) is None
    assert levels(caplog) == ["ERROR"]
    assert "Redis at 127.0.0.1" in caplog.text
    assert "s3cret" not in caplog.text
    forget()  # as after a minute: it is still away, and said again
    salts = open_salts(server.url)
    salts.refresh()
    server.start()
    salts.refresh()
    assert salts.salt_of(module._today()) is not None
    assert levels(caplog) == ["ERROR", "ERROR", "WARNING"]


def levels(caplog):
    return [record.levelname for record in caplog.records if record.name == module.__name__]


def test_a_server_that_lost_the_salt_gets_it_back(server):
    """Or workers that start afterwards would take a visitor for another."""
    server.start()
    old = asked(server.url)
    server.stop()
    old.refresh()
    server.start()
    old.refresh()
    day = module._today()
    assert asked(server.url).salt_of(day) == old.salt_of(day) is not None


class Hanging:
    """A store that doesn't answer until it is let go."""

    def __init__(self):
        self.is_let_go = threading.Event()

    def agree(self, day, proposed, *, oldest):
        self.is_let_go.wait(60)
        return proposed


def test_a_store_that_hangs_delays_nothing():
    store = Hanging()
    salts = Salts(store)
    salts.start()
    salts.wait(0.05)
    assert salts.salt_of(module._today()) is None
    store.is_let_go.set()
    assert eventually(lambda: salts.salt_of(module._today()))
    salts.stop()


def test_a_value_in_redis_that_is_no_salt(redis_url, caplog):
    import redis

    _empty(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        client.set(f"centtrack:salt:{module._date(module._today())}", "short")
    assert asked(redis_url).salt_of(module._today()) is None
    assert "holds no salt" in caplog.text


@pytest.mark.parametrize(
    ("location", "message"),
    [("mysql://host/db", "allowed are"), ("redis://u:hunter2/x@db:port/0", "no URL of Redis"), ("", "name a file")],
)
def test_what_is_refused_at_start(location, message):
    with pytest.raises(ConfigurationError, match=message) as refused:
        open_salts(location)
    assert "hunter2" not in str(refused.value)
