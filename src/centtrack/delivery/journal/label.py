"""What a journal's lock file says: which journal lies beside it, since a damaged one can't tell any more."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

_PATTERN = re.compile(r"journal (?P<id>\S+) (?P<name>\S+)\n|aside (?P<aside>[^/\n]+\.corrupt-[^/\n]+)\n")
_MAX_SIZE = 2_048


class Label(NamedTuple):
    """The text of a lock file.

    Attributes:
        journal_id: of the journal beside it.
        aside: name of the file that a damaged journal is being moved to; empty once a new one is complete.
    """

    journal_id: str = ""
    aside: str = ""


def read_label(path: Path) -> Label:
    """Read it; empty if there is none, it is of another journal, or the file is somebody else's."""
    found = _read(path)
    if not found:
        return Label()
    if found["id"]:
        return Label(found["id"]) if found["name"] == _journal_of(path) else Label()
    return Label(aside=found["aside"]) if found["aside"].startswith(f"{_name_of(path)}.corrupt-") else Label()


def _read(path: Path) -> re.Match[str] | None:
    try:
        with path.open("rb") as file:
            return _PATTERN.fullmatch(os.fsdecode(file.read(_MAX_SIZE)))
    except FileNotFoundError:
        return None


def _name_of(lock: Path) -> str:
    """Name of the journal that a lock file lies beside."""
    return lock.name.removesuffix(".lock")


def _journal_of(lock: Path) -> str:
    """The same, without blanks."""
    return quote(os.fsencode(_name_of(lock)))


def write_label(path: Path, label: Label) -> None:
    """Write it, into the lock file that exists. Does nothing if that file is somebody else's.

    Raises:
        OSError: if that isn't possible.
    """
    if path.stat().st_size and not _read(path):
        return
    journal = f"journal {label.journal_id} {_journal_of(path)}\n" if label.journal_id else ""
    text = os.fsencode(f"aside {label.aside}\n" if label.aside else journal)
    with path.open("r+b", buffering=0) as file:
        file.write(text)  # before it is cut: at no time may it be empty
        os.ftruncate(file.fileno(), len(text))
