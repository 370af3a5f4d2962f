"""Geo database files, as an operator handles them: what one is, and how a newer one is brought."""
