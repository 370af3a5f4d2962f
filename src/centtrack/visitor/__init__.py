"""Ids of visitors: a key that lasts a day, or a cookie where analytics was granted."""
