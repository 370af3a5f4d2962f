from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.geo.place import Place, PlaceFields, cut_district, read_place, reduce_place, schema_of
from centtrack.policy.levels import Geo


def named(english: str, **more: Any) -> dict[str, Any]:
    return {"names": {"en": english}, **more}


# One place as each kind of database has it, with all that is finer than a city.
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
ENTERPRISE = {
    "city": named("Almaty", confidence=50, geoname_id=1526384),
    "continent": named("Asia", code="AS", geoname_id=6255147),
    "country": named("Kazakhstan", confidence=99, geoname_id=1522867, iso_code="KZ"),
    "location": {"accuracy_radius": 20, "latitude": 43.2, "longitude": 76.9, "time_zone": "Asia/Almaty"},
    "postal": {"code": "050000", "confidence": 10},
    "registered_country": named("Germany", geoname_id=2921044, iso_code="DE"),
    "subdivisions": [named("Almaty", confidence=90, geoname_id=1526395, iso_code="75")],
    "traits": {"isp": "Bostandyk", "static_ip_score": 0.5},
}
DBIP_DOWNLOAD = {
    "city": named("Almaty (Bostandyk District)"),
    "continent": named("Asia", code="AS", geoname_id=6255147),
    "country": named("Kazakhstan", geoname_id=1522867, is_in_european_union=False, iso_code="KZ"),
    "location": {"latitude": 43.2, "longitude": 76.9},
    "subdivisions": [named("Almaty")],
}
IP2LOCATION = {
    "city": named("Almaty"),
    "country": named("Kazakhstan", iso_code="KZ"),
    "location": {"latitude": 43.2, "longitude": 76.9},
    "postal": {"code": "050000"},
    "subdivisions": [named("Almaty")],
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
IPINFO = {
    "city": "Almaty",
    "country": "KZ",
    "geoname_id": "1526384",
    "lat": "43.2",
    "lng": "76.9",
    "postal_code": "050000",
    "region": "Almaty",
    "region_code": "75",
    "timezone": "Asia/Almaty",
}
IPINFO_EXTENDED = {**IPINFO, "country_name": "Kazakhstan", "region": "75", "region_name": "Almaty", "radius": "100"}
IPINFO_CORE = {
    "as_name": "Bostandyk",
    "asn": "AS9198",
    "city": "Almaty",
    "continent": "Asia",
    "continent_code": "AS",
    "country": "Kazakhstan",
    "country_code": "KZ",
    "latitude": 43.2,
    "longitude": 76.9,
    "postal_code": "050000",
    "region": "Almaty",
    "region_code": "75",
    "timezone": "Asia/Almaty",
}
ALMATY = Place("KZ", "KZ-75", "Almaty", "Almaty")
SCHEMAS = {
    "MaxMind City": (NESTED, "maxmind"),
    "MaxMind Enterprise": (ENTERPRISE, "maxmind"),
    "DB-IP's download": (DBIP_DOWNLOAD, "maxmind"),
    "IP2Location": (IP2LOCATION, "maxmind"),
    "a pair of flat files": (FLAT, "flat"),
    "IPinfo": (IPINFO, "ipinfo"),
    "IPinfo Extended": (IPINFO_EXTENDED, "ipinfo"),
    "IPinfo Core": (IPINFO_CORE, "ipinfo"),
}


@pytest.mark.parametrize(("record", "schema"), SCHEMAS.values(), ids=SCHEMAS)
def test_the_same_place_in_all_schemas(record, schema):
    assert read_place(record) == ALMATY
    assert schema_of(record) == schema


@pytest.mark.parametrize(
    ("record", "schema"),
    [
        ({"country": named("Kazakhstan", iso_code="KZ"), "continent": named("Asia", code="AS")}, "maxmind"),
        ({"country_code": "KZ"}, "flat"),
        ({"asn": "AS9198", "continent": "Asia", "country": "Kazakhstan", "country_code": "KZ"}, "ipinfo"),  # Lite
        ({"continent": "AS", "continent_name": "Asia", "country": "KZ", "country_name": "Kazakhstan"}, "ipinfo"),
    ],
)
def test_databases_of_countries(record, schema):
    assert read_place(record) == Place("KZ")
    assert schema_of(record) == schema


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        # The network's owner is registered there, and its users are anywhere: an anycast address has no more.
        ({"registered_country": named("Australia", iso_code="AU")}, Place()),
        ({**NESTED, "registered_country": named("Germany", iso_code="DE")}, ALMATY),
        # A base of the United States, in Germany.
        ({"country": {"iso_code": "DE"}, "represented_country": {"iso_code": "US", "type": "military"}}, Place("DE")),
        # IP2Location writes a dash for what it doesn't know.
        ({"city": named("-"), "country": named("-", iso_code="-"), "subdivisions": [named("-")]}, Place()),
        ({"city": named("-"), "country": named("K", iso_code="KZ"), "subdivisions": [named("-")]}, Place("KZ")),
        # The flat files write an empty text.
        ({"country_code": "KZ", "state1": "", "city": " "}, Place("KZ")),
        # The first subdivision is the largest.
        (
            {
                "country": {"iso_code": "GB"},
                "subdivisions": [named("England", iso_code="ENG"), named("West Berkshire", iso_code="WBK")],
            },
            Place("GB", "GB-ENG", "England"),
        ),
    ],
)
def test_what_is_believed(record, expected):
    assert read_place(record) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("KZ", "KZ"),
        ("XK", "XK"),  # Kosovo, as all databases write it
        # no country
        ("-", None),
        ("", None),
        ("ZZ", None),
        ("XX", None),
        ("EU", None),
        ("AP", None),
        ("A1", None),
        ("kz", None),
        ("KAZ", None),
        ("K3", None),
        (398, None),
        (None, None),
        (["KZ"], None),
    ],
)
def test_codes_of_countries(code, expected):
    assert read_place({"country": {"iso_code": code}}).country_code == expected
    assert read_place({"country_code": code, "state1": ""}).country_code == expected
    assert read_place({"country": code, "region": ""}).country_code == expected


