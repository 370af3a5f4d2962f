"""Finds secrets in bytes, however they are written: in plain, escaped, encoded or hashed."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

_WINDOW = 8
_COMPRESSED = ".parquet"
_BETWEEN_EVENTS = re.compile(rb'\n|(?={"event_id":)')  # most files hold the same events: each is looked at once


def forms_of(part: str) -> dict[str, bytes]:
    """How a part of a secret might be written: name → bytes, all in lower case."""
    raw = part.encode()
    forms = {
        "plain": raw,
        "percent-encoded": "".join(f"%{byte:02x}" for byte in raw).encode(),
        "JSON escapes": "".join(f"\\u{ord(letter):04x}" for letter in part).encode(),
        "hex": raw.hex().encode(),
        "UTF-16": part.encode("utf-16-le"),
    }
    for shift in range(3):  # where it begins in a group of three bytes
        encoded = base64.b64encode(b"\0" * shift + raw).rstrip(b"=")
        forms[f"base64, {shift}"] = encoded[(0, 2, 3)[shift] : len(encoded) - 1]
    for name in ("md5", "sha1", "sha256"):  # without a key it can be found by trying all
        forms[name] = hashlib.new(name, raw).hexdigest().encode()
    try:
        address = ipaddress.ip_address(part)
    except ValueError:
        pass
    else:
        forms["number"] = str(int(address)).encode()
        forms["hex of the address"] = address.packed.hex().encode()
        forms["all digits"] = address.exploded.encode()
        if address.version == 6:
            forms["packed"] = address.packed
    return {name: form.lower() for name, form in forms.items() if len(form) >= _WINDOW}


class Haystack:
    """Bytes to search, from many files; `in` takes the time of one look-up."""

    def __init__(self, chunks: Iterable[tuple[str, bytes]]) -> None:
        self._chunks = [(name, data.lower()) for name, data in chunks]
        self._windows: set[bytes] = set()
        for piece in {piece for _, data in self._chunks for piece in _BETWEEN_EVENTS.split(data)}:
            self._windows.update(piece[start : start + _WINDOW] for start in range(len(piece) - _WINDOW + 1))

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(len(data) for _, data in self._chunks)

    def find(self, part: str) -> Iterator[tuple[str, str]]:
        """Where a part of a secret stands: (name of the chunk, form)."""
        for form, data in forms_of(part).items():
            if data[:_WINDOW] in self._windows:
                yield from ((name, form) for name, chunk in self._chunks if data in chunk)


def files_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    """All files, by their path, each with its name as a part of what is searched."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = str(path.relative_to(folder))
            yield name, name.encode() + b"\n" + path.read_bytes()


def events_below(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Every event that a sink has, as columns: of lines of JSON, and of the cells of tables."""
    for path in folder.rglob("*"):
        if path.suffix == ".jsonl":
            yield from map(msgspec.json.decode, path.read_bytes().splitlines())
        elif path.suffix == _COMPRESSED:
            yield from pq.read_table(path).to_pylist()


def columns_of(events: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """Column → all of its values, each once."""
    values: dict[str, set[str]] = defaultdict(set)
    for event in events:
        for name, value in event.items():
            if value is not None:
                values[name].add(str(value))
    for name, found in sorted(values.items()):
        yield name, "\n".join(sorted(found)).encode()
