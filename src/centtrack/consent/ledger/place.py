"""Where a ledger is: from a path or URL, and back to words that hold no password."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from centtrack.errors import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from sqlalchemy import URL

_SCHEMES = {"sqlite", "postgresql", "postgres", "postgresql+psycopg"}


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
    try:
        import psycopg  # noqa: F401 - asked for now, so that a missing one is said at start
    except ImportError:
        raise MissingExtraError("A consent ledger in PostgreSQL", "postgresql") from None
    return url.set(drivername="postgresql+psycopg")


def describe_place(where: Path | URL) -> str:
    """A name without user and password."""
    return str(where) if isinstance(where, Path) else f"in PostgreSQL at {where.host or 'this host'}"
