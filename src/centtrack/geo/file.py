"""One geo database file: copied, checked, and read anew when it has changed on disk."""

from __future__ import annotations

import errno
import logging
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import IO, NamedTuple

import maxminddb

from centtrack.addresses import Address
from centtrack.errors import GeoFileError
from centtrack.logs import describe, report

logger = logging.getLogger(__name__)

READ_ERRORS = (OSError, ValueError, maxminddb.InvalidDatabaseError)
"""What a reader raises for a file or a record that is damaged."""

_LIGHT_SAMPLE = 128
_STEPS = 48
_CHUNK = 1 << 20
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class _Stamp(NamedTuple):
    """Tells a file from another one at its path, and from itself before it was written to."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


def _stamp_of(status: os.stat_result) -> _Stamp:
    return _Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class GeoFile:
    """A file and its reader. What is broken, half written or gone leaves the reader of before in use.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reader: maxminddb.Reader | None = None
        self.ip_version = 0
        self.problem: str | None = None
        self._has_complained = False
        self._tried: _Stamp | None = None
        self._seen: _Stamp | None = None

    def open(self) -> None:
        """Read the file as it is now, whole or not."""
        self._tried = self._seen = self._stamp()
        self._load()

    def refresh(self) -> bool:
        """Read the file anew if it has changed and then kept still from one call to the next. True if it was taken."""
        stamp = self._stamp()
        is_still, self._seen = stamp == self._seen, stamp
        if stamp == self._tried or not is_still:
            return False
        self._tried = stamp
        return self._load()

    def _stamp(self) -> _Stamp | None:
        try:
            return _stamp_of(self.path.stat())
        except OSError:
            return None

    def _load(self) -> bool:
        try:
            reader = open_copy(self.path)
            check_database(reader)
        except (GeoFileError, *READ_ERRORS) as error:
            self._complain(reason_of(error))
            return False
        # The old reader isn't closed: another thread may be in it. It goes with whoever holds it last.
        was_open, self.reader, self.ip_version = self.reader is not None, reader, reader.metadata().ip_version
        if self._has_complained:
            logger.warning("geo database %s can be used again", self.path)
        elif was_open:
            text = "geo database %s was replaced, the new one is in use"
            report(logger, logging.INFO, "geo_replaced", text, self.path, path=str(self.path))
        self.problem, self._has_complained = None, False
        return True

    def _complain(self, problem: str) -> None:
        if problem != self.problem:
            still = "what was read before stays in use" if self.reader else "its places stay empty"
            text, path = "geo database %s can't be used, %s: %s", str(self.path)
            is_said = report(
                logger, logging.ERROR, "geo_unusable", text, path, still, problem, path=path, reason=problem
            )
            self._has_complained |= is_said
        self.problem = problem


def reason_of(error: Exception) -> str:
    """Why a database can't be used, in words."""
    return str(error) if isinstance(error, GeoFileError) else f"{type(error).__name__}: {error}"


def open_copy(path: Path) -> maxminddb.Reader:
    """A reader of a private copy of the file.

    The C reader maps its file into memory, and whoever cuts that file short, as `cp` does before it writes, would end
    the process with SIGBUS. The copy has no name, so nobody can write to it, and it is gone with the reader.

    Raises:
        GeoFileError: if the file is being written.
        OSError, InvalidDatabaseError: if it can't be read.
    """
    with path.open("rb") as source:
        try:
            return _open_copy(source, path.parent)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            text = "no room for a copy of %s: replace it by renaming only, never in place: %s"
            report(logger, logging.WARNING, "geo_no_room", text, path, describe(error), path=str(path))
    return maxminddb.open_database(path, maxminddb.MODE_AUTO)


def _open_copy(source: IO[bytes], folder: Path) -> maxminddb.Reader:
    before = _stamp_of(os.fstat(source.fileno()))
    with _unnamed_file(folder) as copy:
        shutil.copyfileobj(source, copy, _CHUNK)
        copy.flush()
        if _stamp_of(os.fstat(source.fileno())) != before:
            raise GeoFileError("it is being written")
        try:
            return maxminddb.open_database(f"/dev/fd/{copy.fileno()}", maxminddb.MODE_AUTO)
        except FileNotFoundError:
            raise OSError(errno.ENOSPC, "this system has no /dev/fd") from None


def _unnamed_file(folder: Path) -> IO[bytes]:
    """A file without a name: on the disk of the database, where possible, as the system's folder may be in memory."""
    with suppress(OSError):
        return tempfile.TemporaryFile(dir=folder)
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise OSError(errno.ENOSPC, f"no temporary file: {error}") from None


def check_database(reader: maxminddb.Reader, sample: int = _LIGHT_SAMPLE) -> None:
    """Look up a sample of addresses, chosen by a fixed seed among those that the database knows.

    Args:
        reader: the database.
        sample: how many addresses of each version of IP.

    Raises:
        GeoFileError: if it has no addresses, or a record that can't be read.
    """
    try:
        has_any = False
        for _, record in sample_records(reader, sample):
            has_any = has_any or record is not None
    except READ_ERRORS as error:
        raise GeoFileError(f"it is damaged: {error}") from None
    if not has_any:
        raise GeoFileError("it has no addresses")


def sample_records(reader: maxminddb.Reader, count: int) -> Iterator[tuple[Address, object]]:
    """Known addresses and their records, chosen by a fixed seed; a record is None where none was found.

    Args:
        reader: the database.
        count: how many of IPv4, and how many of IPv6 if it may have it.

    Raises:
        OSError, ValueError, InvalidDatabaseError: if a record can't be read.
    """
    chance = random.Random(count)  # noqa: S311 - a sample that is the same each time
    for bits in (32, 128) if reader.metadata().ip_version == 6 else (32,):
        for _ in range(count):
            yield _known_record(reader, chance, bits)


def _known_record(reader: maxminddb.Reader, chance: random.Random, bits: int) -> tuple[Address, object]:
    """A random walk through the tree: from the network of a random address into the one beside it, which is no larger.

    It ends among small networks. Random addresses alone would hardly ever meet an IPv6 network that is in use.
    """
    number, found = chance.getrandbits(bits), None
    address = _address(number, bits)
    for _ in range(_STEPS):
        record, length = reader.get_with_prefix_len(_address(number, bits))
        if record is not None:
            address, found = _address(number, bits), record
        if not 0 < length <= bits:
            break
        below = bits - length
        number = (((number >> below) ^ 1) << below) | chance.getrandbits(below)
    return address, found


def _address(number: int, bits: int) -> Address:
    return IPv4Address(number) if bits == 32 else IPv6Address(number)
