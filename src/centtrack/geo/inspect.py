"""What a geo database file is: its type, schema, age, licence, and how much it knows."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path

import maxminddb

from centtrack.addresses import Address
from centtrack.errors import GeoFileError
from centtrack.geo.file import (
    READ_ERRORS,
    check_database,
    open_copy,
    reason_of,
    sample_records,
)
from centtrack.geo.place import read_place, schema_of

MAX_AGE_DAYS = 45
_ADDRESSES = 2_000
_NETWORKS = 1_000
_GLOBAL_V6 = IPv6Network("2000::/3")
_FIRST_RECORDS = 50

# By type name. Each licence asks that its line is shown where the places are.
_ATTRIBUTIONS = {
    "DBIP-*Lite*": "IP Geolocation by DB-IP, https://db-ip.com (CC BY 4.0)",
    "GeoLite2-*": "This product includes GeoLite2 data created by MaxMind, available from https://www.maxmind.com",
    "ipinfo *": "IP address data powered by IPinfo, https://ipinfo.io (its free databases: CC BY-SA 4.0)",
}


@dataclass(frozen=True, slots=True)
class Coverage:
    """Shares of a sample, from 0 to 1, for which the database has this."""

    country: float
    region: float
    region_code: float
    city: float


@dataclass(frozen=True, slots=True)
class GeoFileInfo:
    """What is known about a database file.

    Attributes:
        findings: what is wrong with it; empty if nothing is.
        schema: how its records are laid out, None if that isn't recognised.
        ip_version: 4, or 6 for a file that can hold both.
        built: when it was built.
        age_days: days since then, None if it couldn't be opened.
        ipv4: coverage of random public IPv4 addresses; None if it has no IPv4.
        ipv6: coverage of the IPv6 networks that it has; None if it has none.
        attribution: what its licence asks to be shown, where the type is known.
    """

    path: Path
    findings: tuple[str, ...] = ()
    type: str = ""
    schema: str | None = None
    ip_version: int = 0
    languages: tuple[str, ...] = ()
    built: dt.datetime | None = None
    age_days: int | None = None
    nodes: int = 0
    bytes: int = 0
    ipv4: Coverage | None = None
    ipv6: Coverage | None = None
    attribution: str | None = None


def inspect_file(path: Path, now: dt.datetime | None = None) -> GeoFileInfo:
    """All that can be said about a file; what is wrong with it stands in its findings.

    Args:
        path: the file.
        now: what its age is counted to; None: now.
    """
    try:
        size = path.stat().st_size
        reader = open_copy(path)
        check_database(reader)
        return _describe(path, size, reader, now or dt.datetime.now(dt.UTC))
    except (GeoFileError, *READ_ERRORS) as error:
        return GeoFileInfo(path, (f"can't be used: {reason_of(error)}",))


def _describe(path: Path, size: int, reader: maxminddb.Reader, now: dt.datetime) -> GeoFileInfo:
    metadata = reader.metadata()
    built = dt.datetime.fromtimestamp(metadata.build_epoch, dt.UTC)
    age_days = max(0, (now - built).days)
    schema = _schema(reader)
    kind = metadata.database_type
    return GeoFileInfo(
        path, tuple(_findings(schema, age_days)), kind, schema, metadata.ip_version, tuple(metadata.languages),
        built, age_days, metadata.node_count, size, _ipv4(reader), _ipv6(reader), attribution(kind),
    )  # fmt: skip


def _findings(schema: str | None, age_days: int) -> Iterable[str]:
    if schema is None:
        yield "its records are of a form that isn't known: no places will come of it"
    if age_days > MAX_AGE_DAYS:
        yield f"it is {age_days} days old: networks move, get a newer one (`centtrack geo fetch`)"


def attribution(kind: str) -> str | None:
    """What the licence of a database of this type asks to be shown."""
    return next((text for pattern, text in _ATTRIBUTIONS.items() if fnmatchcase(kind, pattern)), None)


def _schema(reader: maxminddb.Reader) -> str | None:
    """The schema of most of the first records that have one."""
    records = [record for _, record in sample_records(reader, _FIRST_RECORDS)]
    found = Counter(schema for one in records if (schema := schema_of(one)))
    return found.most_common(1)[0][0] if found else None


def _ipv4(reader: maxminddb.Reader) -> Coverage | None:
    known = (record for address, record in sample_records(reader, _FIRST_RECORDS) if address.version == 4)
    if all(record is None for record in known):
        return None
    chance = random.Random(_ADDRESSES)  # noqa: S311 - a sample that is the same each time
    records: list[object] = []
    while len(records) < _ADDRESSES:
        address = IPv4Address(chance.getrandbits(32))
        if address.is_global and not address.is_multicast:
            records.append(reader.get(address))
    return _coverage(records)


def _ipv6(reader: maxminddb.Reader) -> Coverage | None:
    """Of known networks: a random IPv6 address hardly ever belongs to anyone."""
    sample = sample_records(reader, _NETWORKS)
    records = [record for address, record in sample if record is not None and _is_native(address)]
    return _coverage(records) if records else None


def _is_native(address: Address) -> bool:
    """Whether it is an address of IPv6 itself: databases alias their IPv4 part as 6to4 and Teredo."""
    if not isinstance(address, IPv6Address) or address not in _GLOBAL_V6:
        return False
    return not (address.sixtofour or address.teredo)


def _coverage(records: Sequence[object]) -> Coverage:
    places = [read_place(record) for record in records]
    total = len(places)
    return Coverage(
        sum(bool(place.country_code) for place in places) / total,
        sum(bool(place.region or place.region_code) for place in places) / total,
        sum(bool(place.region_code) for place in places) / total,
        sum(bool(place.city) for place in places) / total,
    )


def missing_of(infos: Sequence[GeoFileInfo]) -> tuple[str, ...]:
    """What databases that are used together lack."""
    usable = [info for info in infos if info.schema]
    if not usable:
        return ()
    lacks = [
        (not any(info.ipv4 for info in usable), "no IPv4 addresses: name a database with them too"),
        (not any(info.ipv6 for info in usable), "no IPv6 addresses: name the IPv6 file of the pair too"),
    ]
    return tuple(text for is_missing, text in lacks if is_missing)
