"""`postgresql://USER:PASSWORD@HOST/DATABASE` writes a table in PostgreSQL, divided by month or day."""

from centtrack.sinks.postgresql.sink import PostgresqlSink

__all__ = ["PostgresqlSink"]
