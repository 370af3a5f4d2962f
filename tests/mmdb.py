"""Geo databases of a test, written and damaged."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet

ALMATY = {"country_code": "KZ", "state1": "Almaty", "city": "Almaty (Bostandyk District)", "latitude": 43.2}
SEMEY = {"country_code": "KZ", "state1": "Abay", "city": "Semey"}
V4, V6 = "203.0.113.0/24", "2001:db8:1::/48"


def write_mmdb(path: Path, records: Mapping[str, object], ip_version: int = 4, kind: str = "DBIP-City-Lite") -> Path:
    """Write a database, in place if the file is there."""
    writer = MMDBWriter(ip_version, kind, languages=["en"], description="test", ipv4_compatible=ip_version == 6)
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


def rename_mmdb(path: Path, records: Mapping[str, object], ip_version: int = 4) -> None:
    """Write a database and rename it over another."""
    written = write_mmdb(path.with_name(f"{path.name}.new"), records, ip_version)
    written.replace(path)


def built(content: bytes, seconds_later: int) -> bytes:
    """The same database, built so much later."""
    at = content.index(b"build_epoch") + len(b"build_epoch")
    assert content[at : at + 2] == b"\x04\x02"  # an unsigned number of 64 bits, in 4 bytes
    epoch = int.from_bytes(content[at + 2 : at + 6], "big") + seconds_later
    return content[: at + 2] + epoch.to_bytes(4, "big") + content[at + 6 :]


def damaged(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Contents that are no database, or not a whole one, each with its name."""
    yield "empty", b""
    yield "an error page", b"<!doctype html><title>502 Bad Gateway</title>" + b"<p>nginx</p>" * 200
    yield "text", b"not a database"
    yield "the metadata's mark alone", b"\xab\xcd\xefMaxMind.com"
    for share in (0.1, 0.5, 0.9):
        yield f"the first {share:.0%}", whole[: int(len(whole) * share)]
    metadata = whole.rindex(b"\xab\xcd\xefMaxMind.com")
    yield "zeros before the metadata", bytes(metadata) + whole[metadata:]
    yield "ones before the metadata", b"\xff" * metadata + whole[metadata:]
    yield "the metadata twice", whole[metadata:] * 2


def flipped(whole: bytes, every: int) -> Iterator[bytes]:
    """The same with one byte changed, here and there."""
    for position in itertools.islice(range(0, len(whole), every), 400):
        yield whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :]
