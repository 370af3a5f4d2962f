"""Where a webhook may go: to addresses of the internet, and to those of networks that its URL names.

A name is resolved once for a connection, all its addresses are looked at, and only these are connected to, so that no
later answer of a name server leads anywhere else.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from centtrack.addresses import Address, embedded_address
from centtrack.errors import ConfigurationError, RetryLater

Network = IPv4Network | IPv6Network

# IANA's registries of special-purpose addresses, and multicast. Not `is_global`: what it says depends on the Python.
_CLOSED = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
]
_OPEN_6 = IPv6Network("2000::/3")
_CLOSED_6 = [IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "3fff::/20")]


def look_up(host: str, port: int) -> list[str]:
    """All addresses of a host.

    Raises:
        RetryLater: if the name has none now.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        raise RetryLater(f"{host} has no address") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Destination:
    """Which addresses may be connected to.

    Args:
        allowed: networks that are, though they aren't of the internet.
    """

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host, if all of them are allowed: one that isn't says that the name can't be trusted.

        Raises:
            ConfigurationError: if one isn't allowed.
            RetryLater: if the name has no address now.
        """
        addresses = look_up(host, port)
        for text in addresses:
            if not self.allows(ip_address(text)):
                raise ConfigurationError(
                    f"{host} has the address {text}, which isn't one of the internet, and so isn't connected to: name "
                    "its network in the URL if that is meant, as in #allow=10.0.0.0/8"
                )
        return addresses

    def allows(self, address: Address) -> bool:
        """Whether an address may be connected to; of one that leads to another, whether that may."""
        inner = _inner(address)
        return any(each in network for each in (address, inner) for network in self._allowed) or _is_of_internet(inner)


def _inner(address: Address) -> Address:
    """The IPv4 address that a mapped one, one of NAT64 or of 6to4 leads to; else the address itself."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or embedded_address(address)


def _is_of_internet(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        return address in _OPEN_6 and not any(address in network for network in _CLOSED_6)
    return not any(address in network for network in _CLOSED)


def read_networks(scheme: str, text: str) -> list[Network]:
    """Networks as in `10.0.0.0/8,fd00::/8`.

    Raises:
        ConfigurationError: if one can't be read.
    """
    try:
        return [ip_network(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigurationError(
            f"{scheme}: option allow has networks in CIDR notation, joined by commas, as 10.0.0.0/8,fd00::/8"
        ) from None
