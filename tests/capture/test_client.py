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


# What is trusted, who connected (None: over a Unix socket), the lines of the header as they came, and who is believed.
# A client can write whatever it likes at the left; a proxy appends what it saw at the right.
X_FORWARDED_FOR = [
    # The peer must be trusted, or nothing is read.
    ("nothing is trusted", (), CLIENT, [SPOOFED], CLIENT),
    ("the peer is in no network", PROXIES, CLIENT, [SPOOFED], CLIENT),
    ("only sockets are trusted", ["unix"], CLIENT, [SPOOFED], CLIENT),
    ("the neighbour of a trusted address", ["10.0.0.1/32"], "10.0.0.2", [SPOOFED], "10.0.0.2"),
    ("a trusted address", ["10.0.0.1"], PROXY, [CLIENT], CLIENT),
    ("a trusted network", PROXIES, PROXY, [CLIENT], CLIENT),
    ("a trusted network of IPv6", PROXIES, "2001:db8:aaaa::1", [CLIENT], CLIENT),
    ("a dual-stack socket shows IPv4 as mapped", PROXIES, "::ffff:10.0.0.1", [CLIENT], CLIENT),
    ("a mapped network is the IPv4 network", ["::ffff:10.0.0.0/104"], PROXY, [CLIENT], CLIENT),
    ("a peer that is no address", PROXIES, "not an address", [CLIENT], None),
    ("a peer without a name", PROXIES, "", [CLIENT], None),
    ("6to4 that holds a trusted address isn't one", PROXIES, "2002:a00:1::1", [SPOOFED], "2002:a00:1::1"),
    ("NAT64 that holds a trusted address isn't one", PROXIES, "64:ff9b::a00:1", [SPOOFED], "64:ff9b::a00:1"),
    # Unix sockets have no address.
    ("a socket, trusted", ["unix"], None, [CLIENT], CLIENT),
    ("a socket, the last entry", ["unix"], None, [f"{SPOOFED}, {CLIENT}"], CLIENT),
    ("a socket, then networks", ["unix", *PROXIES], None, [f"{SPOOFED}, {CLIENT}, 10.0.0.2"], CLIENT),
    ("a socket, not trusted", PROXIES, None, [SPOOFED], None),
    ("a socket, no header", ["unix"], None, [], None),
    ("a socket, no address", ["unix"], None, ["unknown"], None),
    ("a name nobody knows is no socket", ["unix"], "not an address", [SPOOFED], None),
    # Networks: from right to left, the first address that is not trusted.
    ("the last entry", PROXIES, PROXY, [f"{SPOOFED}, {CLIENT}"], CLIENT),
    ("behind several proxies", PROXIES, PROXY, [f"{SPOOFED}, {CLIENT}, 10.0.0.2, 10.9.9.9"], CLIENT),
    ("a trusted address that the client wrote", PROXIES, PROXY, [f"10.0.0.7, {CLIENT}"], CLIENT),
    ("6to4 in the chain is not trusted", PROXIES, PROXY, [f"{SPOOFED}, 2002:a00:1::1"], "2002:a00:1::1"),
    ("all are trusted: the leftmost", PROXIES, PROXY, ["10.0.0.5, 10.0.0.4"], "10.0.0.5"),
    ("private, but not trusted", PROXIES, PROXY, [f"{SPOOFED}, 192.168.1.5"], "192.168.1.5"),
    # Several lines are one list, in order (RFC 9110, 5.3).
    ("two lines", PROXIES, PROXY, [SPOOFED, CLIENT], CLIENT),
    ("three lines", PROXIES, PROXY, [SPOOFED, f"{CLIENT}, 10.0.0.2", "10.0.0.3"], CLIENT),
    ("the last line is empty", PROXIES, PROXY, [SPOOFED, ""], PROXY),
    # Spaces, ports, brackets, zones.
    ("spaces and tabs", PROXIES, PROXY, [f"{SPOOFED} ,\t {CLIENT}\t"], CLIENT),
    ("no spaces", PROXIES, PROXY, [f"{SPOOFED},{CLIENT}"], CLIENT),
    ("a port", PROXIES, PROXY, [f"{CLIENT}:52011"], CLIENT),
    ("IPv6", PROXIES, PROXY, ["2001:db8::7"], "2001:db8::7"),
    ("IPv6 in capitals, in full", PROXIES, PROXY, ["2001:DB8:0:0::7"], "2001:db8::7"),
    ("brackets", PROXIES, PROXY, ["[2001:db8::7]"], "2001:db8::7"),
    ("brackets and port", PROXIES, PROXY, ["[2001:db8::7]:443"], "2001:db8::7"),
    ("brackets, zone and port", PROXIES, PROXY, ["[fe80::1%eth0]:443"], "fe80::1"),
    ("a zone as URLs write it", PROXIES, PROXY, ["fe80::1%25eth0"], "fe80::1"),
    ("a trusted proxy with port", PROXIES, PROXY, [f"{SPOOFED}, {CLIENT}, 10.0.0.2:8080"], CLIENT),
    # IPv4 that is mapped into IPv6 is IPv4.
    ("mapped", PROXIES, PROXY, [f"::ffff:{CLIENT}"], CLIENT),
    ("mapped, in hex", PROXIES, PROXY, ["::ffff:cb00:7109"], CLIENT),
    ("mapped, brackets and port", PROXIES, PROXY, [f"[::ffff:{CLIENT}]:80"], CLIENT),
    ("a mapped proxy is trusted", PROXIES, PROXY, [f"{CLIENT}, ::ffff:10.0.0.2"], CLIENT),
    # Junk: what stands left of a malformed entry can't be believed, so the last good one is.
    ("unknown", PROXIES, PROXY, [f"{SPOOFED}, unknown"], PROXY),
    ("unknown behind a proxy", PROXIES, PROXY, [f"{SPOOFED}, unknown, 10.0.0.2"], "10.0.0.2"),
    ("an empty entry", PROXIES, PROXY, [f"{SPOOFED}, , 10.0.0.2"], "10.0.0.2"),
    ("an empty entry at the end", PROXIES, PROXY, [f"{SPOOFED},"], PROXY),
    ("no octet", PROXIES, PROXY, [f"{SPOOFED}, 203.0.113.999"], PROXY),
    ("three octets", PROXIES, PROXY, [f"{SPOOFED}, 203.0.113"], PROXY),
    ("hexadecimal", PROXIES, PROXY, [f"{SPOOFED}, 0xcb007109"], PROXY),
    ("a leading zero, octal to some", PROXIES, PROXY, [f"{SPOOFED}, 203.0.113.09"], PROXY),
    ("a network", PROXIES, PROXY, [f"{SPOOFED}, 203.0.113.0/24"], PROXY),
    ("a name", PROXIES, PROXY, [f"{SPOOFED}, client.example"], PROXY),
    ("a URL", PROXIES, PROXY, [f"{SPOOFED}, http://{CLIENT}/"], PROXY),
    ("in quotes, which only Forwarded has", PROXIES, PROXY, [f'{SPOOFED}, "{CLIENT}"'], PROXY),
    ("of the form of Forwarded", PROXIES, PROXY, [f"{SPOOFED}, for={CLIENT}"], PROXY),
    ("an open bracket", PROXIES, PROXY, [f"{SPOOFED}, [2001:db8::7"], PROXY),
    ("something behind the bracket", PROXIES, PROXY, [f"{SPOOFED}, [2001:db8::7]x"], PROXY),
    ("a port that is none", PROXIES, PROXY, [f"{SPOOFED}, {CLIENT}:port"], PROXY),
    ("a port of six digits", PROXIES, PROXY, [f"{SPOOFED}, {CLIENT}:123456"], PROXY),
    ("NUL", PROXIES, PROXY, [f"{SPOOFED}, \x00{CLIENT}"], PROXY),
    ("two addresses in one entry", PROXIES, PROXY, [f"{SPOOFED}, {CLIENT} {CLIENT}"], PROXY),
    ("digits that are not ASCII", PROXIES, PROXY, [f"{SPOOFED}, \u00b9\u00b2.0.0.1"], PROXY),
    ("a zone belongs to IPv6", PROXIES, PROXY, [f"{SPOOFED}, {CLIENT}%eth0"], PROXY),
    ("longer than any address", PROXIES, PROXY, [f"{SPOOFED}, fe80::1%{'a' * 200}"], PROXY),
    # Nothing there.
    ("no header", PROXIES, PROXY, [], PROXY),
    ("an empty header", PROXIES, PROXY, [""], PROXY),
    ("a blank header", PROXIES, PROXY, [" "], PROXY),
    ("commas only", PROXIES, PROXY, [",,,"], PROXY),
    # A number of hops: that entry from the right, whoever the peer is.
    ("one hop", 1, PROXY, [CLIENT], CLIENT),
    ("one hop, the client wrote more", 1, PROXY, [f"{SPOOFED}, {CLIENT}"], CLIENT),
    ("one hop behind a socket", 1, None, [f"{SPOOFED}, {CLIENT}"], CLIENT),
    ("two hops", 2, PROXY, [f"{SPOOFED}, {CLIENT}, 192.0.2.2"], CLIENT),
    ("two hops on two lines", 2, PROXY, [f"{SPOOFED}, {CLIENT}", "192.0.2.2"], CLIENT),
    ("three hops, and no more entries", 3, PROXY, [f"{CLIENT}, 192.0.2.2, 192.0.2.3"], CLIENT),
    ("hops with ports and brackets", 2, PROXY, [f"{SPOOFED}, {CLIENT}:1, [2001:db8::2]:2"], CLIENT),
    ("fewer entries than hops", 2, PROXY, [CLIENT], PROXY),
    ("fewer entries than three hops", 3, PROXY, [f"{CLIENT}, 192.0.2.2"], PROXY),
    ("a hop, no header", 1, PROXY, [], PROXY),
    ("a hop, an empty header", 1, PROXY, [""], PROXY),
    ("a hop that hides the client", 1, PROXY, [f"{SPOOFED}, unknown"], PROXY),
    ("the second hop hides the client", 2, PROXY, [f"{SPOOFED}, unknown, 192.0.2.2"], "192.0.2.2"),
    ("the first hop is hidden", 2, PROXY, [f"{SPOOFED}, {CLIENT}, unknown"], PROXY),
]

