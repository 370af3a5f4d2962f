"""The salt of the day: random, shared by the workers of a host or by several hosts, destroyed after two days.

A day's salt is kept while the next day lasts, for requests that began before midnight; then it is gone for good, and
no key of that day can be worked out again, not even by whoever knows the address.
"""

from __future__ import annotations

import datetime as dt
import logging
import secrets
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from centtrack.errors import ConfigurationError, MissingExtraError
from centtrack.logs import report
from centtrack.visitor.daily_key import DAY_S
from centtrack.visitor.salt_file import SaltFile

if TYPE_CHECKING:
    import psycopg
    import redis

logger = logging.getLogger(__name__)

SALT_BYTES = 32
KEPT_DAYS = 2  # the day itself and the one after it
_TIMEOUT_S = 3
_LOOK_S = 30.0
_EARLY_S = 600.0  # how long before midnight the next day's salt is agreed on, so that nobody waits for it then


class SaltStore(Protocol):
    """Where workers agree on the salt of a day."""

    def agree(self, day: int, proposed: bytes, *, oldest: int) -> bytes:
        """The salt of a day: the one that is there, or the proposed one, which is there from now on.

        Args:
            day: days since 1970, UTC.
            proposed: random bytes.
            oldest: salts of days before this one are destroyed.
        """


class Salts:
    """The salts that this process knows. A thread of its own asks the store: a server that hangs delays no event.

    Args:
        store: where workers agree.
    """

    def __init__(self, store: SaltStore) -> None:
        self._store = store
        self._known: dict[int, bytes] = {}
        self._has_complained = False
        self._was_asked = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="centtrack-salts", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Wait until the store was asked for the first time, whatever came of it."""
        self._was_asked.wait(timeout_s)

    def stop(self) -> None:
        """End the thread, as soon as the store lets it."""
        self._stopped.set()

    def salt_of(self, day: int) -> bytes | None:
        """The salt of today or yesterday, if it is known. Never waits."""
        today = _today()
        return self._known.get(day) if today - KEPT_DAYS < day <= today else None

    def refresh(self) -> None:
        """Agree on the salt of the day, and shortly before midnight on the next; destroy those that are too old."""
        today = _today()
        self._known = {day: salt for day, salt in self._known.items() if day > today - KEPT_DAYS}
        try:
            for day in sorted({today, _today(_EARLY_S)}):
                self._agree(day, today)
        except Exception as error:  # noqa: BLE001 - a server's client raises what it likes; visits go on without ids
            text = "%s can't be asked for the salt of the day: %s"
            is_said = report(logger, logging.ERROR, "salts_unavailable", text, self._store, _described(error))
            self._has_complained |= is_said
        else:
            if self._has_complained:
                logger.warning("%s can be asked for the salt of the day again", self._store)
            self._has_complained = False

    def _agree(self, day: int, today: int) -> None:
        """Asked again and again: a store that lost the salt gets it back, one that has another is believed."""
        proposed = self._known.get(day) or secrets.token_bytes(SALT_BYTES)
        self._known[day] = self._store.agree(day, proposed, oldest=today - KEPT_DAYS + 1)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.refresh()
            self._was_asked.set()
            self._stopped.wait(min(_LOOK_S, _until_midnight_s()))


def _today(later_s: float = 0) -> int:
    return int((time.time() + later_s) // DAY_S)


def _until_midnight_s() -> float:
    return DAY_S - time.time() % DAY_S


def _described(error: Exception) -> str:
    """What went wrong; of a file of ours with its words, of a server's client by type only: it may tell a password."""
    return str(error) if isinstance(error, (OSError, ConfigurationError)) else type(error).__name__


