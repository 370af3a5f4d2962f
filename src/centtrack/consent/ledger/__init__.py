"""The ledger of choices: append-only, chained, in SQLite or PostgreSQL."""
