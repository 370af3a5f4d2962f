"""Where journals are kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import platformdirs

FILE_NAME = "journal.db"


def state_folder() -> Path:
    """The folder of all journals of this user: `$XDG_STATE_HOME/centtrack` and the like."""
    return platformdirs.user_state_path("centtrack", appauthor=False)


def default_journal(policy_source: str, sinks: Iterable[str], *, here: Path | None = None) -> Path:
    """The journal of an app: one per working directory, policy and sinks, so that all its workers share it."""
    here = here or Path.cwd()
    identity = "\n".join([str(here), policy_source, *sorted(sinks)])
    name = re.sub(r"[^A-Za-z0-9]+", "-", here.name).strip("-")[:32] or "app"
    return state_folder() / f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}" / FILE_NAME


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that aren't there, readable by their owner only.

    Raises:
        OSError: if that isn't possible.
    """
    for missing in [one for one in (*reversed(folder.parents), folder) if not one.exists()]:
        missing.mkdir(mode=0o700, exist_ok=True)


def known_journals() -> list[Path]:
    """All journals in the state folder, the last used first."""
    found = state_folder().glob(f"*/{FILE_NAME}")
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
