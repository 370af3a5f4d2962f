"""Brings a geo database from a URL or a file: checked before it replaces the one in use, all or nothing."""

from __future__ import annotations

import datetime as dt
import gzip
import os
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, NamedTuple

from centtrack.errors import GeoFileError
from centtrack.geo.download import NotThereError, Progress, download, is_url, shown_url
from centtrack.geo.file import READ_ERRORS, check_database, open_copy, reason_of, sample_records
from centtrack.geo.inspect import GeoFileInfo, inspect_file
from centtrack.geo.place import read_place

MAX_BYTES = 1_000_000_000
"""Of a download, and of the database in it."""

_CHECKED = 2_000
_CHUNK = 1 << 20
_DBIP_CITY_LITE = "https://download.db-ip.com/free/dbip-city-lite-{month:%Y-%m}.mmdb.gz"


class Fetched(NamedTuple):
    """What was brought, and what it replaced, if that could be read."""

    source: str
    now: GeoFileInfo
    before: GeoFileInfo | None

    @property
    def is_older(self) -> bool:
        """Whether it was built before the one that it replaced."""
        before = self.before.built if self.before else None
        return bool(before and self.now.built and self.now.built < before)


def default_sources(today: dt.date) -> tuple[str, str]:
    """DB-IP's free city database of this month, and of the month before: it comes out in the first days of a month."""
    this_month = today.replace(day=1)
    last_month = (this_month - dt.timedelta(days=1)).replace(day=1)
    return _DBIP_CITY_LITE.format(month=this_month), _DBIP_CITY_LITE.format(month=last_month)


def fetch_database(
    sources: tuple[str, ...],
    target: Path,
    *,
    same_type: bool = False,
    on_progress: Progress = lambda done, total: None,
    max_bytes: int = MAX_BYTES,
) -> Fetched:
    """Bring a database, check it, and put it in place of the target by renaming. On failure the target is untouched.

    Args:
        sources: URLs or paths, plain, `.gz` or `.tar.gz`; the next one is tried if the server doesn't have one.
        target: the file to write; its permissions are kept.
        same_type: refuse to replace a database of another type.
        on_progress: told how far the download is.
        max_bytes: limit of the download, and of what is packed in it.

    Raises:
        GeoFileError: if it couldn't be brought or is broken.
        ConfigurationError: if a source isn't one that is fetched from.
        MissingExtraError: if httpx isn't installed.
    """
    target = target.resolve()  # behind a link: the link stays
    if target.is_dir():
        raise GeoFileError(f"{target} is a folder: name a file in it")
    before = inspect_file(target) if target.exists() else None
    try:
        with _temporary(target) as packed, _temporary(target) as database:
            source = _bring(sources, packed, on_progress, max_bytes)
            _unpack(packed, database, max_bytes)
            info = _checked(database)
            _refuse_another_type(info, before if same_type else None)
            _swap(database, target)
    except OSError as error:
        raise GeoFileError(f"{target} can't be written: {error}") from None
    return Fetched(source, replace(info, path=target), before if before and before.type else None)


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """A file beside the target, on the same disk, so that renaming it is atomic. Removed if it's still there."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _bring(sources: tuple[str, ...], packed: Path, on_progress: Progress, max_bytes: int) -> str:
    for index, source in enumerate(sources):
        try:
            with packed.open("wb") as file:
                if is_url(source):
                    download(source, file, on_progress, max_bytes)
                else:
                    _copy_file(Path(source), file, max_bytes)
        except NotThereError:
            if index == len(sources) - 1:
                raise
        else:
            return shown_url(source) if is_url(source) else source
    raise ValueError("no source")


def _copy_file(path: Path, file: IO[bytes], max_bytes: int) -> None:
    try:
        source = path.expanduser().open("rb")
    except OSError as error:
        raise GeoFileError(f"{path} can't be read: {error.strerror or error}") from None
    with source:
        _copy_limited(source, file, max_bytes)


def _copy_limited(source: IO[bytes] | gzip.GzipFile, file: IO[bytes], max_bytes: int) -> None:
    left = max_bytes
    while chunk := source.read(_CHUNK):
        left -= len(chunk)
        if left < 0:
            raise GeoFileError(f"it has more than {max_bytes:,} bytes: no geo database for this purpose is that big")
        file.write(chunk)


def _unpack(packed: Path, database: Path, max_bytes: int) -> None:
    """Whatever its name says: gzip and tar are known by what is in them."""
    try:
        if _has(packed, b"\x1f\x8b", at=0):
            with gzip.open(packed) as source, database.open("wb") as file:
                _copy_limited(source, file, max_bytes)
            database.replace(packed)
        if _has(packed, b"ustar", at=257):
            _take_from_tar(packed, database, max_bytes)
        else:
            packed.replace(database)
    except (gzip.BadGzipFile, EOFError, ValueError, zlib.error, tarfile.TarError) as error:
        raise GeoFileError(f"what came is cut off or damaged: {error}") from None


def _has(path: Path, magic: bytes, *, at: int) -> bool:
    with path.open("rb") as file:
        file.seek(at)
        return file.read(len(magic)) == magic


def _take_from_tar(archive: Path, database: Path, max_bytes: int) -> None:
    """The one database of an archive. Its name and place there are never used."""
    with tarfile.open(archive, "r:") as tar:
        members = [one for one in tar if one.isreg() and one.name.endswith(".mmdb")]
        source = tar.extractfile(members[0]) if len(members) == 1 else None
        if source is None:
            raise GeoFileError(f"the archive holds {len(members)} databases (.mmdb), not one")
        with database.open("wb") as file:
            _copy_limited(source, file, max_bytes)


def _checked(database: Path) -> GeoFileInfo:
    """What it is, if it can be used."""
    try:
        reader = open_copy(database)
        check_database(reader, _CHECKED)
    except (GeoFileError, *READ_ERRORS) as error:
        reason = reason_of(error).replace(str(database), "it")
        raise GeoFileError(f"what came is no geo database that can be used: {reason}") from None
    info = inspect_file(database)
    if info.schema is None:
        raise GeoFileError(
            f"its records (type {info.type!r}) are of a form that isn't known: no places would come of it"
        )
    if not any(any(read_place(record)) for _, record in sample_records(reader, _CHECKED)):
        raise GeoFileError(f"its records (type {info.type!r}) hold no countries, regions or cities")
    return info


def _refuse_another_type(info: GeoFileInfo, before: GeoFileInfo | None) -> None:
    if before and before.type and before.type != info.type:
        raise GeoFileError(
            f"{before.path} is of the type {before.type!r}, what came is of {info.type!r}: name it with --to if it "
            "is to be replaced"
        )


def _swap(database: Path, target: Path) -> None:
    """Rename it over the target, so that whoever opens that gets the old or the new one, whole."""
    _take_permissions(database, target)
    with database.open("rb") as file:
        os.fsync(file.fileno())
    database.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _take_permissions(database: Path, target: Path) -> None:
    """Those of the target; else what any user of the machine may read, as the app is likely another user."""
    if not target.exists():
        database.chmod(0o644)
        return
    status = target.stat()
    with suppress(PermissionError):
        os.chown(database, status.st_uid, status.st_gid)
    database.chmod(stat.S_IMODE(status.st_mode))
