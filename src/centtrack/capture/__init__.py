"""Scope → values, each reduced to its limit where it is read. Pure functions, but for the geo databases."""
