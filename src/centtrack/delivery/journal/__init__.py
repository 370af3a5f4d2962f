"""The journal: what waits for delivery, and the counters; one SQLite file for the workers of a host."""
