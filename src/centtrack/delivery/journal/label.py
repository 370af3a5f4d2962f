"""What a journal's lock file says: which journal lies beside it, since a damaged one can't tell any more."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

_PATTERN = re.compile(r"journal (?P<id>\S+)\n|aside (?P<aside>[^/\n]+\.corrupt-[^/\n]+)\n")
_MAX_SIZE = 512


class Label(NamedTuple):
    """The text of a lock file.

    Attributes:
        journal_id: of the journal beside it.
        aside: name of the file that a damaged journal is being moved to; empty once a new one is complete.
    """

    journal_id: str = ""
    aside: str = ""


def read_label(path: Path) -> Label:
    """Read it; empty if there is none, or the file is somebody else's."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_SIZE).decode("utf-8", "replace")
    except FileNotFoundError:
        return Label()
    found = _PATTERN.match(text)
    return Label(found["id"] or "", found["aside"] or "") if found else Label()


def write_label(path: Path, label: Label) -> None:
    """Write it, into the lock file that exists. Does nothing if that file is somebody else's.

    Raises:
        OSError: if that isn't possible.
    """
    if read_label(path) == Label() and path.stat().st_size:
        return
    text = f"aside {label.aside}\n" if label.aside else f"journal {label.journal_id}\n" if label.journal_id else ""
    with path.open("r+b", buffering=0) as file:
        file.write(text.encode())  # before it is cut: at no time may it be empty
        os.ftruncate(file.fileno(), len(text.encode()))