@pytest.mark.parametrize("code", [None, "", "-", 75, "almaty", "KZ-75", "7 5"])
def test_a_region_without_a_code_gets_that_of_its_name(code):
    record = {"country": {"iso_code": "KZ"}, "subdivisions": [named("Almaty Region", iso_code=code)]}
    assert read_place(record) == Place("KZ", "KZ-19", "Almaty Region")


def test_names_in_the_policys_language_or_else_in_english():
    assert read_place(NESTED, "ru") == Place("KZ", "KZ-75", "Алматы", "Алматы")
    assert read_place(NESTED, "kk") == read_place(NESTED, "en")


@pytest.mark.parametrize("language", ["en", "ru", "kk"])
def test_the_code_of_a_region_is_the_same_in_every_language(language):
    names = {"en": "Jetisu Region", "ru": "Жетысуская область", "kk": "Жетісу облысы"}
    record = {"country": {"iso_code": "KZ"}, "subdivisions": [{"names": names}]}
    assert read_place(record, language) == Place("KZ", "KZ-33", names[language])


# Whatever a database holds: any type in any field.
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(max_size=4)
FIELDS = ("country", "country_code", "iso_code", "subdivisions", "names", "en", "ru", "city", "state1", "region")
KEYS = st.sampled_from((*FIELDS, "region_code", "region_name", "continent", "registered_country", "-", ""))
VALUES = st.recursive(
    LEAVES | st.sampled_from(["KZ", "GB", "75", "Almaty"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES | st.dictionaries(KEYS, VALUES), st.sampled_from(["en", "ru", "kk", ""]))
def test_junk_gives_text_or_nothing(record, language):
    place = read_place(record, language)
    assert all(value is None or (isinstance(value, str) and value.strip()) for value in place)
    assert place.country_code is None or (len(place.country_code) == 2 and place.country_code.isupper())
    assert place.region_code is None or place.region_code.startswith(f"{place.country_code}-")
    assert schema_of(record) in {"maxmind", "flat", "ipinfo", None}
    assert schema_of(record) or place == Place()


@pytest.mark.parametrize("record", [None, 7, "KZ", ["KZ"], {}, {"asn": "AS9198"}, {"city": "Almaty"}], ids=str)
def test_what_holds_no_place_has_no_schema(record):
    assert schema_of(record) is None
    assert read_place(record) == Place()


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


@pytest.mark.parametrize("record", [record for record, _ in SCHEMAS.values()], ids=SCHEMAS)
def test_nothing_finer_than_a_city_comes_out(record):
    text = repr(reduce_place(read_place(record), Geo.CITY))
    assert not [word for word in ("Bostandyk", "43.2", "76.9", "050000", "Asia") if word in text]
