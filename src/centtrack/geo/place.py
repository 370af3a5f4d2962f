"""A place: what a record of a geo database says, reduced to country, region or city. Never anything finer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from centtrack.geo import regions
from centtrack.policy.levels import Geo

_DISTRICT = re.compile(r"\s*[(\[].*$")
_COUNTRY_CODE = re.compile(r"[A-Z]{2}")
_SUBDIVISION_CODE = re.compile(r"[A-Z0-9]{1,3}")
_NO_COUNTRY = frozenset(("AP", "EU", "XX", "ZZ"))
"""Written where no country is known: a part of the world, or nothing. XK stays, as all databases use it for Kosovo."""


class Place(NamedTuple):
    """Country, region and city of a record. There is no field for coordinates, postal code or time zone."""

    country_code: str | None = None
    region_code: str | None = None
    region: str | None = None
    city: str | None = None


class PlaceFields(NamedTuple):
    """Columns of the event."""

    country_code: str | None = None
    region_code: str | None = None
    region: str | None = None
    city: str | None = None
    geo_precision: str | None = None


def schema_of(record: object) -> str | None:
    """Whose schema a record has: `maxmind`, `flat` or `ipinfo`; None for one that holds no place.

    Told by what the record looks like: databases are renamed and rebuilt, and their type names with them.
    `maxmind` is nested: MaxMind's City, Country and Enterprise, DB-IP's own downloads and IP2Location's files,
    which can't be told apart reliably. `flat` is that of the files which come as an IPv4 and an IPv6 one.
    """
    if not isinstance(record, Mapping):
        return None
    if any(isinstance(record.get(part), Mapping) for part in ("country", "city", "continent", "registered_country")):
        return "maxmind"
    if "state1" in record or ("country_code" in record and "country" not in record):
        return "flat"
    return "ipinfo" if isinstance(record.get("country"), str) else None


def read_place(record: object, language: str = "en") -> Place:
    """The place of a record in any of the schemas, an empty one for what can't be read. Never raises.

    Args:
        record: what the database returned.
        language: of the names, where the record has it. English otherwise.
    """
    if not isinstance(record, Mapping):
        return Place()
    schema = schema_of(record)
    if schema == "maxmind":
        return _read_nested(record, language)
    if schema == "flat":
        return _read_flat(record)
    return _read_ipinfo(record) if schema else Place()


def _read_nested(record: Mapping[str, object], language: str) -> Place:
    """The first subdivision is the largest: England before Berkshire.

    `registered_country` isn't read: it's where the network's owner is registered, not where the visitor is. Nor is
    `represented_country`, whose soldiers and diplomats are elsewhere.
    """
    subdivisions = record.get("subdivisions")
    region = _part(subdivisions[0]) if isinstance(subdivisions, list) and subdivisions else {}
    return _place(
        _part(record.get("country")).get("iso_code"),
        region.get("iso_code"),
        _name(region, "en") or _name(region, language),
        _name(_part(record.get("city")), language),
    )._replace(region=_name(region, language))


def _read_flat(record: Mapping[str, object]) -> Place:
    """DB-IP's and GeoLite2's pairs. `state2` is finer than a region: a district, a county."""
    country_code = record.get("country_code") or record.get("country")
    return _place(country_code, None, record.get("state1"), record.get("city"))


def _read_ipinfo(record: Mapping[str, object]) -> Place:
    """`country` is a code in some of their files, in others a name beside `country_code`; `region` likewise."""
    country_code = record.get("country_code") or record.get("country")
    region, region_code = record.get("region"), record.get("region_code")
    if "region_name" in record:
        region, region_code = record["region_name"], record.get("region")
    return _place(country_code, region_code, region, record.get("city"))


def _place(country: object, code: object, region: object, city: object) -> Place:
    """The place of raw values. A region without a code gets the one of its English name."""
    country_code, region_name = _country_code(country), _text(region)
    region_code = None
    if country_code and isinstance(code, str) and _SUBDIVISION_CODE.fullmatch(code):
        region_code = f"{country_code}-{code}"
    elif country_code and region_name:
        region_code = regions.region_code(country_code, region_name)
    return Place(country_code, region_code, region_name, cut_district(_text(city)))


def _country_code(value: object) -> str | None:
    return value if isinstance(value, str) and _COUNTRY_CODE.fullmatch(value) and value not in _NO_COUNTRY else None


def _name(part: Mapping[str, object], language: str) -> str | None:
    names = _part(part.get("names"))
    return _text(names.get(language)) or _text(names.get("en"))


def _part(value: object) -> Mapping[str, object]:
    """A part of a record, or an empty one if it isn't of the schema's form."""
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    """Text, or None for what is missing: some databases write an empty string, others a dash."""
    text = value.strip() if isinstance(value, str) else ""
    return text if text not in {"", "-"} else None


def cut_district(city: str | None) -> str | None:
    """The city without the district that DB-IP adds: "Almaty (Bostandyk District)" is Almaty."""
    return _DISTRICT.sub("", city) or None if city else None


def reduce_place(place: Place, level: Geo) -> PlaceFields:
    """The columns that the level allows, and the finest that is filled."""
    country_code = place.country_code if level >= Geo.COUNTRY else None
    region_code, region = (place.region_code, place.region) if level >= Geo.REGION else (None, None)
    city = place.city if level >= Geo.CITY else None
    return PlaceFields(country_code, region_code, region, city, _precision(country_code, region or region_code, city))


def _precision(country: str | None, region: str | None, city: str | None) -> str | None:
    filled = (("city", city), ("region", region), ("country", country))
    return next((name for name, value in filled if value), None)
