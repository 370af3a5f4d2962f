"""Rule 1 of the security rules, sentence by sentence. Addresses are of RFC 5737 and RFC 3849."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.capture.capture import Capture
from centtrack.capture.client import TrustedProxies
from centtrack.capture.headers import read_headers
from centtrack.errors import ConfigurationError

PROXIES = ["10.0.0.0/8", "2001:db8:aaaa::/48"]
PROXY = "10.0.0.1"
CLIENT = "203.0.113.9"
SPOOFED = "198.51.100.66"


def believed(proxies, peer, headers):
    return proxies.resolve(peer, proxies.read_chain(headers))


def client(trusted, peer, *lines, header="x-forwarded-for"):
    headers = read_headers([(header.title().encode(), line.encode("latin-1")) for line in lines])
    address = believed(TrustedProxies(trusted, header), peer, headers).address
    return None if address is None else str(address)


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [
        pytest.param((), CLIENT, id="nothing is trusted"),
        pytest.param(PROXIES, CLIENT, id="the peer is not in the networks"),
        pytest.param(["unix"], CLIENT, id="the peer has an address, only sockets are trusted"),
        pytest.param(["10.0.0.1/32"], "10.0.0.2", id="the neighbour of a trusted address"),
    ],
)
def test_forwarding_headers_of_a_peer_that_is_not_trusted_are_ignored(trusted, peer):
    assert client(trusted, peer, SPOOFED) == peer


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([CLIENT], CLIENT),
        # right to left: the first that is not trusted
        ([f"{SPOOFED}, {CLIENT}"], CLIENT),
        ([f"{SPOOFED}, {CLIENT}, 10.0.0.2, 10.9.9.9"], CLIENT),
        # a trusted address that the client wrote itself is not reached
        ([f"10.0.0.7, {CLIENT}"], CLIENT),
        # all lines, joined in order
        ([SPOOFED, CLIENT], CLIENT),
        ([SPOOFED, f"{CLIENT}, 10.0.0.2", "10.0.0.3"], CLIENT),
        # all trusted: the leftmost
        (["10.0.0.5, 10.0.0.4"], "10.0.0.5"),
        # spaces and tabs
        ([f"{SPOOFED} ,\t {CLIENT}\t"], CLIENT),
        # ports, brackets, zones
        ([f"{CLIENT}:52011"], CLIENT),
        (["[2001:db8::7]"], "2001:db8::7"),
        (["[2001:db8::7]:443"], "2001:db8::7"),
        (["2001:db8::7"], "2001:db8::7"),
        (["[fe80::1%eth0]:443"], "fe80::1"),
        (["fe80::1%25eth0"], "fe80::1"),
        (["2001:DB8:0:0::7"], "2001:db8::7"),
        # IPv4-mapped addresses are unmapped, in entries and in trusted ones
        ([f"::ffff:{CLIENT}"], CLIENT),
        ([f"{CLIENT}, ::ffff:10.0.0.2"], CLIENT),
        ([f"[::ffff:{CLIENT}]:80"], CLIENT),
        # a malformed entry stops at the last good one
        ([f"{SPOOFED}, unknown"], PROXY),
        ([f"{SPOOFED}, unknown, 10.0.0.2"], "10.0.0.2"),
        ([f"{SPOOFED}, , 10.0.0.2"], "10.0.0.2"),
        ([f"{SPOOFED},"], PROXY),
        ([f"{SPOOFED}", ""], PROXY),
        ([f"{SPOOFED}, 203.0.113.999"], PROXY),
        ([f"{SPOOFED}, 203.0.113"], PROXY),
        ([f"{SPOOFED}, 0xcb007109"], PROXY),
        ([f"{SPOOFED}, 203.0.113.09"], PROXY),
        ([f"{SPOOFED}, [2001:db8::7"], PROXY),
        ([f"{SPOOFED}, [2001:db8::7]x"], PROXY),
        ([f"{SPOOFED}, {CLIENT}:port"], PROXY),
        ([f"{SPOOFED}, \x00{CLIENT}"], PROXY),
        ([f"{SPOOFED}, {CLIENT} {CLIENT}"], PROXY),
        ([f"{SPOOFED}, \u00b9\u00b2.0.0.1"], PROXY),
        # a zone belongs to IPv6 only
        ([f"{SPOOFED}, {CLIENT}%eth0"], PROXY),
        # nothing there
        ([], PROXY),
        ([""], PROXY),
        ([" "], PROXY),
    ],
)
def test_trusted_networks_are_walked_from_right_to_left(lines, expected):
    assert client(PROXIES, PROXY, *lines) == expected


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("2001:db8:aaaa::1", CLIENT),
        ("::ffff:10.0.0.1", CLIENT),  # how a dual-stack socket shows IPv4
        ("not an address", None),
        ("testclient", None),
        ("", None),
    ],
)
def test_the_peer_must_be_in_the_networks(peer, expected):
    assert client(PROXIES, peer, CLIENT) == expected


@pytest.mark.parametrize("peer", ["2002:a00:1::1", "64:ff9b::a00:1"], ids=["6to4", "NAT64"])
def test_an_address_that_only_holds_a_trusted_one_is_not_trusted(peer):
    assert client(PROXIES, peer, SPOOFED) != SPOOFED
    assert client(PROXIES, PROXY, f"{SPOOFED}, {peer}") != SPOOFED


@pytest.mark.parametrize(
    ("peer", "lines", "expected"),
    [
        (None, [CLIENT], CLIENT),
        (None, [f"{SPOOFED}, {CLIENT}"], CLIENT),
        (None, [], None),
        (None, ["unknown"], None),
        ("not an address", [SPOOFED], None),  # not a socket: a name nobody knows
    ],
)
def test_unix_trusts_a_peer_without_address(peer, lines, expected):
    assert client(["unix"], peer, *lines) == expected


def test_a_socket_is_not_trusted_by_networks():
    assert client(PROXIES, None, SPOOFED) is None


def test_unix_and_networks_can_be_combined():
    assert client(["unix", *PROXIES], None, f"{SPOOFED}, {CLIENT}, 10.0.0.2") == CLIENT


@pytest.mark.parametrize(
    ("hops", "lines", "expected"),
    [
        (1, [CLIENT], CLIENT),
        (1, [f"{SPOOFED}, {CLIENT}"], CLIENT),
        (2, [f"{SPOOFED}, {CLIENT}, 192.0.2.2"], CLIENT),
        (2, [f"{SPOOFED}, {CLIENT}", "192.0.2.2"], CLIENT),
        (3, [f"{CLIENT}, 192.0.2.2, 192.0.2.3"], CLIENT),
        # fewer entries than hops: the peer
        (2, [CLIENT], PROXY),
        (3, [f"{CLIENT}, 192.0.2.2"], PROXY),
        (1, [], PROXY),
        (1, [""], PROXY),
        # a malformed entry stops at the last good one
        (1, [f"{SPOOFED}, unknown"], PROXY),
        (2, [f"{SPOOFED}, unknown, 192.0.2.2"], "192.0.2.2"),
        (2, [f"{SPOOFED}, unknown"], PROXY),
    ],
)
def test_a_number_of_hops_is_counted_from_the_right(hops, lines, expected):
    assert client(hops, PROXY, *lines) == expected


def test_hops_work_behind_a_socket():
    assert client(1, None, f"{SPOOFED}, {CLIENT}") == CLIENT


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([f"for={CLIENT}"], CLIENT),
        ([f"FOR={CLIENT};proto=https;by=10.0.0.1"], CLIENT),
        ([f"proto=https;for={CLIENT}"], CLIENT),
        ([f"for={SPOOFED}, for={CLIENT}, for=10.0.0.2"], CLIENT),
        ([f"for={SPOOFED}", f"for={CLIENT}"], CLIENT),
        ([f'for="{CLIENT}:4711"'], CLIENT),
        (['for="[2001:db8::7]:4711"'], "2001:db8::7"),
        (['for="[2001:db8::7]"; proto=https'], "2001:db8::7"),
        # quoted strings: separators inside don't separate
        ([f'for={CLIENT};host="a, for={SPOOFED}"'], CLIENT),
        ([f'for={CLIENT};host="a;for={SPOOFED}"'], CLIENT),
        ([f'for={CLIENT};host="a\\", for={SPOOFED}"'], CLIENT),
        ([f'for="{CLIENT[:-1]}\\9"'], CLIENT),
        # obfuscated, unknown, missing: malformed, and it stops there
        ([f"for={SPOOFED}, for=unknown"], PROXY),
        ([f"for={SPOOFED}, for=_hidden"], PROXY),
        ([f"for={SPOOFED}, proto=https"], PROXY),
        ([f"for={SPOOFED}, for="], PROXY),
        ([f"for={SPOOFED},"], {PROXY, SPOOFED}),  # RFC 9110 ignores empty elements
        # an unfinished quoted string of the client doesn't swallow what the proxy wrote
        ([f'for="{SPOOFED}', f"for={CLIENT}"], {CLIENT, PROXY}),
        ([f'for={SPOOFED}, for="', 'for="[2001:db8::7]"'], {"2001:db8::7", PROXY}),
        ([f'for={SPOOFED};host="\\', f"for={CLIENT}"], {CLIENT, PROXY}),
        ([f"for={SPOOFED} for={SPOOFED}", f"for={CLIENT}"], CLIENT),
        # not this header's form
        ([CLIENT], PROXY),
        ([f"for = {SPOOFED}"], PROXY),
    ],
)
def test_forwarded_is_tokenized(lines, expected):
    found = client(PROXIES, PROXY, *lines, header="forwarded")
    assert found in (expected if isinstance(expected, set) else {expected})


@pytest.mark.parametrize(("header", "other"), [("x-forwarded-for", b"forwarded"), ("forwarded", b"x-forwarded-for")])
def test_only_the_configured_header_family_is_read(header, other):
    headers = read_headers([(other, b"for=198.51.100.66, 198.51.100.66"), (b"x-real-ip", SPOOFED.encode())])
    assert str(believed(TrustedProxies(PROXIES, header), PROXY, headers).address) == PROXY


def test_at_most_32_entries_are_walked():
    hops = ", ".join(f"10.0.1.{number}" for number in range(40))
    assert client(PROXIES, PROXY, f"{SPOOFED}, {hops}") == "10.0.1.8"


@pytest.mark.parametrize("trusted", [PROXIES, 1], ids=["networks", "hops"])
@pytest.mark.parametrize("length", [8_192, 8_193, 8_200, 20_000])
def test_a_header_over_8_kb_does_not_push_out_what_the_proxy_wrote(trusted, length):
    """A cut on the right would leave the client's own entry as the last."""
    written_by_the_client = ("198.51.100.66," * 2_000)[: 8_192 - len(SPOOFED) - 1] + "," + SPOOFED
    written_by_the_client += "," * (length - len(written_by_the_client))
    assert client(trusted, PROXY, written_by_the_client, CLIENT) in {CLIENT, PROXY}
    assert client(trusted, PROXY, f"{written_by_the_client}, {CLIENT}") in {CLIENT, PROXY}


