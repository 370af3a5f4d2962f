from ipaddress import ip_address

import pytest

from centtrack.geo.cities import population
from centtrack.geo.databases import GeoDatabases
from mmdb import write_mmdb


@pytest.mark.parametrize(
    ("country", "city", "at_least", "at_most"),
    [
        ("KZ", "Almaty", 1_000_000, 3_000_000),
        ("KZ", "Алматы", 1_000_000, 3_000_000),
        ("KZ", "Öskemen", 150_000, 600_000),
        ("KZ", "Ust-Kamenogorsk", 150_000, 600_000),
        ("DE", "München", 1_000_000, 2_000_000),
        ("GB", "London", 5_000_000, 10_000_000),
        ("GB", "Leeds", 300_000, 900_000),  # the village of the name is in England, too
        # not found: as good as empty
        ("KZ", "No Such Aul", 0, 0),
        ("FR", "Almaty", 0, 0),
        ("", "", 0, 0),
    ],
)
def test_population(country, city, at_least, at_most):
    assert at_least <= population(country, city) <= at_most


@pytest.mark.parametrize(
    "names",
    [
        ("Almaty", "Alma-Ata", "Alma Ata", "ALMATY", "Алматы", "Алма-Ата"),
        ("Astana", "Nur-Sultan", "Tselinograd", "Астана"),
        ("Rudnyy", "Rudny", "Рудный"),
        ("Semey", "Semipalatinsk", "Семей"),
        ("Aktobe", "Aqtobe", "Aktyubinsk"),
        ("Oral", "Uralsk"),
        ("Petropavl", "Petropavlovsk"),
    ],
    ids=lambda names: names[0],
)
def test_spellings_of_a_city(names):
    assert len({population("KZ", name) for name in names}) == 1
    assert population("KZ", names[0]) > 100_000


@pytest.mark.parametrize(
    ("country", "city", "region_code", "region", "at_least", "at_most"),
    [
        # several cities of the name: the region decides
        ("US", "Springfield", "US-MO", None, 150_000, 200_000),
        ("US", "Springfield", "US-IL", None, 100_000, 130_000),
        ("US", "Springfield", None, "Missouri", 150_000, 200_000),
        ("US", "Springfield", "US-MO", "Missouri", 150_000, 200_000),
        ("KZ", "Shalkar", "KZ-15", None, 20_000, 40_000),
        # a small place has the name of a city
        ("US", "Denver", "US-CO", "Colorado", 600_000, 900_000),
        ("US", "Denver", "US-NC", "North Carolina", 0, 0),
        ("DE", "Frankfurt", "DE-HE", "Hesse", 600_000, 900_000),
        ("DE", "Frankfurt", "DE-BB", "Brandenburg", 40_000, 80_000),  # Frankfurt (Oder)
        # the region doesn't decide: the smallest of the name counts
        ("US", "Springfield", None, None, 0, 50_000),
        ("US", "Springfield", "US-HI", None, 0, 50_000),
        ("US", "Springfield", None, "No Such Region", 0, 50_000),
        ("US", "Denver", None, None, 0, 0),
        # one city of the name in the country: no region is needed, nor does a wrong one matter
        ("KZ", "Almaty", None, None, 1_000_000, 3_000_000),
        ("KZ", "Almaty", "KZ-75", "Almaty", 1_000_000, 3_000_000),
        ("KZ", "Semey", "KZ-63", "East Kazakhstan", 200_000, 500_000),  # its region was split in 2022
        ("KZ", "Almaty", "KZ-", "", 1_000_000, 3_000_000),
    ],
)
def test_the_region_tells_cities_of_one_name_apart(country, city, region_code, region, at_least, at_most):
    assert at_least <= population(country, city, region_code=region_code, region=region) <= at_most


def test_what_is_smaller_than_the_smallest_has_no_number():
    assert all(n == 0 or n >= 15_000 for n in (population("US", name) for name in ("Denver", "Paris", "Salem")))


@pytest.mark.parametrize(
    ("city", "region", "expected"),
    [
        # A city by its English name, whatever the Russian one is.
        ({"en": "Almaty", "ru": "Южная столица"}, "Almaty", "Южная столица"),
        ({"en": "No Such Aul", "ru": "Алматы"}, "Almaty", None),
        ({"ru": "Алматы"}, "Almaty", "Алматы"),  # it has no other
        ({"ru": "Нет такого аула"}, "Almaty", None),
        ({"en": "Almaty"}, "Almaty", "Almaty"),
        # The region counts, too.
        ({"en": "Shalkar", "ru": "Шалкар"}, "Aktobe", "Шалкар"),
        ({"en": "", "ru": ""}, "Almaty", None),
    ],
)
def test_the_floor_works_in_any_language(tmp_path, city, region, expected):
    record = {
        "country": {"iso_code": "KZ", "names": {"en": "Kazakhstan"}},
        "subdivisions": [{"names": {"en": region, "ru": "Область"}}],
        "city": {"names": city},
    }
    databases = GeoDatabases(
        [write_mmdb(tmp_path / "city.mmdb", {"203.0.113.0/24": record})], min_population=15_000, language="ru"
    )
    databases.open()
    place = databases.look_up(ip_address("203.0.113.7"))
    assert (place.country_code, place.region, place.city) == ("KZ", "Область", expected)
