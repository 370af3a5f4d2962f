"""Geo databases: MaxMind's format, read by their own C reader. One database may be a pair of IPv4 and IPv6 files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv6Network
from pathlib import Path
from typing import NamedTuple

from centtrack.addresses import Address
from centtrack.geo import cities, regions
from centtrack.geo.file import READ_ERRORS, GeoFile
from centtrack.geo.place import Place, read_place

_CACHED_PLACES = 8_192
_CHECK_EVERY_S = 5.0
_PROTOCOLS = IPv6Network("2001::/23")  # RFC 6890: Teredo and others, nobody's network. DB-IP has them in one town


class _Found(NamedTuple):
    place: Place
    english: Place
    """The same place with English names, by which a city's population is found."""


class GeoDatabases:
    """Databases in order of preference, looked up on the full address, which never leaves this class.

    The first database that knows an address decides its country. One further down is believed instead if it names the
    same country and is finer: region instead of country, or city. A place is always one record's, never put together
    of two; the floor of population is applied to the place that was chosen.

    Nothing is opened before `open()`. A file that can't be read gives no places, one ERROR, and stands in `broken`.
    `refresh()` takes in files that were replaced, and those that appeared; see `GeoFile`.

    Args:
        paths: the files. An IPv4 and an IPv6 file beside each other serve as one database.
        min_population: a city with fewer inhabitants becomes its region.
        language: language of names, where a database has several.
    """

    look_up: Callable[[Address], Place]
    """The place of an address; an empty one if no database has it."""

    def __init__(self, paths: Iterable[Path] = (), *, min_population: int = 0, language: str = "en") -> None:
        self.paths = tuple(paths)
        self.min_population = min_population
        self.language = language
        self.failures = 0
        self._files: tuple[GeoFile, ...] = ()
        self._check_at = 0.0
        self._forget()

    @property
    def broken(self) -> dict[Path, str]:
        """Files that can't be used as they are now, and why. What was read before may still be in use."""
        return {file.path: file.problem for file in self._files if file.problem}

    def open(self) -> None:
        """Open the files, in this process: a reader must not be shared across a fork."""
        files = tuple(GeoFile(path) for path in self.paths)
        for file in files:
            file.open()
        self._files, self._check_at = files, time.monotonic() + _CHECK_EVERY_S
        self._forget()
        if files:
            (cities if self.min_population else regions).warm()

    def refresh(self, now: float | None = None) -> bool:
        """Take in files that have changed on disk. Cheap: one `stat` a file, every five seconds at most.

        True if places may be others now, so that whoever keeps some must forget them.

        To be called by one thread; others may look up meanwhile. A change is taken in at the second check that sees
        the same file, so one that is being written is left alone.

        Args:
            now: the time of `time.monotonic()`, in seconds; None: now.
        """
        now = time.monotonic() if now is None else now
        if now < self._check_at:
            return False
        self._check_at = now + _CHECK_EVERY_S
        taken = [file for file in self._files if file.refresh()]
        if taken:
            self._forget()
        return bool(taken)

    def _forget(self) -> None:
        """Begin an empty cache. A new one: a look-up that began before would put an old place into a cleared one."""
        self.look_up = lru_cache(maxsize=_CACHED_PLACES)(self._look_up)

    def _look_up(self, address: Address) -> Place:
        if address in _PROTOCOLS:
            return Place()
        best = _Found(Place(), Place())
        for file in self._files:
            if file.ip_version < address.version or not (found := self._read(file, address)):
                continue
            if not any(best.place) or _is_finer(found.place, best.place):
                best = found
            if best.place.city:
                break
        return self._without_small_city(best)

    def _read(self, file: GeoFile, address: Address) -> _Found | None:
        try:
            record = file.reader.get(address) if file.reader else None
        except READ_ERRORS:
            self.failures += 1
            return None
        english = read_place(record)
        if not any(english):
            return None
        return _Found(english if self.language == "en" else read_place(record, self.language), english)

    def _without_small_city(self, found: _Found) -> Place:
        place, known = found.place, found.english if found.english.city else found.place
        if not self.min_population or not known.city:
            return place
        inhabitants = cities.population(
            known.country_code or "", known.city, region_code=known.region_code, region=known.region
        )
        return place if inhabitants >= self.min_population else place._replace(city=None)


def _is_finer(place: Place, other: Place) -> bool:
    return place.country_code == other.country_code and _fineness(place) > _fineness(other)


def _fineness(place: Place) -> int:
    if place.city:
        return 3
    return 2 if place.region or place.region_code else 1
