"""From a sink's URL to the settings of clients of a Kafka cluster."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from centtrack.errors import ConfigurationError
from centtrack.sinks.tls import OPTIONS, Tls
from centtrack.sinks.url import SinkUrl, read_url

Config = dict[str, str | int | float | bool]

PROBE_HEADER = "centtrack-probe"
"""Header of the messages that only try out whether a topic can be written; consumers pass over them."""

_PORT = 9092
_TOPIC = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,249}")  # as Kafka allows
_MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
_PROTOCOLS = {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl"}
_COMPRESSIONS = ("zstd", "lz4", "snappy", "gzip", "none")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a URL says. Its `repr` leaves out what is secret.

    Attributes:
        name: the URL without credentials.
        servers: hosts and ports, joined by commas.
        topic: where events go.
        client: settings of any client of the cluster.
        compression: of what is produced.
        more: options beside those of the sink.
    """

    name: str
    servers: str
    topic: str
    client: Config = field(repr=False)
    compression: str
    more: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def principal(self) -> str:
        """Who the brokers see, as a shell takes it; to be filled in where the URL has no user."""
        return shlex.quote(f"User:{self.client.get('sasl.username', 'NAME')}")


def read_settings(url: str, *more: str) -> Settings:
    """What a URL says.

    Args:
        url: as in `kafka://user:password@one:9092,two:9092/topic?compression=zstd`.
        *more: options that are allowed beside those of the sink.

    Raises:
        ConfigurationError: if it says nothing that can be used.
    """
    options = ("security", "mechanism", "compression", *OPTIONS, *more)
    read = read_url(url, schemes=["kafka"], port=_PORT, options=options)
    if not _TOPIC.fullmatch(read.path):
        raise ConfigurationError(
            "kafka: needs a topic, as in kafka://HOST/TOPIC: letters, digits, dots, dashes and underscores, at most 249"
        )
    client: Config = {
        "bootstrap.servers": read.servers,
        "client.id": "centtrack",
        "socket.timeout.ms": 10_000,
        "socket.connection.setup.timeout.ms": 5_000,
        "reconnect.backoff.max.ms": 2_000,
        **_security(read),
    }
    compression = read.choice("compression", *_COMPRESSIONS)
    beside = {option: read.options[option] for option in more if option in read.options}
    return Settings(read.name(), read.servers, read.path, client, compression, beside)


def _security(url: SinkUrl) -> Config:
    default = "plaintext" if url.password is None else "sasl_ssl"
    protocol = url.choice("security", default, *sorted(_PROTOCOLS - {default}))
    has_tls, has_sasl = protocol.endswith("ssl"), protocol.startswith("sasl")
    tls = Tls.read("kafka", url.options)
    if any(tls) and not has_tls:
        raise ConfigurationError(f"kafka: security={protocol} takes none of ca, cert and key")
    return {"security.protocol": protocol, **_sasl(url, protocol, used=has_sasl), **(_tls(tls) if has_tls else {})}


def _sasl(url: SinkUrl, protocol: str, *, used: bool) -> Config:
    if not used:
        if url.user is not None or "mechanism" in url.options:
            raise ConfigurationError(f"kafka: security={protocol} takes no user, password or mechanism")
        return {}
    if not url.user or not url.password:
        raise ConfigurationError(f"kafka: security={protocol} needs a user and a password")
    return {
        "sasl.mechanism": url.choice("mechanism", *_MECHANISMS),
        "sasl.username": url.user,
        "sasl.password": url.password,
    }


def _tls(tls: Tls) -> Config:
    files = {"ssl.ca.location": tls.ca, "ssl.certificate.location": tls.cert, "ssl.key.location": tls.key}
    given: Config = {key: path for key, path in files.items() if path}
    return {
        **given,
        "ssl.endpoint.identification.algorithm": "https",
    }  # the certificate names the host, as RFC 2818 has it
