"""Scope → values, each reduced to its limit where it is read. One file each; pure functions but for the geo database."""
