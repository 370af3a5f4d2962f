"""`delta:PATH_OR_URL` writes a Delta Lake table. Needs the extra `delta`."""

from centtrack.sinks.delta.sink import DeltaSink, table_location

__all__ = ["DeltaSink", "table_location"]
