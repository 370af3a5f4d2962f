"""How many people live in a city, from GeoNames (CC BY 4.0): a small place would single people out."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files

from centtrack.geo import regions
from centtrack.geo.regions import fold, stem


@cache
def _populations() -> dict[str, int]:
    """`KZ almaty` → population in thousands, and `US springfield IL` where the name occurs in several regions."""
    packed = files("centtrack.geo").joinpath("data", "cities.tsv.gz").read_bytes()
    populations: dict[str, int] = {}
    for line in gzip.decompress(packed).decode("utf-8").splitlines():
        if not line.startswith("#"):
            country_code, thousands, *names = line.split("\t")
            populations.update({f"{country_code} {name}": int(thousands) for name in names})
    return populations


def warm() -> None:
    """Read the data, some 100 ms."""
    regions.warm()
    _populations()


def population(country_code: str, city: str, *, region_code: str | None = None, region: str | None = None) -> int:
    """Inhabitants, rounded down to thousands; 0 for a city that isn't found, or has fewer than 15,000.

    A name that is found in several regions of the country is decided by the region. Where that isn't known, or isn't
    one of them, the smallest city of the name counts.

    Args:
        country_code: ISO 3166-1, two letters.
        city: its name in any spelling that GeoNames has.
        region_code: ISO 3166-2, with the country.
        region: name of the region. Used where the code doesn't decide.
    """
    populations, key = _populations(), f"{country_code} {fold(city)}"
    here = next((populations[name] for name in _in_region(key, region_code, region) if name in populations), None)
    return (populations.get(key, 0) if here is None else here) * 1_000


def _in_region(key: str, region_code: str | None, region: str | None) -> list[str]:
    """The city's keys in the region: by the code given, by the code of the name, by the name."""
    codes = (region_code, regions.region_code(key[:2], region) if region else None)
    return [f"{key} {code[3:]}" for code in codes if code] + ([f"{key} {stem(region)}"] if region else [])
