"""Addresses: reading one from text, and reducing it to a network."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from centtrack.policy.levels import Ip

Address = IPv4Address | IPv6Address

_PREFIX = {4: {Ip.NET16: 16, Ip.NET24: 24, Ip.FULL: 32}, 6: {Ip.NET16: 32, Ip.NET24: 48, Ip.FULL: 128}}
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_BRACKETED = re.compile(r"\[([^\]]*)\](?::\d{1,5})?")
_IPV4_WITH_PORT = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}")
_LONGEST = 80  # an IPv6 address of 45 characters, brackets, a port, and room for the name of a zone


def read_address(text: str) -> Address | None:
    """The address in a text, without port, brackets and zone, an IPv4-mapped one as IPv4; None if there is none."""
    return _read_address(text) if len(text) <= _LONGEST else None  # junk must not fill the cache


@lru_cache(maxsize=8_192)
def _read_address(text: str) -> Address | None:
    text = text.strip(" \t")
    if match := _BRACKETED.fullmatch(text) or _IPV4_WITH_PORT.fullmatch(text):
        text = match[1]
    try:
        address = ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def embedded_address(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one of NAT64 or 6to4, else the address itself.

    As IPv6, the /48 of a 6to4 address would hold the whole IPv4 address, which is finer than any level but `full`.
    """
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour or address


@lru_cache(maxsize=8_192)
def reduce_address(address: Address, level: Ip) -> str | None:
    """The network that the level allows, in CIDR notation: `203.0.113.0/24`."""
    address = embedded_address(address)
    prefix = _PREFIX[address.version].get(level)
    return None if prefix is None else str(ip_network((address, prefix), strict=False))
