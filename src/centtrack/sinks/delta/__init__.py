"""`delta:PATH_OR_URL` writes a Delta Lake table. Needs the extra `delta`."""

from centtrack.sinks.delta.location import table_location
from centtrack.sinks.delta.sink import DeltaSink

__all__ = ["DeltaSink", "table_location"]
