"""How many people live in a city, from GeoNames (CC BY 4.0): a small place would single people out."""

from __future__ import annotations

import gzip
import unicodedata
from functools import cache
from importlib.resources import files

SMALLEST = 15_000
"""The smallest city in the data. A floor below it acts like this one: what isn't in the data counts as small."""


def fold(name: str) -> str:
    """A name without case, accents and punctuation, as the data has it."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in plain if letter.isalnum())


@cache
def _populations() -> dict[str, int]:
    """`KZ almaty` → population in thousands. Of cities of one name in a country the smallest counts."""
    packed = files("centtrack.capture").joinpath("data", "cities.tsv.gz").read_bytes()
    populations = {}
    for line in gzip.decompress(packed).decode("utf-8").splitlines():
        if not line.startswith("#"):
            key, population = line.split("\t")
            populations[key] = int(population)
    return populations


def warm() -> None:
    """Read the data, some 100 ms."""
    _populations()


def population(country_code: str, city: str) -> int:
    """Inhabitants, rounded down to thousands; 0 for a city that isn't found."""
    return _populations().get(f"{country_code} {fold(city)}", 0) * 1_000