# RFC 7239. Where two are given, both are safe readings of a header that is damaged or unusual.
FORWARDED = [
    ("one element", PROXIES, PROXY, [f"for={CLIENT}"], CLIENT),
    ("the peer is in no network", PROXIES, CLIENT, [f"for={SPOOFED}"], CLIENT),
    ("over a socket", ["unix"], None, [f"for={SPOOFED}, for={CLIENT}"], CLIENT),
    ("names of parameters in any case", PROXIES, PROXY, [f"FOR={CLIENT};proto=https;by=10.0.0.1"], CLIENT),
    ("not the first parameter", PROXIES, PROXY, [f"proto=https;for={CLIENT}"], CLIENT),
    ("`by` is not `for`", PROXIES, PROXY, [f"for={CLIENT};by={SPOOFED}"], CLIENT),
    ("several elements", PROXIES, PROXY, [f"for={SPOOFED}, for={CLIENT}, for=10.0.0.2"], CLIENT),
    ("several lines", PROXIES, PROXY, [f"for={SPOOFED}", f"for={CLIENT}"], CLIENT),
    ("no spaces", PROXIES, PROXY, [f"for={SPOOFED},for={CLIENT}"], CLIENT),
    ("tabs", PROXIES, PROXY, [f"for={SPOOFED}\t,\tfor={CLIENT}"], CLIENT),
    ("hops", 2, PROXY, [f"for={SPOOFED}, for={CLIENT}, for=192.0.2.2"], CLIENT),
    ("fewer elements than hops", 2, PROXY, [f"for={CLIENT}"], PROXY),
    # Quotes and escapes.
    ("quoted, with port", PROXIES, PROXY, [f'for="{CLIENT}:4711"'], CLIENT),
    ("quoted IPv6 with port", PROXIES, PROXY, ['for="[2001:db8::7]:4711"'], "2001:db8::7"),
    ("quoted IPv6, more parameters", PROXIES, PROXY, ['for="[2001:db8::7]"; proto=https'], "2001:db8::7"),
    ("quoted, mapped", PROXIES, PROXY, [f'for="[::ffff:{CLIENT}]"'], CLIENT),
    ("a comma in quotes", PROXIES, PROXY, [f'for={CLIENT};host="a, for={SPOOFED}"'], CLIENT),
    ("a semicolon in quotes", PROXIES, PROXY, [f'for={CLIENT};host="a;for={SPOOFED}"'], CLIENT),
    ("a quote in quotes", PROXIES, PROXY, [f'for={CLIENT};host="a\\", for={SPOOFED}"'], CLIENT),
    ("a backslash before the last quote", PROXIES, PROXY, [f'host="\\\\";for={CLIENT}'], CLIENT),
    ("an escaped digit", PROXIES, PROXY, [f'for="{CLIENT[:-1]}\\9"'], CLIENT),
    # Ports may be hidden and the address not; what hides the address is malformed, and it stops there.
    ("a hidden port", PROXIES, PROXY, [f'for="{CLIENT}:_gazonk"'], CLIENT),
    ("a hidden port of IPv6", PROXIES, PROXY, ['for="[2001:db8::7]:_a.b-c"'], "2001:db8::7"),
    ("hidden", PROXIES, PROXY, [f"for={SPOOFED}, for=_hidden"], PROXY),
    ("hidden, with port", PROXIES, PROXY, [f'for={SPOOFED}, for="_hidden:80"'], PROXY),
    ("unknown", PROXIES, PROXY, [f"for={SPOOFED}, for=unknown"], PROXY),
    ("unknown behind a proxy", PROXIES, PROXY, [f"for={SPOOFED}, for=unknown, for=10.0.0.2"], "10.0.0.2"),
    ("unknown in quotes", PROXIES, PROXY, [f'for={SPOOFED}, for="unknown"'], PROXY),
    ("no `for`", PROXIES, PROXY, [f"for={SPOOFED}, proto=https"], PROXY),
    ("an empty `for`", PROXIES, PROXY, [f"for={SPOOFED}, for="], PROXY),
    ("`for` in empty quotes", PROXIES, PROXY, [f'for={SPOOFED}, for=""'], PROXY),
    ("an empty element", PROXIES, PROXY, [f"for={SPOOFED},"], {PROXY, SPOOFED}),  # RFC 9110 ignores those
    # Damaged: an open quote of the client's doesn't swallow what the proxy wrote.
    ("an open quote", PROXIES, PROXY, [f'for="{SPOOFED}', f"for={CLIENT}"], {CLIENT, PROXY}),
    ("an open quote that the proxy closes", PROXIES, PROXY, [f'for={SPOOFED}, for="', 'for="[2001:db8::7]"'],
     {"2001:db8::7", PROXY}),
    ("an open quote with a backslash", PROXIES, PROXY, [f'for={SPOOFED};host="\\', f"for={CLIENT}"], {CLIENT, PROXY}),
    ("no separator", PROXIES, PROXY, [f"for={SPOOFED} for={SPOOFED}", f"for={CLIENT}"], CLIENT),
    ("spaces around the equals sign", PROXIES, PROXY, [f"for = {SPOOFED}"], PROXY),
    ("of the form of X-Forwarded-For", PROXIES, PROXY, [CLIENT], PROXY),
    ("no header", PROXIES, PROXY, [], PROXY),
    ("an empty header", PROXIES, PROXY, [""], PROXY),
]  # fmt: skip


def named(table):
    return [pytest.param(*row[1:], id=row[0]) for row in table]


@pytest.mark.parametrize(("trusted", "peer", "lines", "expected"), named(X_FORWARDED_FOR))
def test_x_forwarded_for(trusted, peer, lines, expected):
    assert client(trusted, peer, *lines) == expected


@pytest.mark.parametrize(("trusted", "peer", "lines", "expected"), named(FORWARDED))
def test_forwarded(trusted, peer, lines, expected):
    found = client(trusted, peer, *lines, header="forwarded")
    assert found in (expected if isinstance(expected, set) else {expected})


def test_the_tables_are_long_enough_to_be_the_specification():
    assert len(X_FORWARDED_FOR) + len(FORWARDED) >= 60
    for table in (X_FORWARDED_FOR, FORWARDED):
        names = [row[0] for row in table]
        assert len(set(names)) == len(names)


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
    warnings = [one for one in caplog.records if one.name.startswith("centtrack.") and one.levelname == "WARNING"]
    assert len(warnings) == 1
    assert SPOOFED not in warnings[0].getMessage()
