"""Folders of this user: where what outlives a process is kept."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import platformdirs


def state_folder() -> Path:
    """The folder of all journals and ledgers of this user: `$XDG_STATE_HOME/centtrack` and the like."""
    return platformdirs.user_state_path("centtrack", appauthor=False)


def name_of_app(here: Path, *more: str) -> str:
    """A name that any file system takes, and that tells apps apart.

    Args:
        here: the app's working directory.
        *more: what else tells it from others. It is hashed, so it may hold a password.
    """
    name = re.sub(r"[^A-Za-z0-9]+", "-", here.name).strip("-")[:32] or "app"
    identity = "\n".join([str(here), *more])
    return f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that aren't there, readable by their owner only.

    Raises:
        OSError: if that isn't possible.
    """
    for missing in [one for one in (*reversed(folder.parents), folder) if not one.exists()]:
        missing.mkdir(mode=0o700, exist_ok=True)
