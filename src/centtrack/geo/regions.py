"""ISO 3166-2 codes of regions by their names, for databases that give names only. From Unicode CLDR and others."""

from __future__ import annotations

import gzip
import re
import unicodedata
from functools import cache
from importlib.resources import files

_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "\u0131": "i", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "ə": "a"}
)
_NO_WORD = re.compile(r"[\W_]+")
_APOSTROPHE = re.compile(r"['`\u2018\u2019]")
_SAINT = {"st": "saint", "ste": "sainte"}
_KIND_WORDS = """
region regiao regione province provincia provincie provinsi provint prov oblast oblasti oblasy oblysy oblisi obl oblis
voblasts viloyati viloyat wiloyaty velayat vilayati state estado stat land county contea megye judet judetul apskritis
maakond prefecture ken district distrito distrikt department departamento departement governorate muhafazah mintaqat
wilaya canton kanton krai kray kraj okrug republic republica respublika republika municipio
community comunidad comunitat autonomous autonoma autonomnyy voivodeship division sheng parish parroquia raion rayon
rajonas do territory capital emirate zupanija ostan tinh thanh pho mkhare marz il ili changwat federal
national of the de la las los da du del di d and
"""
_CITY_WORDS = frozenset(("city", "gorod", "municipality", "qalasy", "shahri", "shi", "si", "urban"))
_KINDS = _CITY_WORDS.union(_KIND_WORDS.split())
"""Words that say what a region is, and small ones between. Folded."""


def fold(name: str) -> str:
    """A name without case, accents, blanks and punctuation, as the data files have it."""
    return "".join(_words(name))


def stem(region: str) -> str:
    """The folded name without the words that say what a region is: "Almaty oblysy" and "Almaty Region" are `almaty`."""
    words = _words(region)
    return "".join(word for word in words if word not in _KINDS) or "".join(words)


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name.casefold().translate(_LETTERS))
    plain = "".join(letter for letter in plain if unicodedata.category(letter) not in {"Mn", "Lm", "Sk"})
    return [_SAINT.get(word, word) for word in _NO_WORD.sub(" ", _APOSTROPHE.sub("", plain)).split()]


@cache
def _codes() -> dict[str, str]:
    """`KZ almaty` → `75`; by stem, marked with a plus: `KZ almaty+` → `19`. Empty where a name has several codes."""
    packed = files("centtrack.geo").joinpath("data", "regions.tsv.gz").read_bytes()
    lines = gzip.decompress(packed).decode("utf-8").splitlines()
    return dict(line.split("\t") for line in lines if not line.startswith("#"))


def warm() -> None:
    """Read the data, some 10 ms."""
    _codes()


def region_code(country_code: str, region: str) -> str | None:
    """The ISO 3166-2 code of a region, `KZ-75`; None if its name isn't known or has several codes in the country.

    The name as it is comes first, then its stem: Almaty is the city, Almaty Region the region around it.
    """
    name, core = fold(region), stem(region)
    keys = (name, f"{core}+", core)
    if core == name or _KINDS.intersection(_words(region)) <= _CITY_WORDS:
        keys = (name, core, f"{core}+")
    codes = _codes()
    code = next((codes[key] for key in (f"{country_code} {key}" for key in keys) if key in codes), "")
    return f"{country_code}-{code}" if code else None
