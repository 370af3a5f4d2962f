"""`https://` sends batches of CloudEvents to a receiver, signed if there is a secret."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, urlsplit

from centtrack.errors import CenttrackError, ConfigurationError
from centtrack.event import Event
from centtrack.sinks import tls
from centtrack.sinks.base import Batch
from centtrack.sinks.destination import Destination, read_networks
from centtrack.sinks.finding import Finding
from centtrack.sinks.http.cloud_events import CONTENT_TYPE, Message, make_messages
from centtrack.sinks.http.signature import read_secrets, sign
from centtrack.sinks.http_calls import HttpCaller, authorization, need_httpx, raise_for_answer
from centtrack.sinks.tls import Tls
from centtrack.sinks.url import SinkUrl, filled, read_options, read_url, refuse_at

_SCHEME = "https"
_OPTIONS = ("secret", "allow", "batch", *tls.OPTIONS)
_REQUEST_S = 20.0  # what receivers of webhooks are commonly given
_MOST, _MOST_OF_ALL = 1_000, 10_000  # events in a request
_SAFE = "%:!$&'()*+,;=~"  # characters of paths and queries (RFC 3986) that stay as they are


@dataclass(frozen=True, slots=True)
class _Webhook:
    """What the URL says. The receiver's path and query are filled in; the name shows the path as it was written."""

    parts: SinkUrl
    url: str = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False)
    destination: Destination
    tls: Tls
    most: int

    @classmethod
    def read(cls, text: str) -> Self:
        """From `https://HOST/PATH?receiver's=query#our=options`: what stands behind # is never sent."""
        address, _, ours = text.partition("#")
        address, mark, query = address.partition("?")
        refuse_at(_SCHEME, query)
        parts = read_url(address, schemes=(_SCHEME,), port=443, options=())
        if len(parts.hosts) > 1:
            raise ConfigurationError(f"the URL of {_SCHEME}: names several hosts; give each a URL of its own")
        options = read_options(_SCHEME, ours, _OPTIONS)
        path = filled(_SCHEME, urlsplit(address).path or "/", quote)
        query = filled(_SCHEME, query, lambda value: quote(value, safe=""))
        return cls(
            parts=parts,
            url=f"{_SCHEME}://{parts.servers}{quote(path, safe=_SAFE + '/')}{mark}{quote(query, safe=_SAFE + '/?')}",
            secrets=read_secrets(options["secret"]) if "secret" in options else (),
            destination=Destination(read_networks(_SCHEME, options.get("allow", ""))),
            tls=Tls.read(_SCHEME, options),
            most=_read_most(options.get("batch", str(_MOST))),
        )


def _read_most(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= _MOST_OF_ALL):
        raise ConfigurationError(f"{_SCHEME}: option batch is a number of events, from 1 to {_MOST_OF_ALL:,}")
    return int(text)


class HttpSink:
    """POSTs batches of CloudEvents. One that comes again has the same ids, of requests and of events."""

    linger_s = 1.0
    timeout_s = 60.0

    def __init__(self, url: str) -> None:
        need_httpx("The https: sink", "http")
        self._webhook = webhook = _Webhook.read(url)
        self.name = webhook.parts.name()
        self._headers = {"content-type": CONTENT_TYPE, **authorization(webhook.parts)}
        self._caller = HttpCaller(self.name, webhook.tls, _REQUEST_S, webhook.destination.addresses)
        self._taken: set[str] = set()  # parts of a batch that isn't done: what failed is sent again, what worked isn't

    def open(self) -> None:
        """Make the client; it connects with the first request.

        Raises:
            ConfigurationError: if a file can't be used for TLS.
        """
        self._caller.open()

    def write(self, events: Sequence[Event]) -> None:
        """Send a batch, in several requests if it is large.

        Raises:
            Rejected: if the receiver doesn't take it.
            ConfigurationError: if the address or the credentials are wrong, or the address isn't allowed.
            RetryLater: if there is no answer, or one that asks for another attempt.
        """
        batch = events if isinstance(events, Batch) else Batch(events)
        for message in make_messages(batch, self._webhook.most):
            if message.id not in self._taken:
                self._send(message)
                self._taken.add(message.id)
        self._taken.clear()

    def _send(self, message: Message) -> None:
        signed = sign(self._webhook.secrets, message.id, int(time.time()), message.body)
        response = self._caller.post(self._webhook.url, message.body, {**self._headers, **signed})
        raise_for_answer(self.name, response)

    def close(self) -> None:
        """Close the connection."""
        self._caller.close()

    def check(self) -> Iterator[Finding]:
        """What `centtrack sink check` tells. Sends an empty batch."""
        parts, secrets = self._webhook.parts, self._webhook.secrets
        looks: dict[str, Callable[[], object]] = {
            f"{parts.host} may be connected to": lambda: self._webhook.destination.addresses(parts.host, parts.port),
            "the receiver takes an empty batch": lambda: self._send(Message("msg_check", b"[]")),
        }
        what = ""
        try:
            for what, look in looks.items():
                look()
                yield Finding(what)
            each = "1 secret" if len(secrets) == 1 else f"each of {len(secrets)} secrets"
            yield Finding(f"requests are signed with {each}" if secrets else "requests aren't signed")
        except CenttrackError as error:
            yield Finding(what, str(error))
        finally:
            self.close()
