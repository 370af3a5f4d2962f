"""A place: what a record of a geo database says, reduced to country, region or city. Never anything finer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from centtrack.policy.levels import Geo

_DISTRICT = re.compile(r"\s*[(\[].*$")


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


def read_place(record: Mapping[str, Any], language: str = "en") -> Place:
    """The place of a record, whichever schema it has: MaxMind's nested one, or the flat one of DB-IP's files.

    Told apart by what the record looks like: databases are renamed and rebuilt, and their type names with them.
    """
    country = record.get("country")
    return _read_nested(record, language) if isinstance(country, Mapping) else _read_flat(record)


def _read_nested(record: Mapping[str, Any], language: str) -> Place:
    country_code = _text(_part(record.get("country")).get("iso_code"))
    subdivisions = record.get("subdivisions")
    region = _part(subdivisions[0] if isinstance(subdivisions, list) and subdivisions else None)
    code = _text(region.get("iso_code"))
    return Place(
        country_code,
        f"{country_code}-{code}" if country_code and code else None,
        _name(region, language),
        cut_district(_name(_part(record.get("city")), language)),
    )


def _read_flat(record: Mapping[str, Any]) -> Place:
    return Place(
        _text(record.get("country_code")) or _text(record.get("country")),
        None,
        _text(record.get("state1")),
        cut_district(_text(record.get("city"))),
    )


def _name(part: Mapping[str, Any], language: str) -> str | None:
    names = _part(part.get("names"))
    return _text(names.get(language)) or _text(names.get("en"))


def _part(value: object) -> Mapping[str, Any]:
    """A part of a record, or an empty one if it isn't of the schema's form."""
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    """Text, or None for what is missing: flat databases write an empty string."""
    return value.strip() or None if isinstance(value, str) else None


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
