"""Which address is the client's, and why it was believed (rule 1 of the security rules)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal, NamedTuple

from centtrack.addresses import Address, read_address
from centtrack.capture.headers import Headers, keep_right
from centtrack.errors import ConfigurationError

ForwardedHeader = Literal["x-forwarded-for", "forwarded"]
FORWARDED_HEADERS: tuple[ForwardedHeader, ...] = ("x-forwarded-for", "forwarded")

MAX_ENTRIES = 32
MAX_HOPS = 16


class Client(NamedTuple):
    """The address that is believed, and the reason, without any other address in it."""

    address: Address | None
    reason: str


class TrustedProxies:
    """The proxies whose word is taken.

    Args:
        trusted: networks (`"10.0.0.0/8"`), addresses, `"unix"` for a peer over a Unix socket; or the number of
            proxies in front of the app.
        header: the one header family that the proxies set.

    Raises:
        ConfigurationError: if an entry is none of these.
    """

    def __init__(self, trusted: Iterable[str] | int = (), header: ForwardedHeader = "x-forwarded-for") -> None:
        if header not in FORWARDED_HEADERS:
            raise ConfigurationError(f"forwarded_header={header!r}: allowed are {', '.join(FORWARDED_HEADERS)}")
        self.header: ForwardedHeader = header
        self.hops = _read_hops(trusted) if isinstance(trusted, int) else 0
        entries = [] if isinstance(trusted, int) else [trusted] if isinstance(trusted, str) else list(trusted)
        self.unix = "unix" in entries
        self.networks = [_read_network(entry) for entry in entries if entry != "unix"]
        self._name = header.encode()
        self._split: Callable[[str], list[str]] = split_forwarded if header == "forwarded" else split_list

    def __bool__(self) -> bool:
        return bool(self.hops or self.unix or self.networks)

    def trusts(self, address: Address | None) -> bool:
        """Whether this is one of the proxies; None is the peer of a Unix socket."""
        if address is None:
            return self.unix
        return any(address in network for network in self.networks)

    def read_chain(self, headers: Headers) -> str:
        """What the proxies wrote, if any is trusted."""
        return keep_right(headers.get(self._name, b"")).decode("latin-1") if self else ""

    def resolve(self, peer: str | None, chain: str) -> Client:
        """The client of a request.

        Args:
            peer: who connected, as the server says; None for a Unix socket.
            chain: from `read_chain`.
        """
        address = read_address(peer) if peer is not None else None
        if not self:
            return Client(address, "the peer: no proxy is trusted")
        if not self.hops and not (self.trusts(address) and (peer is None or address is not None)):
            return Client(address, "the peer: it is not a trusted proxy")
        entries = self._split(chain)[-MAX_ENTRIES:]
        if not entries:
            return Client(address, f"the peer: a trusted proxy, but it sent no {self.header}")
        return self._by_hops(address, entries) if self.hops else self._by_networks(address, entries)

    def _by_hops(self, peer: Address | None, entries: Sequence[str]) -> Client:
        if len(entries) < self.hops:
            return Client(peer, f"the peer: {self.header} has {len(entries)} of {self.hops} hops")
        believed = Client(peer, f"the peer: the first entry from the right in {self.header} is not an address")
        for position, entry in enumerate(reversed(entries[-self.hops :]), start=1):
            address = read_address(entry)
            if address is None:
                break  # what stands left of a malformed entry can't be believed
            believed = Client(address, f"hop {position} of {self.hops} from the right in {self.header}")
        return believed

    def _by_networks(self, peer: Address | None, entries: Sequence[str]) -> Client:
        believed = Client(peer, "the peer: a trusted proxy, whose first entry is not an address")
        for position, entry in enumerate(reversed(entries), start=1):
            address = read_address(entry)
            if address is None:
                break  # what stands left of a malformed entry can't be believed
            if not self.trusts(address):
                return Client(address, f"entry {position} from the right in {self.header}: the first not trusted")
            believed = Client(address, f"entry {position} from the right in {self.header}: the last that is good")
        return believed


def _read_hops(hops: int) -> int:
    if isinstance(hops, bool) or not 1 <= hops <= MAX_HOPS:
        raise ConfigurationError(f"trusted_proxies={hops!r}: a number of proxies is from 1 to {MAX_HOPS}")
    return hops


def _read_network(entry: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(entry, strict=False)
    except ValueError:
        raise ConfigurationError(
            f'trusted_proxies: {entry!r} is no network; allowed are networks ("10.0.0.0/8"), addresses, "unix", '
            "or a number of proxies"
        ) from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return ip_network((mapped, network.prefixlen - 96)) if mapped and network.prefixlen >= 96 else network


def split_list(value: str) -> list[str]:
    """The entries of an X-Forwarded-For header, left to right. Empty ones count: they are malformed."""
    return [entry.strip(" \t") for entry in value.split(",")] if value else []


_FORWARDED_PART = re.compile(r"""[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*"|[^;,"\s]*)[ \t]*""")

_OBFUSCATED_PORT = re.compile(r":_[0-9A-Za-z._-]+\Z")  # RFC 7239, 6: a proxy may hide the port and not the address


def split_forwarded(value: str) -> list[str]:
    """The `for` of each element of a Forwarded header (RFC 7239, 4), left to right.

    An element without one gives an empty entry. Where text is not of the header's form, all that stood before is
    dropped, and reading goes on behind the next comma: proxies append on the right, so that is the nearer ones' part.
    """
    entries: list[str] = []
    current, position = "", 0
    while position < len(value):
        part = _FORWARDED_PART.match(value, position)
        separator = value[part.end() : part.end() + 1] if part else "damaged"
        if part and part[1].lower() == "for":
            current = _OBFUSCATED_PORT.sub("", _unquoted(part[2]))
        if part and separator == ";":
            position = part.end() + 1
        elif part and separator in {",", ""}:
            entries.append(current)
            current, position = "", part.end() + 1
        else:
            entries, current = [""], ""
            comma = value.find(",", position)
            position = comma + 1 if comma >= 0 else len(value)
    return entries


def _unquoted(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1]) if token.startswith('"') else token
