"""A server that keeps ledgers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from databases import postgresql_server


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL."""
    with postgresql_server() as url:
        yield url
