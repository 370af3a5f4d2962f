from ipaddress import ip_address
from itertools import product

import pytest

from centtrack.capture.capture import Capture
from centtrack.geo import file
from centtrack.geo.databases import GeoDatabases
from centtrack.geo.place import Place, read_place
from centtrack.policy import PrivacyPolicy
from mmdb import ALMATY, write_mmdb

VILLAGE = {"country_code": "KZ", "state1": "Abay", "city": "No Such Aul"}
RUDNY = {"country_code": "KZ", "state1": "Qostanay", "city": "Rudnyy"}
NOWHERE = Place()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """DB-IP's files come as one for IPv4 and one for IPv6."""
    folder = tmp_path_factory.mktemp("geo")
    four = write_mmdb(
        folder / "v4.mmdb", {"203.0.113.0/25": ALMATY, "203.0.113.128/25": VILLAGE, "192.0.2.0/24": RUDNY}
    )
    six = write_mmdb(folder / "v6.mmdb", {"2001:db8:1::/48": ALMATY}, 6)
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
        ("203.0.113.7", read_place(ALMATY)),
        ("203.0.113.200", read_place(VILLAGE)),
        ("2001:db8:1::7", read_place(ALMATY)),
        ("2001:db8:2::7", NOWHERE),
        ("198.51.100.1", NOWHERE),
        ("10.0.0.1", NOWHERE),
    ],
)
@pytest.mark.parametrize("order", [1, -1], ids=["v4 first", "v6 first"])
def test_a_pair_of_files_is_one_database(pair, address, expected, order):
    assert look_up(opened(*pair[::order]), address) == expected


def test_the_first_database_that_has_a_place_wins(pair, tmp_path):
    preferred = write_mmdb(tmp_path / "own.mmdb", {"203.0.113.0/24": {"country_code": "KZ", "city": "Semey"}})
    databases = opened(preferred, *pair)
    assert look_up(databases, "203.0.113.7").city == "Semey"
    assert look_up(databases, "2001:db8:1::7").city == "Almaty"


COUNTRY = {"country_code": "KZ"}
REGION = {"country_code": "KZ", "state1": "Abay"}
CITY = {"country_code": "KZ", "state1": "Abay", "city": "Semey"}
OTHER_CITY = {"country_code": "KZ", "state1": "Qostanay", "city": "Rudnyy"}
ABROAD = {"country_code": "RU", "state1": "Omsk Oblast", "city": "Omsk"}
NO_PLACE = {"latitude": 43.2}
RECORDS = [COUNTRY, REGION, CITY, OTHER_CITY, ABROAD, NO_PLACE, {"city": "Semey"}]


def two_databases(folder, first, second):
    written = [
        write_mmdb(folder / f"{name}.mmdb", {"203.0.113.0/24": record})
        for name, record in (("1", first), ("2", second))
    ]
    return look_up(opened(*written), "203.0.113.7")


@pytest.mark.parametrize(
    ("first", "second", "believed"),
    [
        (CITY, OTHER_CITY, CITY),  # as fine: the first
        (COUNTRY, CITY, CITY),  # finer, in the same country
        (REGION, CITY, CITY),
        (REGION, OTHER_CITY, OTHER_CITY),  # names of regions can't be compared: each database spells them its way
        (COUNTRY, REGION, REGION),
        (CITY, COUNTRY, CITY),
        (COUNTRY, ABROAD, COUNTRY),  # finer, but they disagree on the country
        (NO_PLACE, CITY, CITY),
        (NO_PLACE, NO_PLACE, NO_PLACE),
    ],
)
def test_which_of_two_databases_is_believed(tmp_path, first, second, believed):
    assert two_databases(tmp_path, first, second) == read_place(believed)


@pytest.mark.parametrize(("first", "second"), list(product(RECORDS, RECORDS)), ids=str)
def test_a_place_is_one_record_and_never_of_two(tmp_path, first, second):
    found = two_databases(tmp_path, first, second)
    assert found in (read_place(first), read_place(second))
    if read_place(first).country_code:
        assert found.country_code == read_place(first).country_code


def test_the_floor_is_applied_to_the_place_that_was_chosen(tmp_path):
    """Not before: a big city of another database must not stand in for a small one."""
    first = write_mmdb(tmp_path / "1.mmdb", {"203.0.113.0/24": VILLAGE})
    second = write_mmdb(tmp_path / "2.mmdb", {"203.0.113.0/24": ALMATY})
    place = look_up(opened(first, second, min_population=15_000), "203.0.113.7")
    assert (place.region, place.city) == ("Abay", None)


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
    assert [record.levelname for record in caplog.records if record.name == file.__name__] == ["ERROR"]
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
    path = write_mmdb(tmp_path / "odd.mmdb", {"203.0.113.0/24": record})
    capture = Capture(PrivacyPolicy.parse(f'[limits.default]\ngeo = "city"\n[geo]\ndatabases = ["{path}"]\n'))
    capture.warm()
    assert capture.capture(observation(peer="203.0.113.7")).city is None


def test_nothing_is_opened_before_open(pair):
    assert look_up(GeoDatabases(pair), "203.0.113.7") == NOWHERE


@pytest.mark.real_data
def test_a_database_with_records_that_cannot_be_decoded_is_not_used(test_data):
    path = test_data / "geo" / "GeoIP2-City-Test-Broken-Double-Format.mmdb"
    databases = opened(path)
    assert look_up(databases, "2001:220::80") == NOWHERE
    assert "damaged" in databases.broken[path]


def test_a_record_that_cannot_be_decoded_gives_no_place_and_is_counted(tmp_path):
    """One among many, that the check of a sample doesn't meet."""
    networks = {f"20.{i >> 8}.{i & 255}.0/24": {**COUNTRY, "city": f"City {i:04}"} for i in range(3_000)}
    whole = write_mmdb(tmp_path / "whole.mmdb", networks).read_bytes()
    path = tmp_path / "damaged.mmdb"
    for number in range(1_000, 1_200):
        name = f"City {number}".encode()
        path.write_bytes(whole.replace(b"\x49" + name, b"\x00" + name))  # a type that doesn't exist
        databases = opened(path)
        if not databases.broken:
            break
    assert look_up(databases, f"20.{number >> 8}.{number & 255}.1") == NOWHERE
    assert databases.failures == 1
    assert look_up(databases, "20.6.167.1").city == "City 1703"
