"""Builds src/centtrack/geo/data/regions.tsv.gz from packages of the npm registry and of PyPI.

    npm install cldr-core cldr-subdivisions-full
    pip install --no-deps iso3166-2
    python scripts/build_regions.py node_modules

Names are from Unicode CLDR (Unicode licence 3.0) and from iso3166-2 (MIT); NOTICE and the file's first lines say so.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from centtrack.geo.regions import fold, stem

FOLDER = Path(__file__).parent
TARGET = FOLDER.parent / "src/centtrack/geo/data/regions.tsv.gz"
ISO = Path(str(distribution("iso3166-2").locate_file("iso3166_2/iso3166-2.json")))  # not imported: it needs more
HEADER = """# ISO 3166-2 codes by country and folded name; with a plus: by the name without words such as "region".
# From Unicode CLDR {cldr} (cldr-subdivisions-full), copyright Unicode, Inc., Unicode licence 3.0, and iso3166-2, MIT.
"""
LANGUAGES = (
    "ru",
    "kk",
    "uk",
    "de",
    "fr",
    "es",
    "it",
    "pt",
    "nl",
    "sv",
    "no",
    "fi",
    "et",
    "lv",
    "lt",
    "pl",
    "cs",
    "sk",
    "hu",
    "ro",
)
LANGUAGES += ("hr", "sl", "tr", "vi")
UNITS = frozenset(("ID-JW", "ID-KA", "ID-ML", "ID-NU", "ID-PP", "ID-SL", "ID-SM"))  # islands; regions are provinces
RENUMBERED = "IR"  # its codes were dealt out anew in 2020; CLDR has the old ones
_ROMAN = "a b v g d e yo zh z i y k l m n o p r s t u f kh ts ch sh shch - y - e yu ya".replace("-", "'").split()
RUSSIAN = dict(zip("абвгдеёжзийклмнопрстуфхцчшщъыьэюя", _ROMAN, strict=True))
Name = tuple[str, str]
"""An ISO 3166-2 code and a name of it."""


def read_cldr(packages: Path, language: str) -> Iterator[Name]:
    """Names of CLDR in a language. Its codes have no hyphen: `kz75`."""
    path = packages / f"cldr-subdivisions-full/subdivisions/{language}/{language}.json"
    names = json.loads(path.read_text(encoding="utf-8"))["subdivisions"]["localeDisplayNames"]["subdivisions"]
    return ((f"{code[:2].upper()}-{code[2:].upper()}", name) for code, name in names.items())


def other_names(entry: dict[str, str | None]) -> Iterator[str]:
    """What a region is also called, without the language: `Kiev (eng), Київ (ukr)`."""
    for name in (entry["localOtherName"] or "").split(","):
        yield re.sub(r"\([a-z]{3}\)", "", name).strip(" '\"")


def read_own() -> Iterator[Name]:
    """Names that the sources lack: `KZ-10 Abai; Abay`."""
    for line in (FOLDER / "region_names.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            code, names = line.split(" ", 1)
            yield from ((code, name) for name in names.split("; "))


def moved_codes(entries: dict[str, Any]) -> dict[str, str]:
    """Old codes that became another one, as the history tells: `Codes changed: KZ-ALA -> KZ-75`."""
    history = "\n".join(change["Change"] for entry in entries.values() for change in entry["history"] or ())
    moves = re.findall(r"([A-Z]{2}-\w+)(?: [^,;.>]*)? -> ([A-Z]{2}-\w+)", history)
    return {old: new for old, new in moves if old not in entries and new in entries}


def in_latin(name: str) -> str:
    """A Russian name as it's written abroad."""
    return "".join(RUSSIAN.get(letter, letter) for letter in name.lower())


def is_readable(name: str) -> bool:
    """Names in Latin or Cyrillic letters, not abbreviations."""
    return len(fold(name)) > 2 and all(letter < "\u0530" or letter.isascii() for letter in fold(name))


def keys_of(name: str) -> set[str]:
    """Under what a name is found: as it is, and by its stem if that is another."""
    return {fold(name)} | ({f"{stem(name)}+"} if stem(name) != fold(name) else set())


def add(table: dict[str, str], names: Iterable[Name]) -> None:
    """Add a layer of names. What an earlier layer says stays; what has two codes in it has none: never a guess."""
    found: dict[str, set[str]] = defaultdict(set)
    for code, name in names:
        country, _, part = code.partition("-")
        for key in keys_of(name) if is_readable(name) else ():
            found[f"{country} {key}"].add(part)
    for key, parts in found.items():
        table.setdefault(key, parts.pop() if len(parts) == 1 else "")


def all_names(packages: Path, entries: dict[str, Any]) -> tuple[list[Name], list[Name]]:
    """Official and English names, and others."""
    moved = moved_codes(entries)
    cldr = {
        language: [
            (moved.get(code, code), name)
            for code, name in read_cldr(packages, language)
            if not code.startswith(RENUMBERED)
        ]
        for language in ("en", *LANGUAGES)
    }
    official = cldr.pop("en") + [(code, entry["name"]) for code, entry in entries.items()]
    others = [name for names in cldr.values() for name in names]
    others += [(code, name) for code, entry in entries.items() for name in other_names(entry)]
    return official, others + [(code, in_latin(name)) for code, name in others if not fold(name).isascii()]


def select(names: Iterable[Name], codes: set[str]) -> Iterator[Name]:
    """Names of some of the codes."""
    return ((code, name) for code, name in names if code in codes)


def main(packages: Path) -> None:
    """Write the file. The largest regions come first: where a smaller one inside has the same name, it's not meant."""
    iso = json.loads(ISO.read_text(encoding="utf-8"))
    entries = {code: entry for country in iso.values() for code, entry in country.items()}
    table: dict[str, str] = {}
    add(table, read_own())
    largest = {code for code, entry in entries.items() if entry["parentCode"] in {None, *UNITS}} - UNITS
    inside = entries.keys() - largest - UNITS
    official, others = all_names(packages, entries)
    add(table, select(official, largest))
    stems = {key for key in table if key.endswith("+")}  # Madrid is the community, not the province inside it
    add(table, select(others, largest))
    for names in (official, others):
        add(table, (name for name in select(names, inside) if f"{name[0][:2]} {fold(name[1])}+" not in stems))
    for code, name in official:
        if code in entries and "city" in (entries[code]["type"] or "").lower():
            table.setdefault(f"{code[:2]} {fold(name)}+", "")  # Kyiv Oblast isn't Kyiv
    version = json.loads((packages / "cldr-subdivisions-full/package.json").read_text(encoding="utf-8"))["version"]
    text = HEADER.format(cldr=version) + "".join(f"{key}\t{table[key]}\n" for key in sorted(table))
    TARGET.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(table):,} names, {TARGET.stat().st_size / 1_000:,.0f} KB: {TARGET.name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
