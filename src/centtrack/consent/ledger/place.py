"""Where a ledger is: by default, from a path or URL, and back to words that hold no password."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from centtrack.errors import ConfigurationError, LedgerError, MissingExtraError
from centtrack.folders import name_of_app, state_folder

if TYPE_CHECKING:
    from sqlalchemy import URL

LEDGER_VARIABLE = "CENTTRACK_LEDGER"
_SCHEMES = {"sqlite", "postgresql", "postgres", "postgresql+psycopg"}


class NoLedgerError(LedgerError):
    """There is no ledger yet."""


def default_place(here: Path | None = None) -> str | Path:
    """`$CENTTRACK_LEDGER`, else a file in the state folder: one per working directory, whatever else is configured.

    A new sink or another policy must not begin a new ledger: what was proved would be looked for in the wrong one.
    """
    return os.environ.get(LEDGER_VARIABLE) or ledgers_folder() / f"{name_of_app(here or Path.cwd())}.db"


def ledgers_folder() -> Path:
    """The folder of the ledgers of this user's apps, unless they were put elsewhere."""
    return state_folder() / "consent"


def known_ledgers() -> list[Path]:
    """All ledgers in that folder, by name."""
    return sorted(ledgers_folder().glob("*.db"))


def read_place(where: str | Path) -> Path | URL:
    """What `ledger=` means.

    Args:
        where: a path, or a URL.

    Raises:
        ConfigurationError: if the URL is wrong.
        MissingExtraError: if SQLAlchemy or the driver isn't installed.
    """
    if not str(where):
        raise ConfigurationError("ledger: name a file, or postgresql://…")
    try:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError
    except ImportError:
        raise MissingExtraError("The consent ledger", "consent") from None
    scheme, separator, _ = str(where).partition("://")
    if isinstance(where, Path) or not separator:
        return Path(where).expanduser()
    if scheme not in _SCHEMES:
        raise ConfigurationError(f"ledger: {scheme}:// isn't known; allowed are a file, sqlite:///…, postgresql://…")
    try:
        url = make_url(where)
    except (ArgumentError, ValueError):  # its words may tell the password
        raise ConfigurationError(f"ledger: that is no URL; one is {scheme}://host/database") from None
    if scheme == "sqlite":
        if not url.database or url.database == ":memory:":
            raise ConfigurationError("ledger: name a file, as in sqlite:////var/lib/shop/consent.db")
        return Path(url.database)
    if find_spec("psycopg") is None:  # asked for now, so that it is said at start
        raise MissingExtraError("A consent ledger in PostgreSQL", "postgresql")
    return url.set(drivername="postgresql+psycopg")


def describe_place(where: Path | URL) -> str:
    """A name without user and password."""
    if isinstance(where, Path):
        return str(where)
    return f"in PostgreSQL at {where.host or 'this host'}" + (f":{where.port}" if where.port else "")