class RedisSalts:
    """Salts in Redis, for several hosts. Each key expires by itself.

    Args:
        url: as in `redis://host:6379/0`; `rediss://` for TLS.

    Raises:
        MissingExtraError: if the client isn't installed.
        ConfigurationError: if the URL is wrong.
    """

    def __init__(self, url: str) -> None:
        try:
            import redis
        except ImportError:
            raise MissingExtraError("Salts in Redis", "redis") from None
        try:
            self._name = f"Redis at {urlsplit(url).hostname}"
            self._client: redis.Redis = redis.Redis.from_url(
                url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
            )
        except ValueError:  # its words may tell the password
            raise ConfigurationError("salts: that is no URL of Redis; one is redis://host:6379/0") from None

    def __str__(self) -> str:
        return self._name

    def agree(self, day: int, proposed: bytes, *, oldest: int) -> bytes:
        """See `SaltStore`. Keys expire by themselves."""
        key = f"centtrack:salt:{_date(day)}"
        self._client.set(key, proposed, nx=True, exat=(day + KEPT_DAYS) * DAY_S)
        salt = self._client.get(key)
        if not isinstance(salt, bytes) or len(salt) != SALT_BYTES:
            raise ConfigurationError(f"the key {key} in Redis holds no salt")
        return salt


class PostgresSalts:
    """Salts in a table of PostgreSQL, for several hosts. Rows of old days are deleted when a new day begins.

    Args:
        url: as in `postgresql://host/database`.

    Raises:
        MissingExtraError: if the client isn't installed.
    """

    def __init__(self, url: str) -> None:
        try:
            import psycopg  # noqa: F401 - asked for now, so that a missing one is said at start
        except ImportError:
            raise MissingExtraError("Salts in PostgreSQL", "postgresql") from None
        self._url = url

    def __str__(self) -> str:
        return f"PostgreSQL at {urlsplit(self._url).hostname}"

    def agree(self, day: int, proposed: bytes, *, oldest: int) -> bytes:
        """See `SaltStore`. A table `centtrack_salt` is made if it isn't there."""
        import psycopg

        options = f"-c statement_timeout={_TIMEOUT_S}s -c lock_timeout={_TIMEOUT_S}s"
        with psycopg.connect(self._url, connect_timeout=_TIMEOUT_S, options=options, autocommit=True) as connection:
            self._make_table(connection)
            connection.execute("delete from centtrack_salt where day < %s", (_date(oldest),))
            connection.execute(
                "insert into centtrack_salt (day, salt) values (%s, %s) on conflict (day) do nothing",
                (_date(day), proposed),
            )
            row = connection.execute("select salt from centtrack_salt where day = %s", (_date(day),)).fetchone()
        if row is None:
            raise ConfigurationError("the table centtrack_salt doesn't keep what is written to it")
        return bytes(row[0])

    def _make_table(self, connection: psycopg.Connection) -> None:
        found = connection.execute("select to_regclass('centtrack_salt')").fetchone()
        if found is not None and found[0] is None:
            connection.execute("select pg_advisory_lock(%s)", (_TABLE_LOCK,))  # "if not exists" alone is a race
            connection.execute("create table if not exists centtrack_salt (day date primary key, salt bytea not null)")


_TABLE_LOCK = 0x63656E7474726163  # "centtrac"; given back when the connection is closed


def open_salts(location: str | Path) -> Salts:
    """Salts by what `salts=` of the middleware says: a file, `redis://…` or `postgresql://…`.

    Raises:
        ConfigurationError: if it is none of these.
        MissingExtraError: if the client of that server isn't installed.
    """
    scheme, separator, _ = str(location).partition("://")
    if not str(location):
        raise ConfigurationError("salts: name a file, redis://… or postgresql://…")
    if not separator:
        return Salts(SaltFile(Path(location).expanduser()))
    if scheme in {"redis", "rediss"}:
        return Salts(RedisSalts(str(location)))
    if scheme in {"postgresql", "postgres"}:
        return Salts(PostgresSalts(str(location)))
    raise ConfigurationError(f"salts: {scheme}:// isn't known; allowed are a file, redis://, rediss://, postgresql://")


def _date(day: int) -> str:
    return (dt.date(1970, 1, 1) + dt.timedelta(days=day)).isoformat()