def test_an_over_long_forwarded_header_does_not_push_out_what_the_proxy_wrote():
    written_by_the_client = 'x="' + "a" * (8_192 - 5 - len(f"for={SPOOFED}")) + f'",for={SPOOFED}'
    assert len(written_by_the_client) == 8_192
    assert client(PROXIES, PROXY, written_by_the_client, f"for={CLIENT}", header="forwarded") in {CLIENT, PROXY}


@pytest.mark.parametrize("length", range(8_170, 8_200))
def test_the_cut_at_8_kb_makes_no_other_address(length):
    written_by_the_client = ",".join(["198.51.100.66"] * 700)[:length]
    assert client(PROXIES, PROXY, written_by_the_client, "203.0.113.255") in {"203.0.113.255", PROXY}


@pytest.mark.parametrize("garbage", ['",', '"', '\\",', "=,", 'a="', ";,", "\x00,", "for=,"])
def test_a_long_damaged_forwarded_header_is_no_trouble(garbage):
    assert client(PROXIES, PROXY, garbage * (8_000 // len(garbage)), header="forwarded") == PROXY


@given(st.lists(st.text(alphabet='0123456789.:[]%",;=\\ forx', max_size=80), max_size=4))
def test_whatever_the_client_writes_the_proxy_is_believed(written):
    assert client(PROXIES, PROXY, *written, CLIENT) == CLIENT
    assert client(1, PROXY, *written, CLIENT) == CLIENT
    # An open quote of the client may cost the entry, but never make another one believed.
    assert client(PROXIES, PROXY, *written, f"for={CLIENT}", header="forwarded") in {CLIENT, PROXY}


@pytest.mark.parametrize(
    "trusted",
    [["10.0.0.0/33"], ["*"], ["localhost"], [""], ["Unix "], ["10.0.0.0/8", "nginx"], 0, -1, True, 17, "*"],
)
def test_what_is_no_proxy_is_a_configuration_error(trusted):
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        TrustedProxies(trusted)


def test_an_unknown_header_family_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match="x-forwarded-for, forwarded"):
        TrustedProxies(PROXIES, "x-real-ip")


def test_a_mapped_network_is_trusted_as_the_ipv4_network_that_it_is():
    assert client(["::ffff:10.0.0.0/104"], PROXY, CLIENT) == CLIENT


@pytest.mark.parametrize("trusted", [(), PROXIES, 1, 3], ids=str)
def test_the_reason_holds_no_address(trusted):
    headers = read_headers([(b"x-forwarded-for", f"{SPOOFED}, {CLIENT}".encode())])
    reason = believed(TrustedProxies(trusted), PROXY, headers).reason
    assert reason
    assert not {SPOOFED, CLIENT, PROXY} & set(reason.replace(",", " ").split())


@pytest.mark.parametrize("header", [b"x-forwarded-for", b"forwarded"])
def test_headers_seen_with_nothing_trusted_give_one_warning(capture_of, observation, caplog, header):
    capture = Capture(capture_of("strict").policy)
    for _ in range(3):
        capture.capture(observation(headers=[(header, SPOOFED.encode())]))
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert SPOOFED not in warnings[0].getMessage()
