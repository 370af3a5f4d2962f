"""Where journals are kept."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from centtrack.folders import name_of_app, state_folder

FILE_NAME = "journal.db"


def default_journal(policy_source: str, sinks: Iterable[str], *, here: Path | None = None) -> Path:
    """The journal of an app: one per working directory, policy and sinks, so that all its workers share it."""
    return state_folder() / name_of_app(here or Path.cwd(), policy_source, *sorted(sinks)) / FILE_NAME


def known_journals() -> list[Path]:
    """All journals in the state folder, the last used first."""
    found = state_folder().glob(f"*/{FILE_NAME}")
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
