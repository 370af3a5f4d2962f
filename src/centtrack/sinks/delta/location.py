"""Where a lake is, by the URL of its sink."""

from __future__ import annotations

import re
from pathlib import Path

from centtrack.errors import ConfigurationError
from centtrack.sinks.delta import object_store

_URL = re.compile(r"^[A-Za-z0-9+.-]+://")


def table_location(url: str) -> str:
    """The location in a `delta:` URL: an absolute path, or the URL of a folder in an object store.

    Raises:
        ConfigurationError: if there is none, or it holds credentials.
    """
    location = url.removeprefix("delta:")
    if not location:
        raise ConfigurationError('"delta:" needs a folder or an object store\'s URL, as in delta:./telemetry')
    if _URL.match(location):
        return object_store.read_location(location)
    return str(Path(location).expanduser().absolute())
