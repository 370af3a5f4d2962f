import pytest

from centtrack.capture.place import Place, PlaceFields, cut_district, read_place, reduce_place
from centtrack.policy.levels import Geo

# One place in the schema of MaxMind and in the flat one of DB-IP's files.
NESTED = {
    "country": {"iso_code": "KZ", "names": {"en": "Kazakhstan"}},
    "subdivisions": [
        {"iso_code": "75", "names": {"en": "Almaty", "ru": "Алматы"}},
        {"iso_code": "1", "names": {"en": "Bostandyk"}},
    ],
    "city": {"names": {"en": "Almaty (Bostandyk District)", "ru": "Алматы"}},
    "location": {"latitude": 43.2, "longitude": 76.9, "time_zone": "Asia/Almaty", "metro_code": 5},
    "postal": {"code": "050000"},
}
FLAT = {
    "country_code": "KZ",
    "state1": "Almaty",
    "state2": "Bostandyk",
    "city": "Almaty (Bostandyk District)",
    "postcode": "050000",
    "latitude": 43.2,
    "longitude": 76.9,
    "timezone": "Asia/Almaty",
}


def test_both_schemas():
    assert read_place(NESTED) == Place("KZ", "KZ-75", "Almaty", "Almaty")
    assert read_place(FLAT) == Place("KZ", None, "Almaty", "Almaty")


def test_names_in_the_policys_language_or_else_in_english():
    assert read_place(NESTED, "ru") == Place("KZ", "KZ-75", "Алматы", "Алматы")
    assert read_place(NESTED, "kk") == read_place(NESTED, "en")


@pytest.mark.parametrize(
    ("city", "expected"),
    [
        ("Almaty", "Almaty"),
        ("Almaty (Bostandyk District)", "Almaty"),
        ("Almaty [Bostandyk]", "Almaty"),
        ("Berlin (Mitte) (Wedding)", "Berlin"),
        ("Moscow (Tverskoy", "Moscow"),
        ("(Bostandyk District)", None),
        ("Frankfurt am Main", "Frankfurt am Main"),
        ("", None),
        (None, None),
    ],
)
def test_districts_are_cut(city, expected):
    assert cut_district(city) == expected


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (Geo.NONE, PlaceFields()),
        (Geo.COUNTRY, PlaceFields("KZ", geo_precision="country")),
        (Geo.REGION, PlaceFields("KZ", "KZ-75", "Almaty", geo_precision="region")),
        (Geo.CITY, PlaceFields("KZ", "KZ-75", "Almaty", "Almaty", "city")),
    ],
)
def test_columns_follow_the_level(level, expected):
    assert reduce_place(read_place(NESTED), level) == expected


@pytest.mark.parametrize("record", [NESTED, FLAT], ids=["nested", "flat"])
def test_nothing_finer_than_a_city_comes_out(record):
    text = repr(reduce_place(read_place(record), Geo.CITY))
    assert not [word for word in ("Bostandyk", "43.2", "76.9", "050000", "Asia") if word in text]


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"country": {}},
        {"country": {"iso_code": 7, "names": []}},
        {"country": {"iso_code": "KZ"}, "city": "Almaty"},
        {"country": {"iso_code": "KZ"}, "city": None},
        {"country": {"iso_code": "KZ"}, "city": {"names": "Almaty"}},
        {"country": {"iso_code": "KZ"}, "subdivisions": ["Almaty"]},
        {"country": {"iso_code": "KZ"}, "subdivisions": {}},
        {"country": "KZ", "city": 7, "state1": ["x"]},
        {"city": {"names": {"en": "Almaty"}}},
    ],
)
def test_a_record_of_an_odd_shape_gives_what_can_be_read(record):
    assert read_place(record).country_code in {"KZ", None}
