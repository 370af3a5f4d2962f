from ipaddress import ip_address
from pathlib import Path

import geoip2.database
import geoip2.errors
import maxminddb
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from centtrack.capture.capture import Capture
from centtrack.capture.geo import GeoDatabases
from centtrack.capture.place import Place
from centtrack.policy import PrivacyPolicy

ALMATY = {"country_code": "KZ", "state1": "Almaty", "city": "Almaty (Bostandyk District)", "latitude": 43.2}
VILLAGE = {"country_code": "KZ", "state1": "Abay", "city": "No Such Aul"}
RUDNY = {"country_code": "KZ", "state1": "Qostanay", "city": "Rudnyy"}
NOWHERE = Place()


def write(path: Path, ip_version: int, records: dict[str, object]) -> Path:
    writer = MMDBWriter(ip_version, "DBIP-City-Lite", languages=["en"], description="test")
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """DB-IP's files come as one for IPv4 and one for IPv6."""
    folder = tmp_path_factory.mktemp("geo")
    four = write(folder / "v4.mmdb", 4, {"203.0.113.0/25": ALMATY, "203.0.113.128/25": VILLAGE, "192.0.2.0/24": RUDNY})
    six = write(folder / "v6.mmdb", 6, {"2001:db8:1::/48": ALMATY})
    return four, six


def opened(*paths, **options):
    databases = GeoDatabases(paths, **options)
    databases.open()
    return databases


def look_up(databases, address):
    return databases.look_up(ip_address(address))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.7", Place("KZ", None, "Almaty", "Almaty")),
        ("203.0.113.200", Place("KZ", None, "Abay", "No Such Aul")),
        ("2001:db8:1::7", Place("KZ", None, "Almaty", "Almaty")),
        ("2001:db8:2::7", NOWHERE),
        ("198.51.100.1", NOWHERE),
        ("10.0.0.1", NOWHERE),
    ],
)
@pytest.mark.parametrize("order", [1, -1], ids=["v4 first", "v6 first"])
def test_a_pair_of_files_is_one_database(pair, address, expected, order):
    assert look_up(opened(*pair[::order]), address) == expected


def test_the_first_database_that_has_a_place_wins(pair, tmp_path):
    preferred = write(tmp_path / "own.mmdb", 4, {"203.0.113.0/24": {"country_code": "KZ", "city": "Semey"}})
    databases = opened(preferred, *pair)
    assert look_up(databases, "203.0.113.7").city == "Semey"
    assert look_up(databases, "2001:db8:1::7").city == "Almaty"


@pytest.mark.parametrize(
    ("floor", "address", "city"),
    [
        (15_000, "203.0.113.7", "Almaty"),
        (15_000, "203.0.113.200", None),  # nobody knows it: small
        (15_000, "192.0.2.1", "Rudnyy"),
        (1_000_000, "192.0.2.1", None),
        (1, "203.0.113.200", None),
        (0, "203.0.113.200", "No Such Aul"),
    ],
)
def test_a_city_below_the_floor_becomes_its_region(pair, floor, address, city):
    place = look_up(opened(*pair, min_population=floor), address)
    assert place.city == city
    assert place.region


def test_the_floor_of_the_policy_reaches_the_event(pair, observation):
    policy = '[limits.default]\ngeo = "city"\nip = "net24"\n[geo]\nmin_population = 15000\ndatabases = {}\n'
    capture = Capture(PrivacyPolicy.parse(policy.format([str(path) for path in pair])))
    capture.warm()
    near, far = (capture.capture(observation(peer=peer)) for peer in ("203.0.113.7", "203.0.113.200"))
    assert (near.city, near.geo_precision) == ("Almaty", "city")
    # Looked up on the full address, not on the network, which both share.
    assert (far.city, far.region, far.geo_precision) == (None, "Abay", "region")
    assert near.ip_network == far.ip_network == "203.0.113.0/24"


@pytest.mark.parametrize("content", [None, b"", b"not a database", b"\xab\xcd\xefMaxMind.com", "a folder"], ids=str)
def test_a_file_that_cannot_be_used_gives_no_places_and_one_error(tmp_path, pair, caplog, content):
    path = tmp_path / "city.mmdb"
    if content == "a folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    databases = opened(path)
    assert look_up(databases, "203.0.113.7") == NOWHERE
    assert list(databases.broken) == [path]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert look_up(opened(path, *pair), "203.0.113.7").city == "Almaty"


def test_half_of_a_database_is_no_trouble(tmp_path, pair):
    whole = pair[0].read_bytes()
    for cut in range(0, len(whole), 97):
        path = tmp_path / f"{cut}.mmdb"
        path.write_bytes(whole[:cut] + whole[cut + 40 :])
        assert isinstance(look_up(opened(path), "203.0.113.7"), Place)


@pytest.mark.parametrize(
    "record",
    [
        {"country": {"iso_code": "KZ"}, "city": "Almaty"},
        {"country": {"iso_code": "KZ"}, "subdivisions": ["x"]},
        "KZ",
        ["KZ"],
        7,
    ],
    ids=str,
)
def test_a_record_of_an_odd_shape_costs_no_event(tmp_path, observation, record):
    path = write(tmp_path / "odd.mmdb", 4, {"203.0.113.0/24": record})
    capture = Capture(PrivacyPolicy.parse(f'[limits.default]\ngeo = "city"\n[geo]\ndatabases = ["{path}"]\n'))
    capture.warm()
    assert capture.capture(observation(peer="203.0.113.7")).city is None


def test_nothing_is_opened_before_open(pair):
    assert look_up(GeoDatabases(pair), "203.0.113.7") == NOWHERE


@pytest.mark.real_data
def test_places_are_those_that_geoip2_reads(test_data):
    """MaxMind's own reader is the oracle, for every network of its test database."""
    path = test_data / "geo" / "GeoIP2-City-Test.mmdb"
    databases = opened(path)
    compared = 0
    with maxminddb.open_database(path) as raw, geoip2.database.Reader(path) as oracle:
        for network, _ in raw:
            address = network.network_address
            expected, found = oracle.city(address), databases.look_up(address)
            subdivision = expected.subdivisions[0] if len(expected.subdivisions) else None
            code = subdivision and subdivision.iso_code and f"{expected.country.iso_code}-{subdivision.iso_code}"
            assert found == Place(
                expected.country.iso_code,
                code or None,
                subdivision.names.get("en") if subdivision else None,
                expected.city.names.get("en"),
            )
            compared += found != NOWHERE
    assert compared > 100


@pytest.mark.real_data
def test_a_country_database_has_countries_only(test_data):
    databases = opened(test_data / "geo" / "GeoLite2-Country-Test.mmdb")
    assert look_up(databases, "81.2.69.160") == Place("GB")


@pytest.mark.real_data
def test_broken_records_give_no_place_and_are_counted(test_data):
    path = test_data / "geo" / "GeoIP2-City-Test-Broken-Double-Format.mmdb"
    databases = opened(path)
    assert look_up(databases, "2001:220::80") == NOWHERE  # its record can't be decoded
    assert databases.failures == 1
