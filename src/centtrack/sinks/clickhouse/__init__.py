"""`clickhouse://HOST/DATABASE` inserts into a table of ClickHouse. Needs the extra `clickhouse`."""

from centtrack.sinks.clickhouse.sink import ClickHouseSink

__all__ = ["ClickHouseSink"]
