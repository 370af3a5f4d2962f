"""A lake in a folder."""

import pytest

from topics import Lake


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")
