import multiprocessing
import os
import shutil
import stat

import pytest

from centtrack.errors import ConfigurationError
from centtrack.visitor import salts as module
from centtrack.visitor.salts import KEPT_DAYS, SALT_BYTES, open_salts
from databases import RedisServer
from salting import ask

TODAY = 20_000
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def today(monkeypatch):
    """Sets the day, for salts that are opened in this process."""

    def set_day(day):
        monkeypatch.setattr(module, "_today", lambda: day)

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


def test_workers_agree(location):
    """Eight processes ask at once for the real today and yesterday: one salt a day, and it is random."""
    days = [module._today(), module._today() - 1]
    answers = SPAWN.Queue()
    workers = [SPAWN.Process(target=ask, args=(location, days, answers)) for _ in range(8)]
    for worker in workers:
        worker.start()
    given = [answers.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert all(salts == given[0] for salts in given)
    today, yesterday = given[0]
    assert len(today) == len(yesterday) == SALT_BYTES
    assert today != yesterday


def test_a_restart_keeps_the_salt(location):
    day = module._today()
    assert open_salts(location).salt_of(day) == open_salts(location).salt_of(day)


def test_only_today_and_yesterday(today, tmp_path):
    salts = open_salts(tmp_path / "salts")
    assert [salts.salt_of(TODAY + days) is not None for days in (-2, -1, 0, 1)] == [False, True, True, False]
    assert salts.failures == 0


def test_destroyed_after_two_days(today, tmp_path):
    path = tmp_path / "salts"
    salts = open_salts(path)
    first = salts.salt_of(TODAY)
    today(TODAY + 1)
    salts.refresh()
    assert salts.salt_of(TODAY) == first
    assert first.hex().encode() in path.read_bytes()
    today(TODAY + KEPT_DAYS)
    salts.refresh()
    assert salts.salt_of(TODAY) is None
    assert first.hex().encode() not in path.read_bytes()
    assert first not in salts._known.values()


def test_overwritten_in_place(today, tmp_path):
    """The same file, so that the old bytes are written over and not left in blocks of a file that was removed."""
    path = tmp_path / "salts"
    open_salts(path).refresh()
    before = path.stat().st_ino
    today(TODAY + KEPT_DAYS)
    open_salts(path).refresh()
    assert path.stat().st_ino == before
    assert path.read_text().startswith(str(TODAY + KEPT_DAYS))


def test_destroyed_in_postgresql(today, postgresql_url):
    import psycopg

    _empty(postgresql_url)
    salts = open_salts(postgresql_url)
    salts.refresh()
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
    open_salts(redis_url).refresh()
    with redis.Redis.from_url(redis_url) as client:
        [key] = client.keys("centtrack:salt:*")
        assert client.expiretime(key) == (day + KEPT_DAYS) * 86_400


def test_nobody_else_can_read_the_file(tmp_path):
    path = tmp_path / "salts"
    open_salts(path).refresh()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_file_that_others_can_use_is_refused(tmp_path, mode, caplog):
    path = tmp_path / "salts"
    path.touch()
    path.chmod(mode)
    salts = open_salts(path)
    assert salts.salt_of(module._today()) is None
    assert salts.failures == 1
    assert f"chmod 600 {path}" in caplog.text
    assert path.read_bytes() == b""


def test_a_link_is_not_followed(tmp_path, caplog):
    (tmp_path / "salts").symlink_to(tmp_path / "elsewhere")
    assert open_salts(tmp_path / "salts").salt_of(module._today()) is None
    assert not (tmp_path / "elsewhere").exists()
    assert "no salt of the day" in caplog.text


def test_a_damaged_file_starts_anew(today, tmp_path):
    path = tmp_path / "salts"
    path.write_bytes(b"\xff\x00\n20000 xyz\n19999 " + b"0" * 63 + b"\n" + os.urandom(200))
    path.chmod(0o600)
    salt = open_salts(path).salt_of(TODAY)
    assert path.read_text() == f"{TODAY} {salt.hex()}\n"


def test_a_server_that_is_away(caplog, monkeypatch):
    """No salt, one line in the log, no password in it; half a minute later it is asked again."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("needs redis-server")
    server = RedisServer(binary)
    salts = open_salts(server.url.replace("//", "//:s3cret@"))
    day = module._today()
    assert [salts.salt_of(day) for _ in range(3)] == [None] * 3
    assert salts.failures == 3
    assert len(caplog.records) == 1
    assert "s3cret" not in caplog.text
    with server:
        assert salts.salt_of(day) is None
        monkeypatch.setattr(salts, "_retry_at", 0.0)
        salts = open_salts(server.url)
        assert salts.salt_of(day) is not None


def test_a_value_in_redis_that_is_no_salt(redis_url, caplog):
    import redis

    _empty(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        client.set(f"centtrack:salt:{module._date(module._today())}", "short")
    assert open_salts(redis_url).salt_of(module._today()) is None
    assert "holds no salt" in caplog.text


@pytest.mark.parametrize(("location", "message"), [("mysql://host/db", "allowed are"), ("redis://h:port/0", "Redis")])
def test_what_is_refused_at_start(location, message):
    with pytest.raises(ConfigurationError, match=message):
        open_salts(location)
