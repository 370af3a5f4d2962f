"""The salts of daily keys, while a process records."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from centtrack.errors import ConfigurationError
from centtrack.folders import make_private_folder, state_folder
from centtrack.visitor.daily_key import DAY_S
from centtrack.visitor.ids import VisitorIds
from centtrack.visitor.salt_file import purge_salts
from centtrack.visitor.salts import open_salts


def start_salts(visitors: VisitorIds, where: str | Path) -> None:
    """Open the salts, if daily keys are made. In each process its own: clients must not be shared by a fork.

    Args:
        visitors: who makes the keys.
        where: a file, or a URL of what several hosts share.
    """
    if not visitors.makes_keys:
        return
    if "://" not in str(where):
        with suppress(OSError):  # the thread says so, and tries again
            make_private_folder(Path(where).parent)
    visitors.salts = open_salts(where)
    visitors.salts.start()


def purge_old_salts(journal: Path) -> None:
    """Remove salts that nobody uses any more, beside this journal and in the user's state folder."""
    oldest = int(time.time() // DAY_S) - 1
    for path in {journal.with_name("salts"), *state_folder().glob("*/salts")}:
        with suppress(OSError, ConfigurationError):
            purge_salts(path, oldest=oldest)
