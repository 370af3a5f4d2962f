"""Geo databases: MaxMind's format, read by their own C reader. One database may be a pair of IPv4 and IPv6 files."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import maxminddb

from centtrack.capture import cities
from centtrack.capture.network import Address
from centtrack.capture.place import Place, read_place

logger = logging.getLogger(__name__)
_CACHED_PLACES = 8_192


class _File(NamedTuple):
    reader: maxminddb.Reader
    ip_version: int


class GeoDatabases:
    """Databases in order of preference, looked up on the full address, which never leaves this class.

    Nothing is opened before `open()`. A file that can't be read gives no places, one ERROR, and stands in `broken`.

    Args:
        paths: the files. An IPv4 and an IPv6 file beside each other serve as one database.
        min_population: a city with fewer inhabitants becomes its region.
        language: language of names, where a database has several.
    """

    def __init__(self, paths: Iterable[Path] = (), *, min_population: int = 0, language: str = "en") -> None:
        self.paths = tuple(paths)
        self.min_population = min_population
        self.language = language
        self.broken: dict[Path, str] = {}
        self.failures = 0
        self._files: tuple[_File, ...] = ()
        self.look_up = lru_cache(maxsize=_CACHED_PLACES)(self._look_up)

    def open(self) -> None:
        """Open the files, in this process: a reader must not be shared across a fork."""
        self.broken.clear()
        self.look_up.cache_clear()
        self._files = tuple(file for path in self.paths if (file := self._open(path)))
        if self._files and self.min_population:
            cities.warm()

    def _open(self, path: Path) -> _File | None:
        try:
            reader = maxminddb.open_database(path, maxminddb.MODE_AUTO)
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            self.broken[path] = f"{type(error).__name__}: {error}"
            logger.error("geo database %s can't be used, its places stay empty: %s", path, error)
            return None
        return _File(reader, reader.metadata().ip_version)

    def _look_up(self, address: Address) -> Place:
        """The place of an address; an empty one if no database has it."""
        for file in self._files:
            if file.ip_version >= address.version and (place := self._read(file, address)):
                return self._without_small_city(place)
        return Place()

    def _read(self, file: _File, address: Address) -> Place | None:
        try:
            record = file.reader.get(address)
        except (OSError, ValueError, maxminddb.InvalidDatabaseError):
            self.failures += 1
            return None
        place = read_place(record, self.language) if isinstance(record, dict) else None
        return place if place and any(place) else None

    def _without_small_city(self, place: Place) -> Place:
        if not place.city or not self.min_population:
            return place
        big_enough = place.country_code and cities.population(place.country_code, place.city) >= self.min_population
        return place if big_enough else place._replace(city=None)
