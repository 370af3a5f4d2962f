import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.addresses import embedded_address, read_address, reduce_address
from centtrack.policy.levels import Ip

ANY_ADDRESS = st.ip_addresses()


@pytest.mark.parametrize(
    ("text", "net16", "net24"),
    [
        ("203.0.113.77", "203.0.0.0/16", "203.0.113.0/24"),
        ("255.255.255.255", "255.255.0.0/16", "255.255.255.0/24"),
        ("2001:db8:1234:5678:9abc:def0:1234:5678", "2001:db8::/32", "2001:db8:1234::/48"),
        # an IPv4 inside an IPv6 is unmapped first: its /48 would be ::/48 for all, or hold all of the address
        ("::ffff:203.0.113.77", "203.0.0.0/16", "203.0.113.0/24"),
        ("::ffff:cb00:714d", "203.0.0.0/16", "203.0.113.0/24"),
        ("2002:cb00:714d::1", "203.0.0.0/16", "203.0.113.0/24"),  # 6to4
        ("64:ff9b::203.0.113.77", "203.0.0.0/16", "203.0.113.0/24"),  # NAT64
        ("fe80::1%eth0", "fe80::/32", "fe80::/48"),
    ],
)
def test_networks_of_an_address(text, net16, net24):
    address = read_address(text)
    assert reduce_address(address, Ip.NONE) is None
    assert reduce_address(address, Ip.NET16) == net16
    assert reduce_address(address, Ip.NET24) == net24


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "::g",
        "[1.2.3.4",
        "1.2.3.4/24",
        "localhost",
        "1.2.3.4:80\n",
        "[::1]\n",
        "::1%" + "a" * 100,
        "1.2.3.4" + " " * 100,
    ],
)
def test_what_is_no_address_is_none(text):
    assert read_address(text) is None


@given(ANY_ADDRESS)
def test_levels_are_nested_and_hold_the_address(address):
    address = read_address(str(address))
    net16, net24, full = (ipaddress.ip_network(reduce_address(address, level)) for level in list(Ip)[1:])
    assert full.subnet_of(net24)
    assert net24.subnet_of(net16)
    assert embedded_address(address) in full


@given(ANY_ADDRESS, st.integers(0, 255))
def test_what_is_below_the_level_changes_nothing(address, last):
    address = read_address(str(address))
    neighbour = type(address)((int(address) & ~0xFF) | last)
    for level in (Ip.NONE, Ip.NET16, Ip.NET24):
        assert reduce_address(neighbour, level) == reduce_address(address, level)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_none(text):
    address = read_address(text)
    assert address is None or address.version in {4, 6}
