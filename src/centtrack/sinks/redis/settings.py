"""From a sink's URL to a client of Redis."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from centtrack.errors import ConfigurationError
from centtrack.sinks.tls import OPTIONS, Tls
from centtrack.sinks.url import SinkUrl, read_url

if TYPE_CHECKING:
    from redis import Redis

_PORT = 6379
_CONNECT_S = 5.0
_ANSWER_S = 15.0  # below the sink's `timeout_s`
# With at most one part in braces: in a cluster that says where a key lies.
_STREAM = re.compile(r"(?=.{1,200}\Z)[\w.:-]*(?:\{[\w.:-]+\}[\w.:-]*)?", re.ASCII)


class Settings(NamedTuple):
    """What a URL says.

    Attributes:
        name: the URL without credentials.
        url: its parts.
        tls: files for TLS; None without it.
        database: number of the database.
        max_length: about how many entries the stream keeps; None: all.
    """

    name: str
    url: SinkUrl
    tls: Tls | None
    database: int
    max_length: int | None

    @property
    def stream(self) -> str:
        """Key of the stream."""
        return self.url.path

    @property
    def batches(self) -> str:
        """Key of the hash that says which batches the stream has; in a cluster it lies where the stream does."""
        return f"{self.stream}:batches" if "{" in self.stream else f"{{{self.stream}}}:batches"

    def make_client(self) -> Redis:
        """A client, which connects when it is first used. It tries nothing a second time by itself."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        tls = self.tls or Tls()
        return redis.Redis(
            host=self.url.host, port=self.url.port, db=self.database, username=self.url.user,
            password=self.url.password, socket_connect_timeout=_CONNECT_S, socket_timeout=_ANSWER_S,
            retry=Retry(NoBackoff(), 0), protocol=2, ssl=self.tls is not None, ssl_ca_certs=tls.ca,
            ssl_certfile=tls.cert, ssl_keyfile=tls.key, ssl_cert_reqs="required", ssl_check_hostname=True,
        )  # fmt: skip


def read_settings(url: str) -> Settings:
    """What a URL says.

    Raises:
        ConfigurationError: if it says nothing that can be used.
    """
    read = read_url(url, schemes=("redis", "rediss"), port=_PORT, options=("db", "maxlen", *OPTIONS))
    scheme = read.scheme
    if len(read.hosts) > 1:
        raise ConfigurationError(f"{scheme}: takes a single host")
    if not _STREAM.fullmatch(read.path):
        raise ConfigurationError(
            f"{scheme}: needs a stream, as in {scheme}://HOST/events: letters, digits and . _ : -, at most 200, of "
            "which one part may stand in braces"
        )
    tls = Tls.read(scheme, read.options)
    if any(tls) and scheme == "redis":
        raise ConfigurationError("redis: takes none of ca, cert and key: write rediss: for TLS")
    database, max_length = _number(read, "db", 0), _number(read, "maxlen", 1)
    name = read.name(db="0") if database else read.name()
    return Settings(name, read, tls if scheme == "rediss" else None, database or 0, max_length)


def _number(url: SinkUrl, option: str, least: int) -> int | None:
    text = url.options.get(option)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and least <= int(text) < 2**53):
        raise ConfigurationError(f"{url.scheme}: option {option} is a whole number, {least} or more")
    return int(text)
