"""A database that is in use, one that is to replace it, and a server that has it."""

import pytest

from mmdb import ALMATY, SEMEY, V4, built, write_mmdb
from web_files import serving


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "in use"
    folder.mkdir()
    return write_mmdb(folder / "city.mmdb", {V4: ALMATY})


@pytest.fixture(scope="session")
def newer(tmp_path_factory):
    """Its bytes."""
    return built(write_mmdb(tmp_path_factory.mktemp("newer") / "any.mmdb", {V4: SEMEY}).read_bytes(), 86_400)


@pytest.fixture
def site():
    with serving() as site:
        yield site
