"""What tests of several sinks share."""

from __future__ import annotations

import pytest

from receivers import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """An authority whose certificates nobody trusts but who is told to: making one takes a while."""
    return Authority(tmp_path_factory.mktemp("authority"))
